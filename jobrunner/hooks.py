"""WHO IS TOLD: the project's hooks, called after the commit, in a process of their own, at most once.

Nothing here is stored: what a node had not called when it died is not called again. What a hook prints,
and how it fails, goes to the log of its run; the run itself is what it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from jobrunner.clock import Instant
from jobrunner.events import Event, HookFailed, Skipped
from jobrunner.executor import HookEnded, HookOutput
from jobrunner.handout import hook_spec
from jobrunner.housekeeping import is_ours
from jobrunner.masking import Masker, Stream
from jobrunner.model import Job, Outcome, Run
from jobrunner.record import run_object
from jobrunner.settings import Settings
from jobrunner.wire import HookCall, RunSpec

BACKLOG = 1000  # calls that may wait; the oldest are dropped beyond
AT_ONCE = 8  # calls under way at most: they take no slots
LONGEST = 64 * 1024  # bytes of one hook's output that are kept
AT_THE_END = {
    "succeeded": ("on_success", "on_finish"),
    "failed": ("on_failure", "on_finish"),
    "timed_out": ("on_failure", "on_finish"),
    "lost": ("on_failure", "on_finish"),
    "canceled": ("on_finish",),
    "skipped": ("on_skip", "on_finish"),
}


class Callers(Protocol):
    """What runs hooks."""

    def run_hook(self, spec: RunSpec, number: int) -> bool:
        """Start a hook; False when it has to be tried again later."""
        ...


@dataclass(slots=True)
class Call:
    """A hook that is to be called, or under way."""

    hook: str
    run: Run
    spec: RunSpec
    stream: Stream
    output: bytearray = field(default_factory=bytearray)


class Hooks:
    """The calls of one node. `named` are the hooks that the project's hooks.py has."""

    def __init__(self, callers: Callers, settings: Settings, masker: Masker, named: frozenset[str]) -> None:
        self._callers = callers
        self.settings = settings
        self.masker = masker
        self._numbers = count(1)
        self._waiting: deque[Call] = deque(maxlen=BACKLOG)
        self._under_way: dict[int, Call] = {}
        self.named = named

    @property
    def busy(self) -> bool:
        """Whether a call waits or is under way."""
        return bool(self._waiting or self._under_way)

    def drop(self) -> None:
        """Call nothing more."""
        self._waiting.clear()

    def started(self, run: Run, job: Job) -> None:
        """A chain has begun."""
        if run.attempt == 1:
            self._call("on_start", run, job)

    def ended(self, run: Run, outcome: Outcome, job: Job | None) -> None:
        """A chain has come to its final outcome; of a job that nobody defines any more nobody is told."""
        if job is None:
            return
        told = run._replace(
            state=outcome.state, reason=outcome.reason, result=outcome.result, error=outcome.error
        )
        for hook in AT_THE_END[outcome.state]:
            self._call(hook, told, job)

    def skipped(self, event: Skipped, job: Job | None, find: Callable[[], Run | None]) -> None:
        """Occurrences do not run; `find` returns their row in the ledger."""
        if job is not None and any(self._targets("on_skip", job)):
            self._call("on_skip", find() or _of_skip(event, job), job)

    def pump(self) -> None:
        """Start what waits, as long as there are processes for it."""
        while self._waiting and len(self._under_way) < AT_ONCE:
            number = next(self._numbers)
            if not self._callers.run_hook(self._waiting[0].spec, number):
                return
            self._under_way[number] = self._waiting.popleft()

    def hear(self, happening: HookOutput | HookEnded) -> Iterator[tuple[Run, bytes, Event | None]]:
        """Take in what became of a call; yields (run, what belongs in its log, event) when it is over."""
        call = self._under_way.get(happening.number)
        if call is None:
            return
        if isinstance(happening, HookOutput):
            shown = call.stream.feed(happening.data)
            call.output += shown[: LONGEST - len(call.output)]
            return
        del self._under_way[happening.number]
        log = bytes(call.output + call.stream.end())
        failed: Event | None = None
        if happening.outcome.state not in ("succeeded", "skipped"):
            error = self.masker.data(happening.outcome.error or {})
            sentence = f"{error.get('type')}: {error.get('message')}"
            whole = str(error.get("traceback") or sentence).strip()
            log += f"hook {call.hook} failed: {whole}\n".encode()
            failed = HookFailed(call.run.id, call.run.job, call.hook, sentence)
        yield call.run, log, failed

    def _call(self, hook: str, run: Run, job: Job) -> None:
        for target in self._targets(hook, job):
            facts = run_object(run)
            call = HookCall(name=hook, target=target, run=facts)
            spec = hook_spec(run, job, self.settings, self.masker.secrets, call)
            self._waiting.append(Call(hook, run, spec, self.masker.stream()))

    def _targets(self, hook: str, job: Job) -> Iterator[str]:
        if is_ours(job.name):  # nobody asked for these
            return
        if hook in self.named:
            yield "hooks.py"
        if hook in job.hooks:
            yield job.hooks[hook]


def _of_skip(event: Skipped, job: Job) -> Run:
    at: Instant = event.scheduled_for
    return Run(
        id=0, job_id=0, job=job.name, trigger="schedule", scope="", scheduled_for=at, effective_at=at,
        state="skipped", attempt=1, root_id=0, reason=event.reason, created_at=at, count=event.count,
    )  # fmt: skip
