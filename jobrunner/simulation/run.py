"""A project's time to come, or a year of it, in seconds."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from jobrunner import durations
from jobrunner.clock import Instant
from jobrunner.definitions import Definitions
from jobrunner.errors import BadArgument
from jobrunner.events import Event
from jobrunner.masking import masker_of
from jobrunner.model import Job, Outcome, Run
from jobrunner.pace import Pace, usual
from jobrunner.simulation.clock import FakeClock, When, instant
from jobrunner.simulation.engine import Engine, Perform
from jobrunner.simulation.jobs import Subject, What, subject
from jobrunner.simulation.node import SimulatedNode
from jobrunner.simulation.preview import dropped, preview
from jobrunner.simulation.standins import GOOD, StandIns
from jobrunner.simulation.timeline import Entry, Timeline, in_order, of_run
from jobrunner.store import open_store
from jobrunner.store.base import RunFilter, Store

if TYPE_CHECKING:
    from jobrunner.simulation.inside import Inside
    from jobrunner.wire import RunSpec

Takes = object | Mapping[str, object]
Body = Callable[..., Any] | Outcome
ALL = 1 << 40  # rows


def simulate(
    what: What,
    *,
    start: When,
    end: When,
    names: Collection[str] = (),
    bodies: Mapping[str, Body] | None = None,
    run: bool | Literal["inline"] = False,
    overrides: Mapping[Any, Any] | None = None,
    takes: Takes | None = None,
    pauses: Iterable[tuple[When, When]] = (),
    slots: int | None = None,
    timezone: str | None = None,
    plan_only: bool = False,
    emit: Callable[[Event], None] = lambda _: None,
) -> Timeline:
    """Return what happens from `start` up to `end`, as `jobrunner start` would make it happen.

    `what` is a project's folder, or job configs (or definitions) without files. Times are aware datetimes or
    ISO text, which without an offset is a time of the project's zone. `names`: only these jobs.

    No body runs, and each succeeds, but for those that `bodies` says, by job: an Outcome, or a function,
    which is injected and called as a job's own and whose result, exception or Outcome counts; its state,
    calls and steps are kept in the simulation's own store. With `run` the jobs' own bodies run: True in
    processes of their own, "inline" in this one, with the services in `overrides` in place of the project's.
    Time stands still meanwhile.

    They take as long as `takes` says: a duration for all, or one a job by name; else, in a process of their
    own, as long as they took; else as long as usual where the project's state knows, else no time at all.
    `pauses` are pairs of times in which all schedules are paused. With `plan_only` nothing is run: the
    entries are what is due. `emit` is told what happens, as it happens.
    """
    _check_run(run, what, ours=bool(bodies or overrides))
    about = subject(what, names, timezone)
    zone = about.settings.timezone
    span = instant(start, "start", zone), instant(end, "end", zone)
    if span[1] < span[0]:
        raise BadArgument("end is before start", argument="end")
    script = Script(
        lengths=Lengths(about, takes),
        pauses=[(instant(low, "pauses", zone), instant(high, "pauses", zone)) for low, high in pauses],
        slots=slots or about.settings.slots,
        bodies=_checked(bodies or {}, about),
        run=run,
        overrides=overrides or {},
        emit=emit,
    )
    if plan_only:
        return preview(about, *span, pauses=script.pauses, takes=script.lengths.of)
    return play(about, *span, script)


class Lengths:
    """How long bodies take, in microseconds."""

    def __init__(self, about: Subject, takes: Takes | None) -> None:
        self._about = about
        self.given = takes if isinstance(takes, Mapping) else dict.fromkeys(about.jobs, takes)
        for name in self.given.keys() - about.jobs.keys():
            raise BadArgument(f"takes: there is no job {name!a}", argument="takes")
        self._known = {job.name: self._find(job) for job in about.jobs.values()}

    def of(self, job: Job) -> int:
        """Return how long the runs of a job take."""
        return self._known[job.name]

    def named(self, name: str) -> int:
        """Return it by the job's name."""
        return self._known[name]

    def _find(self, job: Job) -> int:
        given, fact = self.given.get(job.name), self._about.fact(job)
        if given is not None:
            try:
                return durations.parse(given)
            except ValueError as error:
                raise BadArgument(f"takes: {error}", argument="takes") from None
        found = usual(Pace(fact.durations)) if fact is not None else None
        return found[0] if found is not None else 0


class Script(NamedTuple):
    """What is to happen, but for the jobs themselves."""

    lengths: Lengths
    pauses: Sequence[tuple[Instant, Instant]]
    slots: int
    bodies: Mapping[str, Body]
    run: bool | Literal["inline"]
    overrides: Mapping[Any, Any]
    emit: Callable[[Event], None]


def play(about: Subject, start: Instant, end: Instant, script: Script) -> Timeline:
    """Let it all happen in a store of its own, in a temporary folder."""
    clock = FakeClock(start)
    with scratch(about) as (store, here), _executor(here, clock, script) as bodies:
        node = SimulatedNode(
            store, definitions(here), bodies, clock, script.emit, slots=script.slots,
            masker=masker_of(here.settings),
        )  # fmt: skip
        set_cursors(node, here, start)
        with _performer(node, bodies, script) as perform:
            Engine(node, clock, bodies, perform, script.pauses).run(end)
        entries = in_order((*_ran(store), *_to_be_dropped(node, end)))
        documents = {found.key: found.value for found in store.documents("")}
    zones = {job.name: job.timezone for job in about.jobs.values()}
    return Timeline(start, end, about.settings.timezone, entries, zones, about.problems, documents)


def _ran(store: Store) -> Iterator[Entry]:
    return (_entry(store, run) for run in store.runs(RunFilter(limit=ALL)))


def _to_be_dropped(node: SimulatedNode, end: Instant) -> Iterator[Entry]:
    """Yield the clock changes that a node would write down after the end."""
    for standing in node.store.standings(node.me.owner, node.me.machine):
        job = node.scheduler.job(standing.job)
        if job is not None:
            yield from dropped(job, standing, standing, end)


def _entry(store: Store, run: Run) -> Entry:
    entry = of_run(run)
    if not run.log_bytes:
        return entry
    log = b"".join(chunk.data for chunk in store.read_log(run.id))
    return entry._replace(log=log.decode("utf-8", "replace"))


@contextmanager
def _executor(here: Subject, clock: FakeClock, script: Script) -> Iterator[StandIns]:
    if script.run is not True:
        yield StandIns(clock, script.slots)
        return
    from jobrunner.simulation.children import Children, at_work, measured

    preload = sorted({name for job in here.jobs.values() for name in job.imports})
    with at_work(here.settings, script.slots, preload) as place:
        yield Children(place, clock, script.slots, measured(script.lengths.given, script.lengths.named))


@contextmanager
def _performer(node: SimulatedNode, bodies: StandIns, script: Script) -> Iterator[Perform]:
    """Yield what says how long a body takes and how it ends."""
    if not script.bodies and script.run != "inline":
        yield lambda body: (script.lengths.named(body.spec["job"]), GOOD)
        return
    from jobrunner.simulation.inside import Inside, surroundings

    with surroundings():
        inside = Inside(node, bodies, script.overrides)
        yield lambda body: (script.lengths.named(body.spec["job"]), _outcome(inside, body.spec, script))


def _outcome(inside: Inside, spec: RunSpec, script: Script) -> Outcome:
    found = script.bodies.get(spec["job"])
    if isinstance(found, Outcome):
        return found
    if found is not None:
        return inside.stub(spec, found)
    return inside.perform(spec).outcome if script.run else GOOD


def _check_run(run: bool | str, what: What, *, ours: bool) -> None:
    if run and not isinstance(what, Subject | str | os.PathLike):
        raise BadArgument("run: without a project there are no bodies to run", argument="run")
    if run is True and ours:
        said = "bodies and overrides are of this process, and run=True runs bodies in others"
        raise BadArgument(said, argument="run", hint='run="inline" runs them in this one')


def _checked(bodies: Mapping[str, Body], about: Subject) -> Mapping[str, Body]:
    for name, body in bodies.items():
        if name not in about.jobs:
            raise BadArgument(f"bodies: there is no job {name!a}", argument="bodies")
        if not isinstance(body, Outcome) and not callable(body):
            raise BadArgument(f"bodies: {name} is neither a function nor an Outcome", argument="bodies")
    return bodies


@contextmanager
def scratch(about: Subject) -> Iterator[tuple[Store, Subject]]:
    """Open a store that lives for as long as the simulation, and nowhere near the project's."""
    with TemporaryDirectory(prefix="jobrunner-") as folder:
        url = f"sqlite:///{folder}/state.db"
        store = open_store(url, create=True, durable=False)
        try:
            yield store, dataclasses.replace(about, settings=about.settings._replace(state=url))
        finally:
            store.close()


def definitions(about: Subject) -> Definitions:
    """Return the jobs as a node holds them."""
    return Definitions(jobs=about.jobs, problems=(), settings=about.settings)


def set_cursors(node: SimulatedNode, about: Subject, start: Instant) -> None:
    """Let each schedule go on from where it stands."""
    for standing in node.store.standings(node.me.owner, node.me.machine):
        job = about.jobs[standing.job]
        cursor = about.cursor(job, start)
        if cursor < start:
            node.store.rewind(standing, cursor, job)
    node.scheduler.stale = True
