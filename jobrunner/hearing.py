"""What the executor saw of our runs: that they began, what they wrote and asked for, how they ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jobrunner import failpoints
from jobrunner.clock import Clock
from jobrunner.errors import BadRequest
from jobrunner.events import Event, NoProcess, Output, ProcessesAgain, Progressed
from jobrunner.executor import Asked, Began, Ended, HookEnded, HookOutput, Starved
from jobrunner.executor import Output as RunOutput
from jobrunner.executor.ending import lost
from jobrunner.handout import Executor
from jobrunner.liveness import Tenure
from jobrunner.masking import Masker
from jobrunner.model import Outcome
from jobrunner.requests import Requests, refusal
from jobrunner.telling import Telling
from jobrunner.underway import Live
from jobrunner.wire import LAPSED


class Hearing:
    """Takes happenings in; nothing is in the store by that. `masker` returns the one that is valid now."""

    def __init__(
        self, executor: Executor, lives: dict[int, Live], requests: Requests, telling: Telling, clock: Clock,
        emit: Callable[[Event], None], tenure: Tenure, masker: Callable[[], Masker],
    ) -> None:  # fmt: skip
        self._executor = executor
        self._lives = lives
        self._requests = requests
        self._telling = telling
        self._clock = clock
        self._emit = emit
        self._tenure = tenure
        self._masker = masker

    def hear(self) -> None:
        """Take in all that has happened since the last call."""
        for happening in self._executor.happened():
            if isinstance(happening, HookOutput | HookEnded):
                self._telling.hear(happening, self._lives)
            elif isinstance(happening, Starved):
                starved = happening.problem
                self._emit(NoProcess(starved) if starved is not None else ProcessesAgain())
            elif (live := self._lives.get(happening.run_id)) is not None:
                self._note(live, happening)

    def _note(self, live: Live, happening: Began | RunOutput | Asked | Ended) -> None:
        match happening:
            case Began(pid=pid):
                live.begun = pid, self._clock.now()
                failpoints.reach("body")
            case RunOutput(run_id=run_id, data=data):
                self._emit(Output(run_id, live.hear(data)))
            case Asked(number=number, verb=verb, payload=payload):
                self._asked(live, number, verb, payload)
            case Ended(outcome=outcome):
                rest = live.end(self._verdict(outcome), self._masker(), self._clock.now())
                if rest:
                    self._emit(Output(live.claim.run.id, rest))
                failpoints.reach("after-reply")

    def _verdict(self, outcome: Outcome) -> Outcome:
        """A run that was killed because its node may act no more is lost, as others would find it."""
        crashed = (outcome.error or {}).get("type") == "Crashed"
        return lost(LAPSED) if crashed and self._tenure.lapsed else outcome

    def _asked(self, live: Live, number: int, verb: str, payload: Mapping[str, Any]) -> None:
        run = live.claim.run
        if self._requests.knows(verb):
            live.heard_at = self._clock.monotonic()
            self._requests.hear(live.talk, number, verb, payload)
            return
        if verb not in ("progress", "heartbeat"):
            said = BadRequest(f"this version knows no request {verb!r:.50}")
            self._executor.answer(run.id, number, refusal(said))
            return
        if verb == "progress":
            live.progress = self._masker().data(dict(payload))
            self._emit(Progressed(run.id, run.job, live.progress or {}))
        live.sign(self._clock.monotonic())
        live.asked.append(number)
