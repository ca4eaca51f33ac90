"""What the contract's tests are made of: a store, some jobs, some nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobrunner.clock import SECOND, Instant
from jobrunner.errors import JobrunnerError
from jobrunner.facts import NodeFacts
from jobrunner.model import Due, Job, Outcome, Reason, Run, Standing
from jobrunner.store import open_store
from jobrunner.store.base import Call, Claim, RunFilter, Store

T0 = 1_800_000_000 * SECOND


@dataclass(frozen=True, slots=True)
class Every:
    """A schedule that is due at each multiple of its seconds."""

    seconds: int = 1

    @property
    def text(self) -> str:
        """The canonical text."""
        return f"every {self.seconds}s"

    @property
    def after_end(self) -> bool:
        """Never."""
        return False

    def next_after(self, after: Instant, anchor: Instant) -> Instant | None:
        """The next multiple."""
        return (after // self.shortest() + 1) * self.shortest()

    def latest(self, after: Instant, until: Instant, anchor: Instant) -> Instant | None:
        """The last multiple in (after, until]."""
        last = until // self.shortest() * self.shortest()
        return last if last > after else None

    def count(self, after: Instant, until: Instant, anchor: Instant) -> int:
        """How many multiples lie in (after, until]."""
        return max(0, until // self.shortest() - after // self.shortest())

    def dropped(self, after: Instant, until: Instant, anchor: Instant | None = None) -> list[Instant]:
        """Nothing: it knows no zones."""
        return []

    def shortest(self) -> int:
        """The interval."""
        return self.seconds * SECOND

    def words(self) -> str:
        """The canonical text, which is English."""
        return self.text


def make_job(name: str = "tick", *, hash: str = "", every: int = 1, **facts: Any) -> Job:  # noqa: A002
    """Return a job; its hash follows its schedule and limit unless given."""
    config: dict[str, Any] = {"name": name, "schedule": f"every {every}s"}
    if "former_names" in facts:
        config["formerNames"] = list(facts["former_names"])
    own = hash or f"{name}/{every}/{facts.get('number_of_executions')}"
    return Job(
        name=name, schedule=Every(every), timezone="UTC", file=f"jobs/{name}.py", path=f"/p/jobs/{name}.py",
        folder="/p/jobs", line=1, content_hash="c", hash=own, config=config, **facts,
    )  # fmt: skip


def make_node(owner: str = "a", *, now: Instant = T0) -> NodeFacts:
    """Return a node whose names all derive from its owner id."""
    return NodeFacts(
        owner=owner, node=f"node-{owner}", machine="m", boot_id="b", pid=1, version="1", slots=4,
        exclusive=False, started_at=now, seen_at=now,
    )  # fmt: skip


def at(seconds: int) -> Instant:
    """Return an instant of the tests' time."""
    return T0 + seconds * SECOND


def run_at(seconds: int) -> Due:
    """Return a due occurrence that shall run."""
    return Due(scheduled_for=at(seconds), effective_at=at(seconds))


def skip_at(seconds: int, reason: Reason = "overlap") -> Due:
    """Return one that shall not."""
    return Due(scheduled_for=at(seconds), effective_at=at(seconds), skip=reason)


def skips(first: int, last: int, reason: Reason = "missed") -> Due:
    """Return all occurrences of `every 1s` from first to last as one."""
    return Due(
        scheduled_for=at(first),
        effective_at=at(first),
        skip=reason,
        count=last - first + 1,
        last_for=at(last),
    )


class Bench:
    """A new store for each test, with one node in it."""

    store: Store
    folder: Path
    node = make_node("a")

    def make_store(self, folder: Path) -> Store:
        """Return a new, empty store; `folder` is empty and goes away after the test."""
        raise NotImplementedError

    def again(self) -> Store:
        """Return another connection to the same store."""
        other = open_store(self.store.url, patience=0.2)
        self._others.append(other)
        return other

    def setup_method(self) -> None:
        """Make the store."""
        self._folder = TemporaryDirectory()
        self._others: list[Store] = []
        self.folder = Path(self._folder.name)
        self.store = self.make_store(self.folder)
        self.store.join(self.node)

    def teardown_method(self) -> None:
        """Close it, and forget the folder."""
        for store in [*self._others, self.store]:
            store.close()
        self._folder.cleanup()

    # -- short words for what tests do all the time --------------------------------------------------

    @property
    def tick(self) -> Job:
        """A job `every 1s`, registered at T0 when first asked for."""
        return self._registered(make_job())

    @property
    def loose(self) -> Job:
        """The same, but it may run beside itself."""
        return self._registered(make_job(concurrency="allow"))

    def _registered(self, job: Job) -> Job:
        if self.store.job(job.name) is None:
            self.register(job)
        return job

    def register(self, *jobs: Job, owner: str = "a", now: Instant = T0, store: Store | None = None) -> None:
        """Register jobs for a node."""
        (store or self.store).register(owner, jobs, "", now)

    def standing(self, name: str = "tick", owner: str = "a") -> Standing:
        """Return where a job stands."""
        return next(found for found in self.store.standings(owner, "") if found.job == name)

    def consume(self, job: Job, *due: Due, until: int = 0, supersede: Reason | None = None) -> bool:
        """Consume to `until`, or to the last of `due`."""
        end = at(until) if until else max(each.last_for or each.scheduled_for for each in due)
        return self.store.consume(
            self.standing(job.name), end, due, job=job, supersede=supersede, node=self.node, now=end
        )

    def enqueue(self, job: Job, seconds: int) -> None:
        """Make one occurrence pending."""
        assert self.consume(job, run_at(seconds))

    def claim(self, number: int = 1, *, node: NodeFacts | None = None, seconds: int = 1000) -> list[Claim]:
        """Claim up to `number` runs."""
        return self.store.claim(node or self.node, range(100, 100 + number), at(seconds))

    def end(self, claim: Claim, seconds: int = 2000, **outcome: Any) -> bool:
        """End a claimed run, well unless said otherwise."""
        how = Outcome(**{"state": "succeeded", **outcome})
        ours = self.store.finish(claim.run, how, 0, at(seconds))
        if ours:
            self.store.conclude(claim.run, how, at(seconds))
        return ours

    def lose(self, seconds: int, owner: str = "a") -> list[Run]:
        """Recover a dead node; nothing of it is tried again."""
        lost = self.store.recover(owner, at(seconds))
        for run in lost:
            self.store.conclude(run, Outcome(state="lost", error=run.error), at(seconds))
        return lost

    def called(self, job: Job, seconds: int = 1, **facts: Any) -> Run:
        """Have a job called, at that second."""
        return self.found(self.store.call(Call(at=at(seconds), **facts), job, at(0)))

    def going(self, job: Job) -> Claim:
        """Return a run of a job that is called, and running."""
        run = self.called(job)
        claims = self.claim()
        assert [claim.run.id for claim in claims] == [run.id]
        return claims[0]

    def found(self, run_id: int | None) -> Run:
        """Return a run, which must be there."""
        run = self.store.run(run_id or 0)
        assert run is not None
        return run

    def states(self, *runs: Run) -> list[str]:
        """Return the states that these runs are in now."""
        return [self.found(run.id).state for run in runs]

    def rows(self, **which: Any) -> list[Run]:
        """Return runs, oldest first."""
        return self.store.runs(RunFilter(limit=100_000, **which))[::-1]

    def counted(self) -> int:
        """Return how many occurrences the ledger stands for."""
        return sum(run.count for run in self.rows())

    def on_two_machines(self) -> Job:
        """A job that counts on each machine: it started twice on m and once on n."""
        job = make_job("each", run_per_machine=True, concurrency="allow")
        for owner, machine, count in (("x", "m", 2), ("y", "n", 1)):
            node = make_node(owner)
            self.store.join(node)
            self.store.register(owner, [job], machine, at(0))
            (standing,) = self.store.standings(owner, machine)
            due = [run_at(second) for second in range(1, count + 1)]
            self.store.consume(standing, at(count), due, job=job, supersede=None, node=node, now=at(count))
        for machine, owner in (("m", "x"), ("n", "y")):
            self._start_all(owner, machine)
        return job

    def _start_all(self, owner: str, machine: str) -> None:
        node = make_node(owner)._replace(machine=machine)
        for claim in self.store.claim(node, range(100, 110), at(10)):
            self.store.finish(claim.run, Outcome(state="succeeded"), 0, at(11))


@contextmanager
def raises(kind: type[JobrunnerError], *, code: str | None = None) -> Iterator[list[JobrunnerError]]:
    """Expect an error of this kind and code; the list holds it afterwards."""
    found: list[JobrunnerError] = []
    try:
        yield found
    except kind as error:
        found.append(error)
    assert found, f"no {kind.__name__} was raised"
    assert code in {None, found[0].code}, f"its code is {found[0].code}"


def facts(runs: Sequence[Run]) -> list[tuple[int | None, str, str | None, int]]:
    """Return (second, state, reason, count) of runs."""
    return [
        (
            None if run.scheduled_for is None else (run.scheduled_for - T0) // SECOND,
            run.state,
            run.reason,
            run.count,
        )
        for run in runs
    ]
