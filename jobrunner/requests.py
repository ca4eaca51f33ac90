"""WHAT RUNS ASK FOR: read at once, or written in the next transaction and answered after its commit.

The one place that turns the words of the wire into verbs of the store, for a node and for a test that runs a
body in its own process alike.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jobrunner import parameters, shapes, terms
from jobrunner.clock import Clock, Instant
from jobrunner.errors import BadRequest, JobrunnerError, StateError
from jobrunner.model import Job, Run
from jobrunner.store.base import Call, Effects, Store, Write
from jobrunner.wire import WireEffects

POISON = frozenset({"rule", "unstorable"})  # what no later try can store
RESERVE = 100  # ids for calls, reserved at once: a commit for each would cost more than the call
MOST_TOLD = 48 * 1024 * 1024  # characters of what one commit is to apply: calls and documents of 16 MiB each
MOST_LISTED = 24 * 1024 * 1024  # characters of documents that one `state.list` answers with
PAGE = 500  # documents in one answer
ROOM = 4 * 1024 * 1024  # characters of documents in one answer, or one more document

Payload = Mapping[str, Any]
Answer = dict[str, Any]


class Ask(NamedTuple):
    """A request that is to be answered; `refusal` is why it cannot be granted."""

    number: int
    verb: str
    payload: Payload
    refusal: Answer | None = None


@dataclass(slots=True)
class Talk:
    """What a run of ours has asked for and was not answered, and what its commit is to apply."""

    run: Run
    asks: list[Ask] = field(default_factory=list)
    answers: list[tuple[int, Answer]] = field(default_factory=list)  # true once the transaction is
    told: list[WireEffects] = field(default_factory=list)
    size: int = 0  # characters of what was told

    def settled(self) -> list[tuple[int, Answer]]:
        """The transaction is committed: return the answers to send."""
        answers, self.answers = self.answers, []
        self.asks.clear()
        return answers


class Requests:
    """Answers runs.

    `find` returns a job's definition by name, whoever holds it, or raises UnknownJob; `answer` takes a run's
    id, the number of its request, and what to say.
    """

    def __init__(
        self, store: Store, find: Callable[[str], Job], clock: Clock,
        answer: Callable[[int, int, Answer], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._find = find
        self._clock = clock
        self._answer = answer
        self._ids: deque[int] = deque()
        self._reserved: list[int] = []  # in the open transaction
        self.canceled = False  # runs were asked to end, perhaps some of this node
        self._reads: dict[str, Callable[[Talk, Payload], Sequence[Answer] | None]] = {
            "state.get": self._get,
            "state.list": self._list,
            "once.get": self._recorded,
            "call": self._call_later,
        }
        self._writes: dict[str, Callable[[Talk, Payload, Instant], Answer | None]] = {
            "state.get": lambda talk, payload, _: self._get(talk, payload)[-1],
            "once.get": lambda talk, payload, _: self._recorded(talk, payload)[-1],
            "state.write": self._write,
            "call": self._call,
            "call.cancel": self._cancel,
            "once.set": self._record,
            "step.begin": self._begin_step,
            "step.end": self._end_step,
            "step.wait": self._wait_step,
            "step.undone": self._undone,
        }

    def knows(self, verb: str) -> bool:
        """Say whether a verb is one of ours."""
        return verb == "effects" or verb in self._reads or verb in self._writes

    def hear(self, talk: Talk, number: int, verb: str, payload: Payload) -> None:
        """Take in a request: answer it, or keep it for `write`."""
        if verb == "effects":
            self._told(talk, payload)
            return
        try:
            shapes.check(verb, payload)
            answers = self._reads[verb](talk, payload) if verb in self._reads else None
        except JobrunnerError as error:
            answers = None if isinstance(error, StateError) and verb in self._writes else [refusal(error)]
        except Exception as error:  # what a run has said must not end its node
            answers = [misshapen(verb, error)]
        if answers is None:
            talk.asks.append(Ask(number, verb, payload))
        for answer in answers or ():
            self._answer(talk.run.id, number, answer)

    def _told(self, talk: Talk, payload: Payload) -> None:
        """Keep a part of what the commit is to apply; what goes beyond the limit is refused then."""
        talk.size += len(json.dumps(payload, ensure_ascii=False))
        if talk.size <= MOST_TOLD:
            talk.told.append(payload)  # type: ignore[arg-type]  # looked at when it is applied

    # -- in the transaction --------------------------------------------------------------------------

    def write(self, talk: Talk, now: Instant) -> None:
        """Do what a run has asked for, inside the caller's transaction. Raises StateError."""
        talk.answers = []
        for at, ask in enumerate(talk.asks):
            try:
                answer = ask.refusal or self._done(talk, ask, now)
            except StateError as error:
                if error.code in POISON:  # else this one would fail every transaction to come
                    talk.asks[at] = ask._replace(refusal=refusal(error))
                raise
            except Exception as error:  # likewise: the transaction that it broke is rolled back
                talk.asks[at] = ask._replace(refusal=misshapen(ask.verb, error))
                raise StateError(f"a request {ask.verb} of run {talk.run.id} cannot be granted") from error
            talk.answers.append((ask.number, answer))

    def _done(self, talk: Talk, ask: Ask, now: Instant) -> Answer:
        try:
            answer = self._writes[ask.verb](talk, ask.payload, now)
        except StateError:
            raise
        except JobrunnerError as error:
            return refusal(error)
        return SUPERSEDED if answer is None else answer

    def committed(self) -> None:
        """The ids that were reserved are ours."""
        self._ids += self._reserved
        self._reserved.clear()

    def failed(self) -> None:
        """The ids that were reserved are not ours."""
        self._reserved.clear()

    # -- what the commit of a run is to apply ---------------------------------------------------------

    def effects(self, talk: Talk) -> Effects:
        """Return what a run has told. Raises JobrunnerError for a call of a job that is no more."""
        told = talk.told
        if talk.size > MOST_TOLD:
            raise BadRequest(f"what its commit is to apply has more than {MOST_TOLD:,} characters as JSON")
        for each in told:
            shapes.check_effects(each)
        self.canceled = self.canceled or any(each.get("cancels") for each in told)
        return Effects(
            reads={key: version for each in told for key, version in each.get("reads", {}).items()},
            prefixes={key: digest for each in told for key, digest in each.get("prefixes", {}).items()},
            writes=[Write(*write) for each in told for write in each.get("writes", [])],
            calls=[self._called(talk, *call) for each in told for call in each.get("calls", [])],
            cancels=[number for each in told for number in each.get("cancels", [])],
        )

    def _called(
        self, talk: Talk, number: int, name: str, at: Instant, params: Payload, identity: str
    ) -> tuple[Job, Call]:
        call = Call(id=number, at=at, params=params, identity=identity, parent_id=talk.run.root_id)
        return self._find(name), call

    # -- documents -----------------------------------------------------------------------------------

    def _get(self, _: Talk, payload: Payload) -> Sequence[Answer]:
        found = self._store.document(payload["key"])
        return [{"value": found.value, "version": found.version} if found else {"value": None, "version": 0}]

    def _list(self, _: Talk, payload: Payload) -> Sequence[Answer]:
        pages = [[]]  # type: list[list[list[Any]]]
        room, whole = ROOM, 0
        for found in self._store.documents(payload["prefix"]):
            if room < 0 or len(pages[-1]) >= PAGE:
                pages.append([])
                room = ROOM
            pages[-1].append([found.key, found.value, found.version])
            size = len(json.dumps(found.value, ensure_ascii=False)) + len(found.key)
            room, whole = room - size, whole + size
            if whole > MOST_LISTED:
                said = f"what begins with {payload['prefix']!r:.100} has more than {MOST_LISTED:,} characters"
                raise BadRequest(said, hint="list it in parts, by longer prefixes")
        last = len(pages) - 1
        return [{"documents": page, "more": at < last} for at, page in enumerate(pages)]

    def _write(self, talk: Talk, payload: Payload, now: Instant) -> Answer | None:
        writes = [Write(*write) for write in payload["writes"]]
        existed = self._store.write_documents(talk.run, writes, now)
        return None if existed is None else {"existed": existed}

    def _recorded(self, talk: Talk, payload: Payload) -> Sequence[Answer]:
        recorded, result = self._store.recorded(talk.run.job_id, payload["key"])
        return [{"recorded": recorded, "result": result}]

    def _record(self, talk: Talk, payload: Payload, now: Instant) -> Answer | None:
        ours, result = self._store.record(talk.run, payload["key"], payload["result"], now)
        return {"result": result} if ours else None

    # -- calls ---------------------------------------------------------------------------------------

    def _call_later(self, _: Talk, payload: Payload) -> Sequence[Answer] | None:
        """Check and number a call that waits for its run's success; None: there is no number at hand."""
        at, _job = self._checked(payload, self._clock.now())
        if payload["immediate"] or not self._ids:
            return None
        return [{"id": self._ids.popleft(), "at": at}]

    def _call(self, talk: Talk, payload: Payload, now: Instant) -> Answer | None:
        if not self._is_ours(talk):
            return None
        at, job = self._checked(payload, now)
        if not payload["immediate"]:
            return {"id": self._next_id(), "at": at}
        call = Call(at=at, params=payload["params"], identity=payload["identity"], parent_id=talk.run.root_id)
        return {"id": self._store.call(call, job, now), "at": at}

    def _checked(self, payload: Payload, now: Instant) -> tuple[Instant, Job]:
        """Return when a call is due, and of which job. Raises JobrunnerError for what cannot be."""
        job = self._find(payload["job"])
        terms.params_text(payload["params"])
        parameters.check(job.name, job.parameters, job.params, payload["params"])
        at = now + payload["delay"] if "delay" in payload else payload["at"]
        return terms.within_reach(at, now), job

    def _next_id(self) -> int:
        if not self._reserved and not self._ids:
            first = self._store.reserve(RESERVE)
            self._reserved += range(first, first + RESERVE)
        return self._ids.popleft() if self._ids else self._reserved.pop(0)

    def _cancel(self, talk: Talk, payload: Payload, now: Instant) -> Answer | None:
        if not self._is_ours(talk):
            return None
        self.canceled = True
        return {"state": self._store.cancel(payload["id"], now)}

    def _is_ours(self, talk: Talk) -> bool:
        """Say whether a run is still running, and by the claim that we know of."""
        run = self._store.run(talk.run.id)
        return run is not None and (run.state, run.fence) == ("running", talk.run.fence)

    # -- steps ---------------------------------------------------------------------------------------

    def _begin_step(self, talk: Talk, payload: Payload, now: Instant) -> Answer | None:
        ours = self._store.begin_step(talk.run, payload["path"], payload["undo"], now)
        return {} if ours else None

    def _end_step(self, talk: Talk, payload: Payload, now: Instant) -> Answer | None:
        ours = self._store.end_step(
            talk.run, payload["path"], tries=payload["tries"], result=payload["result"],
            effects=payload["effects"], error=payload["error"], now=now,
        )  # fmt: skip
        return {} if ours else None

    def _wait_step(self, talk: Talk, payload: Payload, now: Instant) -> Answer | None:
        timeout = payload["timeout"]
        deadline = None if timeout is None else now + int(timeout)
        step = self._store.wait_step(talk.run, payload["path"], deadline, now)
        return None if step is None else {"state": step.state, "result": step.result, "failure": step.error}

    def _undone(self, talk: Talk, payload: Payload, now: Instant) -> Answer | None:
        ours = self._store.undone(talk.run, payload["path"], payload["error"], now)
        return {} if ours else None


SUPERSEDED: Answer = {
    "error": {
        "code": "superseded",
        "message": "this run was given up: another has taken its place, and nothing was written",
        "hint": None,
    }
}


def refusal(error: JobrunnerError) -> Answer:
    """Return the answer that says why not."""
    told = {"code": error.code, "message": error.message, "hint": error.hint}
    return {"error": {**told, "argument": getattr(error, "argument", None)}}


def misshapen(verb: str, error: Exception) -> Answer:
    """Return the answer to a request that is none: no version of ours asks so."""
    return refusal(BadRequest(f"a request {verb!r:.50} of the wrong shape: {error!r:.200}"))
