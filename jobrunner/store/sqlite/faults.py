"""What SQLite says, as a StateError: one sentence that names the file, and a next step."""

from __future__ import annotations

import errno

import apsw

from jobrunner.errors import StateError
from jobrunner.store.faults import fault
from jobrunner.store.sqlite import place

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})

# Everything that a statement on a sick file, or with an odd value, was seen to raise.
CAUGHT = (apsw.Error, OSError, ValueError, OverflowError)

_RESTORE = "nothing was changed; restore a copy, or move the file away"

_SPACE = "free some disk space; work goes on by itself then"

_SAID: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, str, str], ...] = (
    ((apsw.BusyError, apsw.LockedError), "busy", "{path} is locked by another process",
     "it is tried again; if it lasts, see who has the file open"),
    (apsw.FullError, "full", "no space is left for {path}", _SPACE),
    ((apsw.ReadOnlyError, apsw.PermissionsError), "read-only", "{path} cannot be written to",
     "check the permissions of the file and of its folder"),
    ((apsw.NotADBError, apsw.FormatError), "not-a-database", "{path} is not a jobrunner state", _RESTORE),
    ((apsw.CorruptError, UnicodeDecodeError), "corrupt", "{path} is damaged", _RESTORE),
    (apsw.ConstraintError, "rule", "{path} refuses a row by a rule of its own ({error})",
     "please report this"),
    ((apsw.ConnectionClosedError,), "closed", "{path} was closed before", "please report this"),
    ((OverflowError, UnicodeEncodeError, apsw.TooBigError), "unstorable",
     "{path} cannot hold a value ({error})", "shorten or change what is stored"),
    (ValueError, "corrupt", "{path} holds text that is not JSON ({error})", _RESTORE),
)  # fmt: skip


def translate(error: Exception, path: str) -> StateError:
    """Return what the error means for a user; `path` is the file."""
    for kinds, code, message, hint in _SAID:
        if isinstance(error, kinds):
            return fault(code, message.format(path=path, error=error), hint=hint)
    if isinstance(error, apsw.CantOpenError):
        return _cannot_open(path)
    if isinstance(error, OSError | apsw.IOError):
        return _by_errno(error, path)
    return fault("corrupt", f"{path} cannot be used ({error})", hint=_RESTORE)


def missing(path: str) -> StateError:
    """Return the error for a state that is not there."""
    return fault(
        "state-missing", f"there is no state at {path}", hint="run `jobrunner start` once, it makes one"
    )


def _cannot_open(path: str) -> StateError:
    try:
        if not place.is_there(path):
            return missing(path)
    except OSError as error:
        return _by_errno(error, path)
    return fault(
        "read-only", f"{path} cannot be opened", hint="check the permissions of the file and its folder"
    )


def _by_errno(error: Exception, path: str) -> StateError:
    number = getattr(error, "errno", None) or getattr(error, "system_errno", None)
    if number in FULL:
        return fault("full", f"no space is left for {path}", hint=_SPACE)
    if number in READ_ONLY:
        return fault(
            "read-only", f"{path} cannot be written to", hint="check the permissions of file and folder"
        )
    return fault(
        "io", f"{path} cannot be read or written ({error})", hint="check the disk and the system's log"
    )
