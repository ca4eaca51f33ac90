"""How a store says that it cannot: StateErrors with a stable code."""

from __future__ import annotations

from jobrunner.errors import StateError


def fault(code: str, message: str, *, hint: str | None = None) -> StateError:
    """Return a StateError of this code; passwords in URLs are left out of what it says.

    `message` is one sentence without a full stop, which names the state; `hint` is what to do.

    For a while, and tried again: busy, full, read-only, io, away (a server), forbidden, in-doubt (whether the
    transaction was committed is not known yet). For good, a node ends: replaced, corrupt, not-a-database,
    too-new. Of one verb, and its transaction: rule (the schema says no), unstorable (a value), unknown-node,
    aborted (the transaction failed before). Of opening: state-missing, network-fs, unsupported, plugin (the
    package that brings the store is at fault). Of a store that was closed: closed.
    """
    from jobrunner.masking import without_passwords

    error = StateError(without_passwords(message), hint=hint and without_passwords(hint))
    error.code = code
    return error
