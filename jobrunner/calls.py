"""`scheduler`: runs of other jobs, or of this one, that a run asks for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from jobrunner import terms
from jobrunner.effects import Effects, current
from jobrunner.errors import BadArgument
from jobrunner.link import Line

LONGEST_NAME = 128  # characters of a job's name
IDENTITY = "system"  # who a call acts for: the caller's identity is not inherited
_LARGEST_ID = (1 << 63) - 1


class Scheduler:
    """Asks for runs. What it is asked for is done if this run succeeds, and else not at all.

    With `immediate=True` it is done at once, whatever becomes of this run. A run may make 1000 calls, of
    4 MiB of params each and 16 MiB together. Safe to use from threads. Each bad argument is a BadArgument
    that names it, an unknown job UnknownJob.
    """

    def __init__(self, line: Line, *, at_once: bool = False) -> None:
        """With `at_once` all is immediate: of steps that are taken back each is noted for itself, so what
        one has asked for must not hang on the others."""
        self._line = line
        self._at_once = at_once

    def run_after(
        self, delay: float | timedelta | str, name: str, /, *,
        immediate: bool = False, params: Mapping[str, Any] | None = None, **more: Any,
    ) -> int:  # fmt: skip
        """Have the job `name` run after a delay: seconds, a timedelta, or text such as "1h30m"; returns the
        run's id.

        Its params are the other keyword arguments; those that are called like one of ours go into `params`.
        """
        return self._call({"delay": terms.delay(delay)}, name, immediate, params, more)

    def run_at(
        self, when: datetime | float, name: str, /, *,
        immediate: bool = False, params: Mapping[str, Any] | None = None, **more: Any,
    ) -> int:  # fmt: skip
        """Have the job `name` run at an aware datetime, or so many seconds after 1970; returns the run's id.

        The past means now. Params are given as to `run_after`.
        """
        return self._call({"at": terms.moment(when)}, name, immediate, params, more)

    def cancel(self, run_id: int, *, immediate: bool = False) -> None:
        """Cancel a run: one that waits never starts, one under way is asked to end.

        A call of this run's own, not made yet, is then never made. With `immediate` a run that there is not
        is a BadArgument.
        """
        self._line.check()
        terms.flag(immediate, "immediate")
        if not isinstance(run_id, int) or isinstance(run_id, bool) or not 0 < run_id <= _LARGEST_ID:
            raise BadArgument(f"run_id is {run_id!r:.100}: it must be the id of a run", argument="run_id")
        if not (immediate or self._at_once):
            self._effects.cancel(run_id)
        elif self._line.request("call.cancel", {"id": run_id})["state"] is None:
            raise BadArgument(f"run_id is {run_id}: there is no such run", argument="run_id")

    @property
    def _effects(self) -> Effects:
        return current(self._line.effects)

    def _call(
        self, due: Mapping[str, int], name: str, immediate: bool,
        params: Mapping[str, Any] | None, more: Mapping[str, Any],
    ) -> int:  # fmt: skip
        self._line.check()
        terms.name_of(name, "name", LONGEST_NAME)
        terms.flag(immediate, "immediate")
        immediate = immediate or self._at_once
        whole, size = terms.params_of(params, more)
        effects, booking = self._effects, object()
        self._book(booking, size)
        kept = False
        try:
            payload = {"job": name, "params": whole, "identity": IDENTITY, "immediate": immediate}
            answer = self._line.request("call", {**payload, **due})
            kept = immediate
            if not immediate:
                effects.call(answer["id"], name, answer["at"], whole, IDENTITY)
        finally:
            if not kept:  # it was not made, or is counted among the effects
                effects.called.drop(booking)
        return int(answer["id"])

    def _book(self, booking: object, size: int) -> None:
        """Count a call before it is made: other threads make some, too."""
        effects = self._effects
        with effects.lock:
            count, together = effects.called.would_be(booking, size)
            if count > terms.MOST_CALLS:
                said = f"name: this would be call {count:,} of this run; it may make {terms.MOST_CALLS:,}"
                raise BadArgument(said, argument="name")
            if together > terms.MOST_BYTES:
                said = f"params: those of this run's calls would have {together:,} bytes; 16 MiB is the most"
                raise BadArgument(said, argument="params")
            effects.called.put(booking, size)
