"""What a seed draws before anything happens: jobs, machines, habits, and a list of events.

The list is whole before the first event, so that one can be left out and the others stay what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from jobrunner.clock import HOUR, MILLISECOND, MINUTE, SECOND, Instant, from_iso
from tests.simulation.bodies import Habits

Config = dict[str, Any]

# An ordinary noon; before clocks change: Berlin both ways, New York, Lord Howe (30 minutes); and the moment
# before which a clock is not set.
STARTS = (
    "2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z", "2026-11-20T11:59:58.5Z", "2026-03-29T00:30:00Z",
    "2026-10-25T00:10:00Z", "2026-03-08T06:40:00Z", "2026-10-03T15:15:00Z", "2026-01-01T00:00:20Z",
)  # fmt: skip
ZONES = ("UTC", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
OFTEN = ("*/2 * * * * *", "*/7 * * * * *", "*/20 * * * * *", "every 3s", "every 45s")
SELDOM = ("* * * * *", "*/3 * * * *", "every 2m", "*/15 * * * *", "30 2 * * *", "15 * * * *", "0 2,3 * * *")
AFTER = ("every 5s after end", "every 1m after end")
KINDS = {  # of events, and how often each is drawn
    "passes": 30, "kill": 4, "kill_at": 14, "stall": 4, "stall_at": 14, "start": 6, "stop": 3, "all_die": 2,
    "clock": 5, "sleep": 4, "full": 3, "lock": 2, "fault": 6, "edit": 5, "remove": 2, "rename": 1,
    "pause": 2, "resume": 2, "disable": 2, "enable": 2, "trigger": 5, "cancel": 5, "reset": 1,
}  # fmt: skip
# Only where the state is a database. A commit in doubt is drawn often: few of them carry what can be lost.
SHARED = {"unheard": 40, "away": 12, "freeze": 8, "takeover": 30}
BORDERS = (
    frozenset({"begin"}), frozenset({"begun"}), frozenset({"verb"}), frozenset({"commit"}),
    frozenset({"committed"}), frozenset({"read"}),
    frozenset({"begin", "begun", "verb", "commit", "committed"}),
)  # fmt: skip
STEPS = (-3 * HOUR, -7 * MINUTE, -4 * SECOND, 3 * SECOND, 40 * SECOND, 9 * MINUTE, 2 * HOUR)
LEAPS = (-30 * HOUR, 26 * HOUR, 50 * HOUR)  # so far ahead a cursor is set back


@dataclass(frozen=True, slots=True)
class Event:
    """What happens `after` microseconds behind the last event. `node` picks one of those that live."""

    kind: str
    after: int
    node: int
    what: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        words = [f"{name}={_word(value)}" for name, value in self.what.items()]
        return " ".join([self.kind, *words])


@dataclass(frozen=True, slots=True)
class Script:
    """One history to be."""

    start: Instant
    shared: bool  # the state is a database: nodes live by leases
    machines: tuple[str, ...]
    nodes: int
    slots: int
    look_every: float
    lease: int
    skews: tuple[int, ...]  # by which the clocks of machines are wrong
    jobs: tuple[Config, ...]
    habits: Habits
    deaf: int  # chance of 100 that a ring gets lost
    events: tuple[Event, ...]


def draw(chance: Random) -> Script:
    """Draw a history."""
    shared = chance.random() < 0.35
    often = chance.random() < 0.75
    jobs = tuple(_job(chance, f"job-{letter}", often) for letter in "abcd"[: chance.randint(1, 4)])
    look_every = chance.choice((1.0, 1.0, 4.0) if often else (10.0, 30.0))
    if shared:
        look_every = 1.0
    machines = ("m1", "m2", "m3")[: chance.choice((1, 2, 2, 3))]
    return Script(
        start=from_iso(chance.choice(STARTS)), shared=shared, machines=machines,
        nodes=chance.choice((1, 2, 2, 3)),
        slots=chance.choice((1, 2, 4)), look_every=look_every, lease=chance.choice((6, 12)) * SECOND,
        skews=tuple(chance.choice((0, 0, 300 * MILLISECOND, -90 * SECOND)) for _ in machines), jobs=jobs,
        habits=_habits(chance, often), deaf=chance.choice((0, 0, 20, 100)),
        events=tuple(_event(chance, shared, often or shared) for _ in range(chance.randint(4, 22))),
    )  # fmt: skip


def _habits(chance: Random, often: bool) -> Habits:
    short = (0, MILLISECOND, 300 * MILLISECOND, SECOND)
    long = (4 * SECOND, 25 * SECOND) if often else (30 * SECOND, 10 * MINUTE)
    lengths = chance.choice((short, (*short, *long), long))
    return Habits(
        lengths, bad=chance.choice((0, 15, 40)), crash=chance.choice((0, 10)), hang=chance.choice((0, 0, 8)),
        skip=chance.choice((0, 4)),
    )  # fmt: skip


# -- jobs -------------------------------------------------------------------------------------------


def _job(chance: Random, name: str, often: bool) -> Config:
    said: Config = {"name": name, "schedule": _schedule(chance, often)}
    said |= _some(chance, 0.5, "timezone", ZONES)
    said |= _some(chance, 0.8, "concurrency", ("forbid", "queue", "replace", "allow"))
    said |= _some(chance, 0.6, "misfire", ("once", "skip", "all"))
    said |= _some(chance, 0.2, "misfireGrace", (3, 60))
    said |= _some(chance, 0.3, "numberOfExecutions", (1, 2, 5))
    said |= _some(chance, 0.7, "delivery", ("at-most-once", "at-least-once", "exactly-once"))
    said |= _some(chance, 0.4, "retries", (1, {"max": 2, "delay": 5}, {"max": 1, "delay": 60}))
    said |= _some(chance, 0.2, "runPerMachine", (True,))
    said |= _some(chance, 0.15, "stopOnError", (2,))
    said |= _some(chance, 0.2, "timeout", (2, 40))
    said |= _some(chance, 0.1, "priority", ("high", "low"))
    said |= _some(chance, 0.1, "runOnStart", (True,)) if said["schedule"] else {}
    if chance.random() < 0.25:
        said |= {"group": "g", "groupLimit": 1}
    return said


def _schedule(chance: Random, often: bool) -> str | None:
    if chance.random() < 0.06:
        return None
    if chance.random() < 0.08:
        return chance.choice(AFTER)
    return chance.choice(OFTEN if often and chance.random() < 0.7 else SELDOM)


def _some(chance: Random, share: float, key: str, values: tuple[Any, ...]) -> Config:
    return {key: chance.choice(values)} if chance.random() < share else {}


# -- events -----------------------------------------------------------------------------------------


def _event(chance: Random, shared: bool, often: bool) -> Event:
    kinds = KINDS | SHARED if shared else KINDS
    (kind,) = chance.choices(list(kinds), list(kinds.values()))
    after = chance.choice((0, 0, MILLISECOND, 700 * MILLISECOND, 3 * SECOND))
    draws = _DRAWS.get(kind)
    return Event(kind, after, chance.randrange(6), draws(chance, often) if draws else {})


def _pass(chance: Random, often: bool) -> Config:
    long = (20 * SECOND, 45 * SECOND) if often else (2 * MINUTE, 12 * MINUTE)
    return {"time": chance.choice((200 * MILLISECOND, 2 * SECOND, 6 * SECOND, *long))}


def _border(chance: Random, often: bool) -> Config:
    return {"kinds": chance.choice(BORDERS), "left": min(chance.randint(1, 40), chance.randint(1, 40))}


def _stall(chance: Random, often: bool) -> Config:
    return {"time": chance.choice((MILLISECOND, SECOND, 5 * SECOND, 9 * SECOND, 15 * SECOND, 70 * SECOND))}


def _stall_at(chance: Random, often: bool) -> Config:
    """Often between a commit and what follows from it: there a node knows least of what others did."""
    if chance.random() < 0.6:
        return _border(chance, often) | _stall(chance, often)
    behind = {"kinds": frozenset({"committed"}), "left": chance.randint(1, 6)}
    return behind | _stall(chance, often)


def _freeze(chance: Random, often: bool) -> Config:
    """Beyond its lease, behind a claim: what it was about to start is no longer its own."""
    return {"kinds": frozenset({"claimed"}), "left": 1, "time": chance.choice((9, 15, 25)) * SECOND}


def _takeover(chance: Random, often: bool) -> Config:
    """Whoever begins something next: its body goes on, and others begin it anew."""
    return {"kinds": frozenset({"claiming"}), "left": 1, "time": chance.choice((3, 9, 25)) * SECOND}


def _clock(chance: Random, often: bool) -> Config:
    return {"time": chance.choice(LEAPS if chance.random() < 0.15 else STEPS)}


def _sleep(chance: Random, often: bool) -> Config:
    long = (20 * MINUTE,) if often else (HOUR, 5 * HOUR)
    return {"time": chance.choice((3 * SECOND, 30 * SECOND, 6 * MINUTE, *long))}


def _span(chance: Random, often: bool) -> Config:
    return {"time": chance.choice((200 * MILLISECOND, 3 * SECOND, 12 * SECOND))}


def _fault(chance: Random, often: bool) -> Config:
    border = _border(chance, often)
    kinds = chance.choice(
        (("begin", "busy"), ("verb", "full"), ("commit", "full"), ("commit", "io"), ("read", "io"))
    )
    return {**border, "kinds": frozenset({kinds[0]}), "code": kinds[1]}


def _unheard(chance: Random, often: bool) -> Config:
    return {
        "kinds": frozenset({"commit"}),
        "left": chance.choice((1, 1, 2, 2, 3, 4, 6, 9)),
        "code": chance.choice(("unheard", "unsent")),
    }


def _edit(chance: Random, often: bool) -> Config:
    return {"job": chance.randrange(5), "config": _job(chance, "", often), "whole": chance.random() < 0.4}


def _pick(chance: Random, often: bool) -> Config:
    return {"job": chance.randrange(5), "how": chance.choice(("", "force", "queue"))}


_DRAWS = {
    "passes": _pass, "kill_at": _border, "stall": _stall,
    "stall_at": _stall_at, "freeze": _freeze, "takeover": _takeover,
    "clock": _clock, "sleep": _sleep, "full": _span, "lock": _span, "away": _stall, "fault": _fault,
    "unheard": _unheard, "edit": _edit, "remove": _pick, "rename": _pick, "disable": _pick, "enable": _pick,
    "trigger": _pick, "cancel": _pick, "reset": _pick, "all_die": _sleep,
}  # fmt: skip


def _word(value: Any) -> str:
    return "/".join(sorted(value)) if isinstance(value, frozenset) else str(value)
