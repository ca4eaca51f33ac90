"""What a run logs: plain stdlib logging, into the run's log, each line with its moment in UTC.

`logger`, bound to the run, is written once and always alike. All other loggers are heard from INFO on,
through a handler on the root that is there until user code brings one of its own.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

from jobrunner.clock import MILLISECOND, to_iso

_OF_RUN = "%(asctime)s %(levelname)s %(message)s"
_OF_OTHERS = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_basic_config = logging.basicConfig


def job_logger(job: str, run_id: int) -> logging.Logger:
    """Return the job's logger; its records carry `job` and `run_id`."""
    logger = logging.getLogger(f"job.{job}")
    logger.__class__ = _RunLogger
    logger.propagate = False  # _Onward does that, and writes nothing twice
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _ToLog) for handler in logger.handlers):
        logger.addHandler(_ToLog(_OF_RUN))
        logger.addHandler(_Onward())

    def stamp(record: logging.LogRecord) -> bool:
        record.job, record.run_id = job, run_id
        return True

    logger.filters[:] = [stamp]
    return logger


def hear_all() -> None:
    """Let the records of all other loggers into the log, from INFO on, until user code says otherwise."""
    logging.basicConfig = _configure
    logging.root.addHandler(_Default(_OF_OTHERS))
    if logging.root.level == logging.WARNING:  # what it is when nobody has set it
        logging.root.setLevel(logging.INFO)


class _RunLogger(logging.Logger):
    """`logging.config` disables the loggers that it does not know; this one goes on."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(self, _: bool) -> None:
        pass


class _Stamped(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return to_iso(round(record.created * 1000) * MILLISECOND)


class _ToLog(logging.StreamHandler[TextIO]):
    """Writes to whatever `sys.stderr` is at that moment."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self.setFormatter(_Stamped(pattern))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Default(_ToLog):
    """What is on the root by default: silent as soon as the user's own handlers write to the log."""

    def emit(self, record: logging.LogRecord) -> None:
        if not any(handler is not self and _writes_to_log(handler) for handler in logging.root.handlers):
            super().emit(record)


class _Onward(logging.Handler):
    """Hands the run's records to the root's handlers, but not to those that write to the log once more."""

    def emit(self, record: logging.LogRecord) -> None:
        for handler in logging.root.handlers:
            if record.levelno >= handler.level and not _writes_to_log(handler):
                handler.handle(record)


def _writes_to_log(handler: Any) -> bool:
    if isinstance(handler, _ToLog):
        return True
    stream: Any = getattr(handler, "stream", None) or getattr(getattr(handler, "console", None), "file", None)
    try:
        return stream.fileno() in (1, 2)
    except Exception:  # no stream, one without a descriptor, or a closed one
        return False


def _configure(**how: Any) -> None:
    """Be `logging.basicConfig`, for which our handler does not count: it does nothing if there is one."""
    ours = [handler for handler in logging.root.handlers if isinstance(handler, _Default)]
    for handler in ours:
        logging.root.removeHandler(handler)
    try:
        _basic_config(**how)
    finally:
        for handler in ours if not logging.root.handlers else ():
            logging.root.addHandler(handler)
