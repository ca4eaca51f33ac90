"""What a job's function takes, from its syntax tree."""

from __future__ import annotations

import ast
import json
from functools import lru_cache
from typing import Any

from jobrunner.model import Parameter
from jobrunner.parameters import OTHERS, OWN, PLAIN, base
from jobrunner.settings.jsonvalues import flaw, plain

SIMPLE = (str, int, type(None))
KINDS = {"List": "list", "Dict": "dict", "Any": "", "object": ""}
Def = ast.FunctionDef | ast.AsyncFunctionDef


def parameters(function: Def | None) -> tuple[Parameter, ...] | None:
    """Return what a function takes, with `OTHERS` where it may look at any param; None: nobody can tell."""
    if function is None or function.decorator_list:  # a decorator may take more than it shows
        return None
    args = function.args
    plain_ones = [*args.posonlyargs, *args.args]
    defaults = [*[None] * (len(plain_ones) - len(args.defaults)), *args.defaults, *args.kw_defaults]
    pairs = list(zip([*plain_ones, *args.kwonlyargs], defaults, strict=True))
    found = [_parameter(arg, default) for arg, default in pairs if arg.arg not in OWN]
    looks = args.kwarg is not None or any(arg.arg in OWN for arg, _ in pairs)
    return (*found, OTHERS) if looks else tuple(found)


def written(takes: tuple[Parameter, ...] | None) -> str:
    """Return parameters as one text, which `parsed` takes back."""
    if takes is None:
        return ""
    return json.dumps([(one.name, one.kind, one.required, one.default) for one in takes])


@lru_cache(maxsize=10_000)
def parsed(text: str) -> tuple[Parameter, ...] | None:
    """Return the parameters of a text; thousands of jobs share few of them, and they are immutable values."""
    return tuple(Parameter(*values) for values in json.loads(text)) if text else None


def _parameter(arg: ast.arg, default: ast.expr | None) -> Parameter:
    kind = _kind(arg.annotation)
    if default is None:
        return Parameter(arg.arg, kind)
    value, known = _literal(default)
    if known and value is None and not kind.endswith("?"):
        kind += "?"
    return Parameter(arg.arg, kind, False, value)


def _literal(node: ast.expr) -> tuple[Any, bool]:
    """Return (the value, True) of a default that is JSON, else (None, False)."""
    if isinstance(node, ast.Constant) and isinstance(node.value, SIMPLE):
        return _plain(node.value)
    try:
        return _plain(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None, False


def _plain(value: object) -> tuple[Any, bool]:
    found = plain(value)
    return (None, False) if flaw(found, "") is not None else (found, True)


def _kind(node: ast.expr | None) -> str:
    """Return the name of an annotated type, with ? where None is allowed; "" for any and for several."""
    match node:
        case ast.Constant(value=str(text)):
            return _of_text(text)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return KINDS.get(name, name)
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            return _of_generic(name, inner)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _of_union([left, right])
    return ""


def _of_text(text: str) -> str:
    try:
        return _kind(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def _of_generic(name: str, inner: ast.expr) -> str:
    choices = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == "Optional":
        return _of_union([inner, ast.Constant(None)])
    if name == "Union":
        return _of_union(choices)
    if name == "Literal":
        return _of_literal(choices)
    return _kind(choices[0]) if name == "Annotated" else _with_elements(KINDS.get(name, name), choices)


def _with_elements(kind: str, choices: list[ast.expr]) -> str:
    """Return `list[int]` or `dict[str, int]` where the elements are plain, else the type alone."""
    kinds = [_kind(each) for each in choices]
    plain_ones = all(base(each) in PLAIN for each in kinds)
    if plain_ones and (kind == "list" or (kind == "dict" and len(kinds) == 2 and kinds[0] == "str")):
        return f"{kind}[{', '.join(kinds)}]"
    return kind


def _of_literal(choices: list[ast.expr]) -> str:
    values = [each.value for each in choices if isinstance(each, ast.Constant)]
    if len(values) < len(choices) or not all(_is_simple(each) for each in values):
        return ""
    named = [each for each in values if each is not None]
    return f"Literal{json.dumps(named)}" + ("?" if len(named) < len(values) else "") if named else ""


def _is_simple(value: object) -> bool:
    return isinstance(value, SIMPLE) and flaw(value, "") is None


def _of_union(choices: list[ast.expr]) -> str:
    kinds = [_kind(each) for each in choices if not _is_none(each)]
    optional = len(kinds) < len(choices) or any(kind.endswith("?") for kind in kinds)
    return (kinds[0].rstrip("?") if len(kinds) == 1 else "") + ("?" if optional else "")


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
