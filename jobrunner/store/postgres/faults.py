"""What PostgreSQL says, as a StateError: one sentence that names the database, and a next step."""

from __future__ import annotations

import re

import psycopg

from jobrunner.errors import StateError
from jobrunner.store.faults import fault

# Everything that a statement was seen to raise.
CAUGHT = (psycopg.Error, OSError, ValueError, OverflowError)

_AGAIN = "try again; if it lasts, see who holds its locks (pg_stat_activity)"
_REACH = "see whether the server runs, and whether it can be reached from here"

# By the beginning of what the server calls it (SQLSTATE); the longer come before the shorter.
_SAID: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (("55P03", "57014", "40001", "40P01", "25P03", "57P05"), "busy", "{name} is busy ({error})", _AGAIN),
    (("53100",), "full", "no space is left for {name}", "free some disk space there; work goes on then"),
    (("53",), "away", "{name} has no room for us now ({error})", "raise max_connections, or use a pooler"),
    (("25006",), "read-only", "{name} is read-only: a standby?", "name the primary in the URL, or both"),
    (("42501",), "forbidden", "{name} does not let us ({error})",
     "grant the user the rights to the database and the schema"),
    (("28",), "forbidden", "{name} refuses the user ({error})",
     "check user and password: in the state's URL, PGPASSWORD or the password file"),
    (("3D000",), "forbidden", "there is no such database at {name} ({error})",
     "correct the name, or create it: createdb NAME"),
    (("3F000", "42P01", "42P07", "42703"), "corrupt", "{name} is not whole, or was dropped ({error})",
     "restore a backup, or drop the schema and let `jobrunner start` make another"),
    (("08", "57P", "58", "XX"), "away", "{name} cannot be reached ({error})", _REACH),
    (("23",), "rule", "{name} refuses a row by a rule of its own ({error})", "please report this"),
    (("22", "54"), "unstorable", "{name} cannot hold a value ({error})", "shorten or change what is stored"),
)  # fmt: skip

# Who is not let in is told in words only, without an SQLSTATE. In another language than English they are not
# known again, and the database counts as away.
_REFUSED = (
    ("3D000", r'database ".*" does not exist|no such database'),
    ("42501", r"permission denied for database"),
    ("28000", r"authentication failed|no password supplied|pg_hba\.conf|no such user|not permitted to log in"
              r'|role ".*" does not exist'),
)  # fmt: skip


def translate(error: Exception, name: str) -> StateError:
    """Return what the error means for a user; `name` is the database, without a password."""
    state, said = _refused(error) or (getattr(error, "sqlstate", None) or "", sentence(error))
    for states, code, message, hint in _SAID:
        if state.startswith(states):
            return fault(code, message.format(name=name, error=said), hint=hint)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | OSError) and not state:
        return fault("away", f"{name} cannot be reached ({said})", hint=_REACH)
    if isinstance(error, psycopg.DataError | UnicodeEncodeError | OverflowError):
        return fault("unstorable", f"{name} cannot hold a value ({said})", hint="shorten or change it")
    if isinstance(error, ValueError):
        return fault("corrupt", f"{name} holds text that is not JSON ({said})", hint="restore a backup")
    return fault("corrupt", f"{name} cannot be used ({said})", hint="`jobrunner doctor` may know more")


def _refused(error: Exception) -> tuple[str, str] | None:
    """Return (SQLSTATE, words) of a connection that the server did not let us make."""
    if not isinstance(error, psycopg.OperationalError) or error.sqlstate:
        return None
    for state, words in _REFUSED:
        found = re.search(rf"[^:\n]*(?:{words})[^\n]*", str(error))
        if found is not None:
            return state, found[0].strip()
    return None


def sentence(error: Exception) -> str:
    """Return the first line of what was said, without a full stop."""
    diag = getattr(error, "diag", None)
    said = getattr(diag, "message_primary", None) or str(error) or type(error).__name__
    return said.strip().splitlines()[0].rstrip(".")


def is_lost(error: Exception) -> bool:
    """Say whether the connection is not to be used again: cut, silent too long, or ended by the server."""
    state = getattr(error, "sqlstate", None) or ""
    if state:
        return state.startswith(("08", "57P", "25P03", "57P05"))
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | OSError)
