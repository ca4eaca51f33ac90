"""Which function a job file offers, by the same rule as `loading.default_function`, from the tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from jobrunner.errors import ConfigError
from jobrunner.loading import no_function

Def = ast.FunctionDef | ast.AsyncFunctionDef


def function_problem(tree: ast.Module) -> ConfigError | None:
    """Return why it is not clear what to call, or that it could not run; None when all is well.

    A `default` that is assigned or imported counts: what it is shows when it is called.
    """
    found = list(_statements(tree.body))
    if any(_binds_default(node) for node in found):
        return _of_default(found)
    public = {node.name: node for node in found if isinstance(node, Def) and not node.name.startswith("_")}
    if len(public) == 1:
        return _generator(next(iter(public.values())))
    if not public and any(_is_star(node) for node in found):
        return None
    message, hint = no_function(list(public))
    return ConfigError(message, hint=hint, line=[1, *(node.lineno for node in public.values())][-1])


def _statements(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Yield the statements that the import executes, in order, inside `if`, `try` and `with` too."""
    for node in body:
        yield node
        if not isinstance(node, Def | ast.ClassDef | ast.expr):
            yield from _statements(list(ast.iter_child_nodes(node)))


def _binds_default(node: ast.AST) -> bool:
    match node:
        case (
            ast.FunctionDef(name="default")
            | ast.AsyncFunctionDef(name="default")
            | ast.ClassDef(name="default")
        ):
            return True
        case ast.Assign(targets=targets):
            return any(_is_default(name) for target in targets for name in ast.walk(target))
        case ast.AnnAssign(target=target, value=ast.expr()):
            return _is_default(target)
        case ast.alias(name=name, asname=alias):
            return (alias or name) == "default"
    return False


def _is_default(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "default"


def _is_star(node: ast.AST) -> bool:
    return isinstance(node, ast.alias) and node.name == "*"


def _of_default(found: Sequence[ast.AST]) -> ConfigError | None:
    binding = [node for node in found if _binds_default(node)][-1]
    match binding:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return _generator(binding)
        case ast.Assign(
            value=ast.Constant() | ast.Dict() | ast.List() | ast.Tuple() | ast.Set(), lineno=line
        ):
            message, hint = no_function([], default=True)
            return ConfigError(message, hint=hint, line=line)
    return None


def _generator(node: Def) -> ConfigError | None:
    """Return the problem of a generator: calling it would run nothing. A decorator may know better."""
    if node.decorator_list or not any(
        isinstance(each, ast.Yield | ast.YieldFrom) for each in _own(node.body)
    ):
        return None
    message = f"{node.name} is a generator, so calling it would run nothing"
    return ConfigError(
        message, hint="use return, or call what yields from a plain function", line=node.lineno
    )


def _own(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    todo = list(body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, Def | ast.Lambda | ast.ClassDef):
            todo.extend(ast.iter_child_nodes(node))
