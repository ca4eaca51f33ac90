"""Whole jobs from the cache, as a node holds them: for those that have not changed nothing is read or parsed.

What a `Summary` has comes from there; the rest are columns, in which what many jobs have in common is one
object. A job is the same as long as its summary's hash, place and overrides are, see `_sign`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any

from jobrunner import config
from jobrunner.discovery import signature
from jobrunner.discovery.cache import Cache
from jobrunner.discovery.columns import packed, unpacked
from jobrunner.discovery.summary import TUPLES, Summary
from jobrunner.errors import ScheduleError
from jobrunner.fingerprint import sha256
from jobrunner.model import Chosen, Job, Retries
from jobrunner.schedule import Schedule

WHOLE = "whole.json"
BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, ScheduleError)
NO_PARAMS: Mapping[str, Any] = {}

OURS = tuple(  # the fields that a summary has not; params are in the config
    name for name in Job._fields
    if name == "schedule" or name not in (*Summary._fields, "params", "former_names")
)  # fmt: skip
_PLACES = {
    **{name: i for i, name in enumerate(Summary._fields)},
    "former_names": Summary._fields.index("former"),
    **{name: len(Summary._fields) + i for i, name in enumerate((*OURS, "config", "params"))},
}
_ordered = itemgetter(*(_PLACES[name] for name in Job._fields))
_TUPLES = [Summary._fields.index(name) for name in TUPLES]
_CONFIG = OURS.index("config")


class Whole:
    """The whole jobs of one project, kept under a `key`: all that they depend on beside the files."""

    def __init__(self, cache: Cache, key: Sequence[Any], generation: str) -> None:
        """`generation` is that of the summaries."""
        self._cache = cache
        self._key = key
        self._generation = generation

    def ready(self, summaries: Sequence[Summary]) -> list[Job] | None:
        """Return the jobs of these summaries where they are what was kept, else None."""
        kept = self._kept
        if kept.get("generation") != self._generation:
            return None
        try:
            return list(_jobs(summaries, _rests(kept)))
        except BROKEN:
            return None

    def jobs(self, summaries: Sequence[Summary], build: Callable[[str], Job], *, worth: bool) -> list[Job]:
        """Return the jobs of these summaries; `build` makes those that have changed. They are kept."""
        known = self._known()
        signs = [_sign(each) for each in summaries]
        same = [(each, known[sign]) for each, sign in zip(summaries, signs, strict=True) if sign in known]
        made = {job.name: job for job in _jobs([each for each, _ in same], [rest for _, rest in same])}
        found = [made.get(each.name) or build(each.name) for each in summaries]
        self._write(signs, found, worth=worth)
        return found

    @cached_property
    def _kept(self) -> dict[str, Any]:
        kept = self._cache.read(WHOLE)
        return kept if kept is not None and kept.get("key") == self._key else {}

    def _known(self) -> dict[str, tuple[Any, ...]]:
        """Return what is kept of each job, by its sign."""
        kept = self._kept
        try:
            return dict(zip(kept["signs"], _rests(kept), strict=True)) if kept else {}
        except BROKEN:
            return {}

    def _write(self, signs: list[str], jobs: Sequence[Job], *, worth: bool) -> None:
        value = {
            "key": self._key, "generation": self._generation, "signs": signs, "count": len(jobs),
            "columns": packed([_rest(job) for job in jobs]),
        }  # fmt: skip
        self._cache.write(WHOLE, value, worth=worth)


def _sign(each: Summary) -> str:
    """Return what is the same as long as nothing of a job is otherwise."""
    said = each.name, each.hash, each.path, str(each.line), *each.overridden
    return sha256("\0".join(said).encode("utf-8", "surrogateescape"))[:32]


def _jobs(summaries: Sequence[Summary], rests: Iterable[Sequence[Any]]) -> Iterator[Job]:
    for each, rest in zip(_with_tuples(summaries), rests, strict=True):
        own = {**rest[_CONFIG], "name": each[0]}
        yield Job._make(_ordered((*each, *rest, own, own.get("params", NO_PARAMS))))


def _with_tuples(summaries: Sequence[Summary]) -> Sequence[Sequence[Any]]:
    """Return the values of summaries; of entries that come from the cache some tuples are lists."""
    if all(type(each[i]) is not list for each in summaries for i in _TUPLES):
        return summaries
    return [tuple(tuple(one) if type(one) is list else one for one in each) for each in summaries]


def _rests(kept: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of OURS of each job that was kept."""
    columns, count = kept["columns"], kept["count"]
    pairs = zip(OURS, columns, strict=True) if count else ()
    return zip(*(unpacked(column, count, READ.get(name)) for name, column in pairs), strict=True)


def _rest(job: Job) -> list[Any]:
    """Return the values of OURS as JSON has them; the config without its name, so that many are the same."""
    return [WRITTEN[name](job) if name in WRITTEN else getattr(job, name) for name in OURS]


def _schedule(said: Sequence[Any] | None) -> Schedule | None:
    return None if said is None else config.schedule_of(*said)


def _spoken(job: Job) -> list[Any] | None:
    if job.schedule is None:
        return None
    keys = ("schedule", "dstGap", "dstFold")
    return [{key: job.config[key] for key in keys if key in job.config}, job.timezone]


WRITTEN: Mapping[str, Callable[[Job], Any]] = {
    "schedule": _spoken,
    "config": lambda job: {**job.config, "name": ""},
    "parameters": lambda job: signature.written(job.parameters),
}
READ: Mapping[str, Callable[[Any], Any]] = {
    "schedule": _schedule,
    "parameters": signature.parsed,
    "retries": lambda values: Retries(*values),
    "executor": lambda values: Chosen(*values),
    "imports": tuple,
}
