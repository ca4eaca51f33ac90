"""Why a run failed, as bounded text: the user's frames only, with the chain of causes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from jobrunner.errors import escaped
from jobrunner.outcomes import PermanentFailure
from jobrunner.wire import ErrorInfo

LONGEST_MESSAGE = 4 * 1024
LONGEST_TRACEBACK = 64 * 1024
_HARNESS = os.path.dirname(os.path.abspath(__file__)) + os.sep  # noqa: PTH120
_ENGINES = (_HARNESS, f"{os.sep}asyncio{os.sep}", "<frozen ")


def describe(error: BaseException, phase: str, mask: Callable[[str], str] = str) -> ErrorInfo:
    """Return what is kept of an exception; never raises, however hostile the exception is.

    `mask` hides secrets; it has its turn before anything is cut: of half a secret nobody knows it is one.
    """
    info = ErrorInfo(
        type=shorten(type(error).__qualname__, 500),
        message=shorten(mask(_message(error)), LONGEST_MESSAGE),
        traceback=shorten(mask(_traceback(error)), LONGEST_TRACEBACK),
        phase=phase,
    )
    if _is_permanent(error):
        info["permanent"] = True
    return info


def _is_permanent(error: BaseException) -> bool:
    try:
        return isinstance(error, PermanentFailure)
    except BaseException:  # a __class__ of the user's
        return False


def in_short(error: BaseException) -> str:
    """Return `Type: message` on one line; the message may be the work of a hostile __str__."""
    said = _on_one_line(_message(error))[:300]
    name = _on_one_line(type(error).__name__)[:100]
    return f"{name}: {said}" if said else name


def _on_one_line(text: str) -> str:
    """Return text without line ends, and with what a terminal would obey as its escapes."""
    return escaped(" ".join(text.split()))


def advice(error: BaseException) -> str | None:
    """Return what to do about an error of importing, where that is clear."""
    if isinstance(error, ModuleNotFoundError):
        name = _on_one_line(str(error.name))[:100]
        return f"install {name}, or correct the name; the project root is importable"
    return None


def line_in(error: BaseException, path: str) -> int | None:
    """Return the line of the file at `path` that the error passed through last."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def shorten(text: str, longest: int) -> str:
    """Return text of at most about `longest` bytes of UTF-8: its beginning and its end."""
    clean = text.encode("utf-8", "backslashreplace")
    if len(clean) <= longest:
        return clean.decode()
    half = longest // 2
    cut = len(clean) - 2 * half
    head, tail = clean[:half].decode("utf-8", "ignore"), clean[-half:].decode("utf-8", "ignore")
    return f"{head}\n… {cut} bytes left out …\n{tail}"


def _message(error: BaseException) -> str:
    try:
        return str.__str__(str(error))  # of a subclass too, the plain value
    except BaseException as another:
        return f"<its message cannot be shown: {type(another).__name__}>"


def _traceback(error: BaseException) -> str:
    try:
        told = traceback.TracebackException.from_exception(error)
        _trim(told)
        return "".join(told.format())
    except BaseException as another:
        return f"<its traceback cannot be shown: {type(another).__name__}>"


def _trim(told: traceback.TracebackException | None) -> None:
    """Drop our frames, and asyncio's before the first of the user's, all along the chain."""
    seen: set[int] = set()
    waiting = [told]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())]
        frames = [frame for frame in one.stack if not frame.filename.startswith((_HARNESS, "<frozen "))]
        while frames and any(engine in frames[0].filename for engine in _ENGINES):
            del frames[0]
        one.stack[:] = frames


def leave_fork(error: BaseException | None) -> NoReturn:
    """End a fork that the body made and that came back to us as if it were the run."""
    if isinstance(error, SystemExit):
        os._exit(error.code if isinstance(error.code, int) else int(error.code is not None))
    if error is not None:
        print(describe(error, "body")["traceback"], file=sys.stderr, flush=True)
    os._exit(0 if error is None else 1)
