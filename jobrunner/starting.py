"""How a committed claim comes to its child; and comes to another one, when its commit met a conflict."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jobrunner import failpoints
from jobrunner.clock import SECOND, Clock, Instant
from jobrunner.events import Event, JobFinished, Started
from jobrunner.executor import LogWindow
from jobrunner.handout import Executor, StopState, run_spec
from jobrunner.hooks import Hooks
from jobrunner.masking import Masker
from jobrunner.model import Claim, Job, Outcome, Run
from jobrunner.requests import Talk
from jobrunner.settings import Settings
from jobrunner.underway import Live


class Starter:
    """Starts bodies. `lives` are the runs under way; `source` finds the text of a file that was broken."""

    settings: Settings
    masker: Masker

    def __init__(
        self, executor: Executor, hooks: Hooks, clock: Clock, lives: dict[int, Live],
        emit: Callable[[Event], None], source: Callable[[Job], str | None],
    ) -> None:  # fmt: skip
        self._executor = executor
        self._hooks = hooks
        self._clock = clock
        self._lives = lives
        self._emit = emit
        self._source = source

    def start(self, claim: Claim, job: Job) -> None:
        """Give a committed claim to its child."""
        live, run = self.take(claim, job), claim.run
        failpoints.reach("after-claim-commit")
        failpoints.reach("before-go")
        self._hand_over(live, run.pid or 0)
        failpoints.reach("after-go")
        self._tell(claim, job, run)

    def take(self, claim: Claim, job: Job) -> Live:
        """Note that a run is ours."""
        log = LogWindow(self.settings.log_limit, claim.run.log_bytes)
        live = Live(claim, job, log, self.masker.stream(), self._clock.monotonic(), Talk(claim.run))
        self._lives[claim.run.id] = live
        return live

    def _tell(self, claim: Claim, job: Job, run: Run) -> None:
        late = None if run.scheduled_for is None else (run.started_at or 0) - run.effective_at
        self._emit(Started(run.id, run.job, run.attempt, late))
        if run.began_at is not None:  # before it waited: it goes on
            return
        self._hooks.started(run, job)
        if claim.is_last and run.trigger == "schedule" and run.attempt == 1:
            self._emit(JobFinished(run.job, job.number_of_executions or 0))

    def _hand_over(self, live: Live, pid: int) -> None:
        job = live.job
        spec = run_spec(live.claim, job, self.settings, self.masker.secrets, self._source(job))
        self._executor.run(spec, pid, job.timeout, job.runs_per_process, job.executor)

    # -- once more -----------------------------------------------------------------------------------

    def repeats(self) -> list[Live]:
        """Return the runs that wait for another child, as far as it is time for them."""
        monotonic = self._clock.monotonic()
        return [live for live in self._waiting() if live.repeat_at <= monotonic]

    def _waiting(self) -> list[Live]:
        return [live for live in self._lives.values() if live.repeat is not None and live.outcome is None]

    def next_repeat(self) -> Instant | None:
        """Return when the first of those is to run that are not to yet, or None."""
        monotonic = self._clock.monotonic()
        waits = [live.repeat_at - monotonic for live in self._waiting() if live.repeat_at > monotonic]
        return self._clock.now() + round(min(waits) * SECOND) if waits else None

    def run_again(self, chosen: Iterable[tuple[Live, int]]) -> None:
        """Start bodies again, each in the child that was chosen for it; the runs have never ended."""
        for live, pid in chosen:
            live.repeat = None
            live.sign(self._clock.monotonic())
            self._hand_over(live, pid)

    def stop(self, run_id: int, state: StopState, reason: str | None) -> None:
        """Bring a run to its end; one that waits for a child has come to it."""
        live = self._lives.get(run_id)
        if live is not None and live in self._waiting():
            live.end(Outcome(state=state, reason=reason), self.masker, self._clock.now())
        else:
            self._executor.stop(run_id, state, reason)
