"""Labels: what a node has, in words of the project's own, and what a job's `runsOn` asks for."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=-]{0,99}")

Reach = (
    Sequence[Collection[str]] | None
)  # the labels of each node that works; None: none does, or none is known


def is_label(value: object) -> bool:
    """Say whether this can be a label."""
    return isinstance(value, str) and LABEL.fullmatch(value) is not None


def lacking(wanted: Sequence[str], has: Collection[str]) -> tuple[str, ...]:
    """Return which of the wanted labels are not there."""
    return tuple(label for label in wanted if label not in has) if wanted else ()


def nowhere(wanted: Sequence[str], reach: Reach) -> tuple[str, ...]:
    """Return the labels that no working node has, or all that none has together; () where one may run it,
    and while none works."""
    if not wanted or not reach or any(not lacking(wanted, has) for has in reach):
        return ()
    everywhere = {label for has in reach for label in has}
    return lacking(wanted, everywhere) or tuple(wanted)


def unreached(wanted: Sequence[str], reach: Reach) -> str | None:
    """Return the words for what keeps a job from every node, or None."""
    missing = nowhere(wanted, reach)
    return f"no running node has {said(missing)}" if missing else None


def said(labels: Sequence[str]) -> str:
    """Return `the label gpu` or `all of the labels gpu, big`."""
    return f"{'the label' if len(labels) == 1 else 'all of the labels'} {', '.join(labels)}"
