"""What a child may answer. A file's code can write into its pipe, too, so no answer is believed unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import NoneType
from typing import Any

from jobrunner.settings.jsonvalues import flaw

Shape = Mapping[str, tuple[type, ...]]

PROBLEM: Shape = {"message": (str,), "hint": (str, NoneType), "line": (int, NoneType)}
ARGUMENT: Shape = {
    "name": (str,), "source": (str,), "service": (str, NoneType), "factory": (str, NoneType),
    "lifetime": (str, NoneType), "default": (str, NoneType),
}  # fmt: skip
PLAN: Shape = {"function": (str,), "line": (int, NoneType), "arguments": (list,)}


def is_sound(answer: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Return whether an answer has the shape that its request asks for, so that nobody stumbles over it."""
    if "problem" in answer:
        return _has(answer["problem"], PROBLEM)
    verb: Callable[[Mapping[str, Any], Mapping[str, Any]], bool] = _VERBS[request["verb"]]
    return verb(answer, request)


def _has(value: object, shape: Shape) -> bool:
    if not isinstance(value, dict):
        return False
    return all(key in value and type(value[key]) in types for key, types in shape.items())


def _all(values: object, sound: Callable[[Any], bool]) -> bool:
    return isinstance(values, list) and all(map(sound, values))


def _config(answer: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    return _all(answer.get("configs"), _is_config) and _all(answer.get("files"), _is_path)


def _is_config(value: Any) -> bool:
    if not isinstance(value, dict) or flaw(dict.fromkeys(value), "config") is not None:
        return False
    return all(flaw(each, key) is None for key, each in value.items())


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _check(answer: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    return _all(answer.get("problems"), _is_found)


def _is_found(value: Any) -> bool:
    return _has(value, PROBLEM) and all(
        isinstance(value.get(key, ""), str) for key in ("source", "parameter")
    )


def _plan(answer: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    if not _has(answer, PLAN) or not _check(answer, request):
        return False
    files = (each.get("file") for each in answer["problems"])
    return all(isinstance(file, str | None) for file in files) and _are_arguments(
        answer["arguments"], request["params"]
    )


def _are_arguments(values: Iterable[Any], params: Mapping[str, Any]) -> bool:
    return all(
        _has(each, ARGUMENT) and (each["source"] != "params" or each["name"] in params) for each in values
    )


_VERBS = {"config": _config, "check": _check, "plan": _plan}

__all__ = ["is_sound"]
