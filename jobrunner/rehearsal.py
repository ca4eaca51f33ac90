"""A run of nothing, so that the first real one finds all that it needs at hand.

A page of memory that a child writes to is copied for it. What every run writes but once, caches and the
counters in the code that it runs, is better written in the process that all are forks of: it rehearses
before the first fork. The rest, counted references, a child writes anew: it rehearses while it waits for
its run, so that these pages are its own before somebody waits for the run.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from jobrunner.child import Surroundings
from jobrunner.loading import PREFIX
from jobrunner.wire import READY, Frame, RunSpec, encode

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH120  (pathlib costs a megabyte)
_TIMES = 2  # what is noted at first is used from the second time on


def rehearse() -> None:
    """Do it; that it fails must harm nobody."""
    before = Surroundings()
    with contextlib.suppress(Exception):
        for _ in range(_TIMES):
            _run({"run": _spec(), "again": False})
    before.restore()
    for name in [name for name in sys.modules if name.startswith(PREFIX)]:
        del sys.modules[name]


def _run(frame: Frame) -> None:
    from jobrunner.body import Workshop
    from jobrunner.link import Link, here, pair

    ours, theirs = pair()
    before, link = here.link, Link(theirs.detach())
    try:
        link.post(READY)
        ours.sendall(encode(frame))
        heard: Any = link.wait()
        reply = Workshop().perform(heard["run"], link, last=True)
        link.send({"reply": reply})
    finally:
        link.close()
        ours.close()
        here.link = before


def _spec() -> RunSpec:
    return RunSpec(
        runId=0, job="rehearsal", file=os.path.join(_HERE, "rehearsed.py"), target="", folder=_HERE,
        root=_HERE, fileHash="", config={}, params={}, settings={}, services={}, trigger="call",
        scheduledFor=0, startedAt=0, attempt=1, rootId=0, node="", identity="", fence=0, isLast=False,
        last=None, cursor=None, memoryLimit=None, source=None, hook=None, delivery="at-least-once", steps=[],
        undo=0, secrets=[],
    )  # fmt: skip
