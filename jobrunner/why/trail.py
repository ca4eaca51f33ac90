"""What the audit trail tells of a moment: which nodes lived, when the machine slept, who had said what."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from jobrunner.clock import Instant, from_iso
from jobrunner.facts import CONTROL, NodeFacts, Note

Span = tuple[Instant, Instant]
Gap = tuple[Instant | None, Instant | None]  # None: nobody knows, or it lasts


class Trail:
    """The notes about a job and about all jobs, in any order, and the nodes that joined and have not left.

    `dead` are the owners of nodes that are proven dead.
    """

    def __init__(
        self, notes: Iterable[Note], nodes: Sequence[NodeFacts], dead: Collection[str], now: Instant
    ) -> None:
        self._notes = sorted(notes, key=lambda note: (note.at, note.id))
        self._now = now
        self._lives = sorted([*self._written_lives(), *(_life(node, dead, now) for node in nodes)])

    def last(self, actions: Collection[str], until: Instant, job: str | None) -> Note | None:
        """Return the last note with one of these actions, about this job (None: about all) and no later."""
        key = (job or "").casefold()
        for note in reversed(self._notes):
            if note.at <= until and note.action in actions and (note.job or "").casefold() == key:
                return note
        return None

    def between(self, actions: Collection[str], start: Instant, end: Instant) -> list[Note]:
        """Return the notes with one of these actions from `start` to `end`."""
        return [note for note in self._notes if note.action in actions and start <= note.at <= end]

    def nap(self, instant: Instant) -> Span | None:
        """Return when the machine slept around a moment, if it did."""
        for note in self._notes:
            span = _slept(note) if note.action == "slept" else None
            if span is not None and span[0] <= instant <= span[1]:
                return span
        return None

    def gap(self, instant: Instant) -> Gap | None:
        """Return the time around a moment in which no node lived, or None: one did."""
        if any(start <= instant <= end for start, end in self._lives):
            return None
        before = max((end for _, end in self._lives if end < instant), default=None)
        after = min((start for start, _ in self._lives if start > instant), default=None)
        return before, after

    def _written_lives(self) -> list[Span]:
        """Return the lives that have ended; nodes may share a name, and one end ends one of them."""
        born: dict[tuple[str, str], list[Instant]] = defaultdict(list)
        lives: list[Span] = []
        for note in self._notes:
            who = note.actor, _pid(note)
            if note.action == "node-start" and not note.detail.endswith(CONTROL):
                born[who].append(note.at)
            elif note.action in ("node-stop", "node-died") and (born[who] or born[note.actor, ""]):
                lives.append(((born[who] or born[note.actor, ""]).pop(0), _end(note)))
        return lives


def _life(node: NodeFacts, dead: Collection[str], now: Instant) -> Span:
    return node.started_at, node.seen_at if node.owner in dead else now


def _pid(note: Note) -> str:
    found = re.search(r"\bpid (\d+)", note.detail)
    return found[1] if found else ""


def _end(note: Note) -> Instant:
    """Return when a node was alive for the last time."""
    if note.action == "node-died":
        try:
            return from_iso(note.detail.split()[0])
        except (ValueError, IndexError):
            return note.at
    return note.at


def _slept(note: Note) -> Span | None:
    start, _, end = note.detail.partition("/")
    try:
        return from_iso(start.strip()), from_iso(end.split()[0])
    except (ValueError, IndexError):
        return None
