"""The logger that a body is handed: plain stdlib logging, into the run's log, stamped with the run."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(message)s"


class _ToLog(logging.StreamHandler[TextIO]):
    """Writes to whatever `sys.stderr` is at that moment, unless the user has configured logging."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.root.handlers:
            self.stream = sys.stderr
            super().emit(record)


def job_logger(job: str, run_id: int) -> logging.Logger:
    """Return the job's logger; its records carry `job` and `run_id`."""
    logger = logging.getLogger(f"job.{job}")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _ToLog) for handler in logger.handlers):
        handler = _ToLog()
        handler.setFormatter(logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S"))
        logger.addHandler(handler)

    def stamp(record: logging.LogRecord) -> bool:
        record.job, record.run_id = job, run_id
        return True

    logger.filters[:] = [stamp]
    return logger
