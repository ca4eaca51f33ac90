"""Where people and programs change what nodes go by: who asks, of which jobs, and when."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from jobrunner.clock import Instant, SystemClock
from jobrunner.errors import ConfigError, UnknownJob
from jobrunner.facts import JobFacts
from jobrunner.liveness import liveness_of
from jobrunner.model import Job
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.wording import one_line


@dataclass(frozen=True, slots=True)
class Target:
    """A job that somebody wants to change; `job` is None when no file that can be used defines it."""

    fact: JobFacts
    job: Job | None

    @property
    def name(self) -> str:
        """Its name, as the state has it."""
        return self.fact.name


@dataclass(frozen=True, slots=True)
class Desk:
    """An open state, in a transaction; what the files say of jobs that were named, who asks, and when."""

    settings: Settings
    store: Store
    registry: Registry | None
    actor: str
    now: Instant

    @property
    def files(self) -> Registry:
        """Return what the files say, as read before the transaction: to read them may take seconds."""
        assert self.registry is not None, "a desk that is asked for jobs is opened with their names"
        return self.registry

    def targets(self, names: Sequence[str]) -> list[Target]:
        """Return the jobs of these names, each once; one that the state does not know yet is enrolled."""
        once = {name.casefold(): name for name in names}
        return [self._target(name) for name in once.values()]

    def target(self, name: str) -> Target:
        """Return one job."""
        return self.targets([name])[0]

    def _target(self, name: str) -> Target:
        fact = self.store.job(name)
        try:
            job = self.files.find(name)
        except (UnknownJob, ConfigError):
            if fact is None:
                raise
            return Target(fact, None)
        if fact is None:
            self.store.enroll(job, self.now)
        return Target(self.again(job.name), job)

    def again(self, name: str) -> JobFacts:
        """Return a job's facts as they are now."""
        fact = self.store.job(name)
        assert fact is not None  # it was enrolled, and our transaction is open
        return fact

    def note(self, action: str, job: str | None, detail: str) -> None:
        """Write a line of the audit trail."""
        self.store.note(self.actor, action, job, one_line(detail), self.now)


def read(registry: Registry, names: Sequence[str]) -> Registry:
    """Read all that may have to be executed to be read: nodes wait for whoever has the state's lock."""
    for name in names:
        with suppress(UnknownJob, ConfigError):  # said when the state was asked, too
            registry.find(name)
    return registry


@contextmanager
def writing(
    settings: Settings, store: Store, user: str | None, registry: Registry | None = None
) -> Iterator[Desk]:
    """Open a desk in one transaction of the store; wake the nodes when it is committed."""
    with store.transaction():
        yield Desk(settings, store, registry, actor(user), store.clock(SystemClock()).now())
    ring(settings, store)


def ring(settings: Settings, store: Store) -> None:
    """Wake all nodes: what they go by has changed."""
    liveness_of(store, settings).ring_all()


def actor(user: str | None) -> str:
    """Return who asks: as told, else user@host, whatever of it can be found out."""
    return user or f"{_user()}@{platform.node() or 'localhost'}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user id without a name, as containers have them
        return "unknown"


def because(who: str, reason: str | None) -> str:
    """Return who did something, and why: `by ana: too slow`."""
    return f"by {who}" + (f": {reason}" if reason else "")
