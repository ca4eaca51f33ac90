"""How a store says that it cannot: StateErrors with a stable code."""

from __future__ import annotations

from jobrunner.errors import StateError


def fault(code: str, message: str, *, hint: str | None = None) -> StateError:
    """Return a StateError of this code.

    Codes: busy, full, read-only, io, not-a-database, corrupt, replaced, state-missing, too-new, network-fs,
    rule (a CHECK or UNIQUE of the schema says no), unstorable (a value), unknown-node, unsupported, closed;
    of databases also away, forbidden, and in-doubt: whether the transaction was committed is not known yet.
    """
    error = StateError(message, hint=hint)
    error.code = code
    return error
