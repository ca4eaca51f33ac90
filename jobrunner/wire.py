"""The only words that node and run share: length-prefixed JSON frames over one socket pair.

    run -> node     {"ready": true}           a spare, or one that may serve another run, waits
    node -> run     {"run": RunSpec, "again": bool}   starts the body; "again": stay for another run
                    {"cancel": reason}        please end; `ctx.cancelled` turns true
                    {"answer": n, ...}        to request n; or {"answer": n, "error": {code, message, hint}}
    run -> node     {"began": true}           the next thing is the user's code
                    {"ask": n, "verb": ..., "payload": {...}}   see below
                    {"reply": Reply}          the last word; it decides the outcome

What a run may ask for. The node answers what changes something after the commit, else at once. Whatever a
run asks for after it was given up is answered with the error code "superseded".

    progress, heartbeat     {...}                     -> {}
    state.get               {key}                     -> {value, version}, version 0: there is none
    state.list              {prefix}                  -> {documents: [[key, value, version], ...], more};
                                                         while `more`, another answer to it follows
    state.write             {writes: [[key, value, deleted], ...]}      -> {existed: [bool, ...]}
    call                    {job, delay | at, params, identity, immediate}  -> {id, at}; what is not
                                                         immediate is checked and numbered; `effects` makes it
    call.cancel             {id}                      -> {state}, null: there is no such run
    once.get                {key}                     -> {recorded, result}
    once.set                {key, result}             -> {result}: the first that was recorded
    step.begin              {path, undo}              -> {}
    step.end                {path, tries, result, effects, error}  -> {}
    step.wait               {path, timeout}           -> {state, result, failure}: waiting, done or failed;
                                                         the timeout in microseconds, or null
    step.undone             {path, error}             -> {}
    effects                 WireEffects               never answered; in as many frames as it takes, before a
                                                         reply that says succeeded

A frame is four bytes of length, big-endian, then that many bytes of UTF-8 JSON. Never pickle: what a
job sends is data to the node, whoever wrote the job. A frame over `LONGEST` bytes is a broken peer.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, NotRequired, TypedDict

LAPSED = "its node could not renew its lease, and killed it"
LONGEST = 32 * 1024 * 1024
LONGEST_WORD = 6 * 1024 * 1024  # bytes of one that a run sends: 4 MiB of params, some escaped, and more
_LENGTH = struct.Struct("!I")

Frame = dict[str, Any]


class WireEffects(TypedDict, total=False):
    """What a run has read, and would have its commit change: see `jobrunner.effects`.

    A write is [key, value, deleted], a call [id, job, at, params, identity].
    """

    reads: Mapping[str, int]
    prefixes: Mapping[str, str]
    writes: list[list[Any]]
    calls: list[list[Any]]
    cancels: list[int]


class WireStep(TypedDict):
    """A step as the chain has left it; fields as in `model.Step`."""

    path: str
    state: str
    tries: int
    result: Any
    error: Mapping[str, Any] | None
    effects: WireEffects | None
    undo: Mapping[str, Any] | None
    undone: str | None
    undoError: Mapping[str, Any] | None


class HookCall(TypedDict):
    """A hook to call in place of the job's body.

    `target` is "hooks.py" (the function `name` of that file in the project root), "package.module:function",
    or ":function" of the job's own file. `run` is what the hook is told of the run: JSON, of which `error`
    and `result` can be asked for by themselves.
    """

    name: str
    target: str
    run: Mapping[str, Any]


class RunSpec(TypedDict):
    """All that a child needs to know to run a body. Instants are microseconds UTC, durations too."""

    runId: int
    job: str
    file: str  # absolute path of the job file, or "" for an entry-point job
    target: str  # "" for a file's default function, else "package.module:function"
    folder: str  # absolute path of the jobs folder that the file was found in
    root: str  # absolute path of the project root
    fileHash: str  # sha256 the node knows; the child reports what it really read
    config: Mapping[str, Any]
    params: Mapping[str, Any]
    settings: Mapping[str, Any]  # the project's own `settings:` section
    services: Mapping[str, Any]  # the `services:` section of jobrunner.yaml
    trigger: str
    scheduledFor: int | None
    startedAt: int
    attempt: int
    rootId: int
    node: str
    identity: str
    fence: int
    isLast: bool
    last: Mapping[str, Any] | None  # {"state", "result", "error", "finishedAt"} of the chain before
    cursor: Any
    memoryLimit: int | None  # bytes
    source: str | None  # the text to run in place of what the file says now
    hook: HookCall | None
    delivery: str
    steps: list[WireStep]  # in the order in which they first began
    undo: int  # the how-manieth try to take back the steps, in place of the body; 0: the body
    secrets: list[str]  # what the run hides in its own words before it shortens them; never stored


class ErrorInfo(TypedDict):
    """Why a run failed. `phase`: import, services, resolve, body, undo, result or cleanup.

    `permanent` is there, and true, when the body raised `PermanentFailure`.
    """

    type: str
    message: str
    traceback: str
    phase: str
    permanent: NotRequired[bool]
    attempt: NotRequired[int]  # of what has begun, and has not ended yet


class Reply(TypedDict):
    """A run's last word.

    `state` is succeeded, failed, skipped (the body raised `Skip`), canceled (it raised `Canceled` after
    having been asked) or waiting (it has gone until one of its waiting steps is completed). `result` is
    JSON; `truncated` marks one that was too large or not JSON and is therefore a shortened repr. `cursor` is
    there when the body succeeded and has assigned one.
    """

    state: str
    result: Any
    truncated: bool
    error: ErrorInfo | None
    fileHash: str
    cursor: NotRequired[Any]


class WireError(Exception):
    """The peer sent something that is no frame."""


_ENCODED = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode


def encode(frame: Mapping[str, Any], longest: int = LONGEST) -> bytes:
    """Return the bytes of a frame. Raises TypeError or ValueError when it is not JSON or too long."""
    data = _ENCODED(frame).encode("utf-8", "backslashreplace")
    if len(data) > longest:
        raise ValueError(f"a frame of {len(data)} bytes is over the limit of {longest}")
    return _LENGTH.pack(len(data)) + data


READY = encode({"ready": True})
BEGAN = encode({"began": True})


class Decoder:
    """Turns a stream of bytes, cut anywhere, back into frames."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield each frame that `data` completes. Raises WireError for what is no frame."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > self._longest:
                raise WireError(f"a frame announces {length} bytes")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield _frame(body)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


_JSON = json.JSONDecoder(parse_constant=_no_number)


def _frame(body: bytes) -> Frame:
    try:
        frame = _JSON.decode(body.decode())
    except (ValueError, RecursionError) as error:  # the latter: nested too deeply
        raise WireError(f"a frame is not JSON: {error}") from None
    if not isinstance(frame, dict):
        raise WireError("a frame is not a JSON object")
    return frame
