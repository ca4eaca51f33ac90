"""What a job file says, from its syntax tree; nothing is executed.

A config is *literal* when it is assigned once, on the top level, as a plain dict, and nothing else in
the module touches the name: then what the tree says is what an import would give. A function with a
parameter or a variable of that name does not touch it, nor does `config["key"]` read in a function.
Any other config is *computed*.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobrunner.discovery import naming, signature
from jobrunner.discovery.function import chosen
from jobrunner.errors import ConfigError
from jobrunner.model import Parameter
from jobrunner.settings.jsonvalues import HINT, flaw, plain

RISKY = frozenset({"globals", "locals", "vars", "exec", "eval"})
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(slots=True)
class Written:
    """One config as written: JSON values, the line it begins on, and the line of each key that is known."""

    config: Any
    line: int
    lines: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Syntax:
    """What the tree says. `configs` is None when they are computed.

    `frames` hold the lines and names that are known of configs which are computed or cannot be used;
    `parameters` are what the function takes, as in `Job`.
    """

    doc: str
    imports: list[str]
    configs: list[Written] | None
    frames: list[Written]
    problems: list[ConfigError]
    parameters: tuple[Parameter, ...] | None


def read(source: bytes) -> Syntax:
    """Return what a file says. Raises ConfigError with a line when it is not Python."""
    tree = _parse(source)
    problems: list[ConfigError] = []
    configs: list[Written] | None = []
    frames: list[Written] = []
    try:
        configs, frames = _configs(tree)
    except ConfigError as error:
        problems.append(error)
        frames = _all_frames(tree)
    function, odd = chosen(tree)
    if odd is not None:
        problems.append(odd)
    takes = signature.parameters(function)
    return Syntax(_doc(tree), _imports(tree), configs, frames, problems, takes)


def script(source: bytes) -> tuple[str, tuple[Parameter, ...] | None]:
    """Return the docstring's first line, and what the default function takes, of any Python file.

    Raises ConfigError, with a line, when it is not Python, or when it is not clear what to call.
    """
    tree = _parse(source)
    function, odd = chosen(tree)
    if odd is not None:
        raise odd
    return _doc(tree), signature.parameters(function)


def names(source: bytes) -> list[Any]:
    """Return the names that a file's configs have, as far as they can be told although it is not Python."""
    text = naming.configs(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [each.config.get("name") for each in _all_frames(ast.parse(text))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [naming.only_name(text)]


def _parse(source: bytes) -> ast.Module:
    if b"\0" in source:
        line = source[: source.index(b"\0")].count(b"\n") + 1
        raise ConfigError("the file holds a NUL byte, so it is not Python", hint="save it as text", line=line)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a file's doubtful escapes are for its author's linter
            return ast.parse(source)
    except SyntaxError as error:
        said = f"the file is not Python: {error.msg}"
        raise ConfigError(said, hint="correct the line named", line=error.lineno or 1) from None
    except (RecursionError, MemoryError):
        raise too_deep() from None
    except ValueError as error:
        raise ConfigError(f"the file is not Python: {error}", hint="save it as UTF-8 text", line=1) from None


def too_deep() -> ConfigError:
    """Return what to say of a file that Python cannot hold in its head."""
    return ConfigError("the file is nested too deeply to be read", hint="flatten it", line=1)


def _doc(tree: ast.Module) -> str:
    match tree.body[:1]:
        case [ast.Expr(value=ast.Constant(value=str(text)))]:
            return next((line.strip() for line in text.splitlines() if line.strip()), "")
    return ""


def _imports(tree: ast.Module) -> list[str]:
    """Return the dotted modules that the top level imports, relative ones left out."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
    return sorted(found)


# --- config or configs ------------------------------------------------------------------------


def _configs(tree: ast.Module) -> tuple[list[Written] | None, list[Written]]:
    uses = {name: list(_touches(tree, name)) for name in ("config", "configs")}
    bound = [name for name, nodes in uses.items() if any(_binds(node, name) for node in nodes)]
    if len(bound) == 2:
        if not all(_star(node) for node in uses["configs"]):
            raise ConfigError("the file has both config and configs", hint="keep one of them", line=_at(uses))
        bound = ["config"]
    if not bound:
        raise ConfigError(
            "the file has no config, so it is no job",
            hint='add config = {"name": ..., "schedule": ...}, or begin the name of a helper file with _',
            line=1,
        )
    assigned = list(_assignments(tree, bound[0]))
    if len(assigned) == 1 and len(uses[bound[0]]) == 1 and not _risky(tree):
        literal = _literal(bound[0], assigned[0])
        if literal is not None:
            return literal, []
    return None, _frames(bound[0], assigned, tree)


def _at(uses: dict[str, list[ast.AST]]) -> int:
    return max(getattr(nodes[0], "lineno", 1) for nodes in uses.values())


def _star(node: ast.AST) -> bool:
    return isinstance(node, ast.alias) and node.name == "*"


def _assignments(tree: ast.Module, name: str) -> Iterator[ast.expr]:
    """Yield the values of plain top-level assignments to a name."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                yield value
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                yield value


def _literal(name: str, value: ast.expr) -> list[Written] | None:
    """Return the configs, or None when their values are no literals."""
    try:
        found = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    if name == "config":
        return [_written(found, value)]
    if not isinstance(found, list | tuple) or not found:
        raise ConfigError(
            "configs is not a list of dicts", hint="write configs = [{...}, {...}]", line=value.lineno
        )
    assert isinstance(value, ast.List | ast.Tuple)
    return [_written(*pair) for pair in zip(found, value.elts, strict=True)]


def _written(config: Any, node: ast.expr) -> Written:
    if not isinstance(config, dict) or not isinstance(node, ast.Dict):
        said = f"config is a {type(config).__name__}, not a dict"
        raise ConfigError(said, hint='write config = {"name": ..., "schedule": ...}', line=node.lineno)
    lines: dict[str, int] = {}
    for key in node.keys:
        _note(key, lines)
    try:
        return Written({key: _json(key, value, lines) for key, value in config.items()}, node.lineno, lines)
    except RecursionError:
        raise ConfigError("config is nested too deeply", hint="flatten it", line=node.lineno) from None


def _note(key: ast.expr | None, lines: dict[str, int]) -> None:
    if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
        line = getattr(key, "lineno", 1)
        raise ConfigError("config has a key that is not a text", hint="put it in quotes", line=line)
    if key.value in lines:
        said = f"config names {key.value} twice, on lines {lines[key.value]} and {key.lineno}"
        raise ConfigError(said, hint="keep one of them", line=key.lineno, key=key.value)
    lines[key.value] = key.lineno


def _json(key: str, value: object, lines: dict[str, int]) -> Any:
    said = None if isinstance(value, float) else flaw(value, key)  # infinity: each key has its own words
    if said is not None:
        raise ConfigError(said, hint=HINT, line=lines[key], key=key)
    return plain(value)


def _all_frames(tree: ast.Module) -> list[Written]:
    assigned = {name: list(_assignments(tree, name)) for name in ("config", "configs")}
    return [each for name, values in assigned.items() if values for each in _frames(name, values, tree)]


def _frames(name: str, assigned: Sequence[ast.expr], tree: ast.Module) -> list[Written]:
    """Return what can be known without the import: lines, and the name where it is plain."""
    line = next((each.lineno for each in assigned), None) or _first_line(tree, name)
    value = assigned[0] if len(assigned) == 1 else None
    nodes = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
    return [_frame(node, line) for node in nodes]


def _frame(node: ast.AST | None, line: int) -> Written:
    pairs = list(_known(node))
    known = dict(pairs)
    named = {each.value if isinstance(each, ast.Constant) else None for key, each in pairs if key == "name"}
    config = {"name": named.pop()} if len(named) == 1 else {}
    return Written(config, getattr(node, "lineno", line), {key: each.lineno for key, each in known.items()})


def _known(node: ast.AST | None) -> Iterator[tuple[str, ast.expr]]:
    """Yield the keys that can be read, with their values, of a dict that is not literal as a whole."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value), value
    elif isinstance(node, ast.Call):
        yield from ((each.arg, each.value) for each in node.keywords if each.arg)


def _first_line(tree: ast.Module, name: str) -> int:
    return min((getattr(node, "lineno", 1) for node in _touches(tree, name)), default=1)


# --- who touches a name -----------------------------------------------------------------------


def _touches(tree: ast.Module, name: str) -> Iterator[ast.AST]:
    """Yield each node that reads, binds or deletes the module's `name`, `import *` included."""
    todo: list[tuple[ast.AST, bool]] = [(tree, False)]
    while todo:
        node, inside = todo.pop()
        if _mentions(node, name):
            yield node
        inner = _outer(node) if _is_local(node, name) else ast.iter_child_nodes(node)
        inside = inside or isinstance(node, Function)
        todo.extend((each, inside) for each in inner if not (inside and _only_reads(node, each, name)))


def _only_reads(parent: ast.AST, node: ast.AST, name: str) -> bool:
    """Return whether a node is `name["key"]`, read and not reached into."""
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Load)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        and isinstance(node.slice, ast.Constant)
        and not isinstance(parent, ast.Attribute | ast.Subscript)
    )


def _mentions(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Name(id=found) | ast.ExceptHandler(name=found) | ast.MatchMapping(rest=found):
            return found == name
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            return name in names
        case ast.alias(name=found, asname=alias):
            return found == "*" or (alias or found.partition(".")[0]) == name
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.MatchAs() | ast.MatchStar():
            return node.name == name
    return False


def _binds(node: ast.AST, name: str) -> bool:
    return not (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))


def _is_local(node: ast.AST, name: str) -> bool:
    """Return whether a function has a parameter or a variable `name` of its own."""
    if not isinstance(node, Function):
        return False
    args = node.args
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    if any(arg is not None and arg.arg == name for arg in every):
        return True
    body = [node.body] if isinstance(node, ast.Lambda) else node.body
    inside = list(_own(body))
    if any(isinstance(each, ast.Global) and name in each.names for each in inside):
        return False
    stored = (each for each in inside if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store))
    return any(each.id == name for each in stored)


def _own(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of one scope: without the inside of functions, classes and comprehensions."""
    scopes = (*Function.__args__, ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    todo = list(body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, scopes):
            todo.extend(ast.iter_child_nodes(node))


def _outer(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a function that are evaluated outside of it."""
    assert isinstance(node, Function)
    yield from node.args.defaults
    yield from (each for each in node.args.kw_defaults if each is not None)
    if not isinstance(node, ast.Lambda):
        yield from node.decorator_list


def _risky(tree: ast.Module) -> bool:
    """Return whether the top level may reach its own names by text; inside functions that is let pass."""
    return any(isinstance(node, ast.Name) and node.id in RISKY for node in _own(tree.body))
