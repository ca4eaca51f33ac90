"""What requests of runs must look like: what a run says is data to its node, whoever wrote the job.

It is looked at before the state is touched: what fails inside of a transaction takes all of it along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jobrunner.terms import FARTHEST

LARGEST = (1 << 63) - 1
MOST_READS = 200_000  # of one run
MOST_WRITES = 10_000
MOST_CALLS = 1_000

Fits = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 4096


def _any_text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def _id(value: Any) -> bool:
    return _whole(value) and value > 0


def _instant(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def _span(value: Any) -> bool:
    return _whole(value) and value <= 20 * FARTHEST


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _anything(_: Any) -> bool:
    return True


def _or_none(fits: Fits) -> Fits:
    return lambda value: value is None or fits(value)


def _list_of(fits: Fits, most: int) -> Fits:
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(fits, value))


def _by_text(fits: Fits) -> Fits:
    return lambda value: (
        isinstance(value, dict) and len(value) <= MOST_READS and all(map(fits, value.values()))
    )


def _write(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and _text(value[0]) and _flag(value[2])


def _call(value: Any) -> bool:
    fits = (_id, _text, _instant, _mapping, _any_text)
    return (
        isinstance(value, list)
        and len(value) == 5
        and all(one(part) for one, part in zip(fits, value, strict=True))
    )


def _version(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -1 <= value <= LARGEST


EFFECTS: Mapping[str, Fits] = {
    "reads": _by_text(_version), "prefixes": _by_text(_any_text), "writes": _list_of(_write, MOST_WRITES),
    "calls": _list_of(_call, MOST_CALLS), "cancels": _list_of(_id, MOST_CALLS),
}  # fmt: skip


def _effects(value: Any) -> bool:
    return isinstance(value, dict) and all(
        name in EFFECTS and EFFECTS[name](one) for name, one in value.items()
    )


VERBS: Mapping[str, Mapping[str, Fits]] = {
    "state.get": {"key": _text},
    "state.list": {"prefix": _any_text},
    "state.write": {"writes": _list_of(_write, MOST_WRITES)},
    "call": {"job": _text, "params": _mapping, "identity": _any_text, "immediate": _flag},
    "call.cancel": {"id": _id},
    "once.get": {"key": _text},
    "once.set": {"key": _text, "result": _anything},
    "step.begin": {"path": _text, "undo": _or_none(_mapping)},
    "step.end": {
        "path": _text, "tries": _whole, "result": _anything, "effects": _or_none(_effects),
        "error": _or_none(_mapping),
    },
    "step.wait": {"path": _text, "timeout": _or_none(_span)},
    "step.undone": {"path": _text, "error": _or_none(_mapping)},
}  # fmt: skip


def check(verb: str, payload: Mapping[str, Any]) -> None:
    """Raise ValueError for a request that is not as `wire` says."""
    for name, fits in VERBS[verb].items():
        if name not in payload or not fits(payload[name]):
            raise ValueError(f"{name} is {payload.get(name)!r:.50}")
    if verb == "call":
        timed = [name for name in ("delay", "at") if name in payload]
        if len(timed) != 1 or not (_span if timed == ["delay"] else _instant)(payload[timed[0]]):
            raise ValueError("it has to say when")


def check_effects(told: Mapping[str, Any]) -> None:
    """Raise ValueError for effects that are not as `wire` says."""
    if not _effects(told):
        raise ValueError("its effects are of the wrong shape")
