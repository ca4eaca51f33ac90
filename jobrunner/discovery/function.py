"""Which function a job file offers, by the same rule as `loading.default_function`, from the tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from jobrunner.errors import ConfigError
from jobrunner.loading import no_function

Def = ast.FunctionDef | ast.AsyncFunctionDef


def chosen(tree: ast.Module) -> tuple[Def | None, ConfigError | None]:
    """Return (what a run calls, why it is not clear what to call, or that it could not run).

    The function is there where it is plainly written: at the top, once, and nothing else can be meant. A
    `default` that is assigned or imported is no problem: what it is shows when it is called.
    """
    found = list(_statements(tree.body))
    binding = [node for node in found if _binds(node, "default")]
    if binding:
        return _plain(binding, found, tree), _of_default(binding[-1])
    public = {node.name: node for node in found if isinstance(node, Def) and not node.name.startswith("_")}
    if len(public) == 1:
        name, node = next(iter(public.items()))
        return _plain([each for each in found if _binds(each, name)], found, tree), _generator(node)
    if not public and any(_is_star(node) for node in found):
        return None, None
    message, hint = no_function(list(public))
    return None, ConfigError(message, hint=hint, line=[1, *(node.lineno for node in public.values())][-1])


def named(tree: ast.Module, name: str) -> Def | None:
    """Return the function of a name where it is plainly written: at the top, once, and nothing else is it."""
    found = list(_statements(tree.body))
    return _plain([node for node in found if _binds(node, name)], found, tree)


def _plain(binding: Sequence[ast.AST], found: Sequence[ast.AST], tree: ast.Module) -> Def | None:
    only = binding[0] if len(binding) == 1 else None
    if not isinstance(only, Def) or only not in tree.body or any(_is_star(node) for node in found):
        return None
    return only


def _statements(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Yield the statements that the import executes, in order, inside `if`, `try` and `with` too."""
    for node in body:
        yield node
        if not isinstance(node, Def | ast.ClassDef | ast.expr):
            yield from _statements(list(ast.iter_child_nodes(node)))


def _binds(node: ast.AST, wanted: str) -> bool:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name == wanted
        case ast.Assign(targets=targets):
            return any(_is(name, wanted) for target in targets for name in ast.walk(target))
        case ast.AnnAssign(target=target, value=ast.expr()):
            return _is(target, wanted)
        case ast.alias(name=name, asname=alias):
            return (alias or name) == wanted
    return False


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_star(node: ast.AST) -> bool:
    return isinstance(node, ast.alias) and node.name == "*"


def _of_default(binding: ast.AST) -> ConfigError | None:
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
