"""The body that all run: it says when it began, and when it was asked for."""

from __future__ import annotations

import os
import time


def note(asked: float = 0.0) -> None:
    """Append a line of fixed length: now, and the moment that came along."""
    now = time.time()
    handle = os.open(os.environ["BENCH_OUT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, b"%017.6f %017.6f\n" % (now, asked))
    os.close(handle)
