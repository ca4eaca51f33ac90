"""What a URL says: where the database is, and which schema of it is ours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from jobrunner.store.faults import fault

SCHEMA = "jobrunner"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,47}\Z")
_HOW = (
    "write postgresql://user:password@host:5432/database?schema=jobrunner, special characters of the password"
    " percent-encoded: @ is %40, / is %2F, % is %25"
)

# A server that says nothing is given up: the kernel finds the dead, our own deadline the silent.
_KEPT_ALIVE = {"keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
_ALWAYS = {"target_session_attrs": "read-write", "application_name": "jobrunner", **_KEPT_ALIVE}


@dataclass(frozen=True, slots=True)
class Address:
    """`name` is the URL without its password; `params` are libpq's, ours among them."""

    name: str
    schema: str
    params: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, url: str, patience: float) -> Address:
        """Read a URL. Raises StateError, code "unsupported", for one that cannot be meant."""
        try:
            parts = urlsplit(url)
            query = parse_qsl(parts.query, keep_blank_values=True)
            schemas = [value for key, value in query if key == "schema"] or [SCHEMA]
            rest = urlencode([pair for pair in query if pair[0] != "schema"], quote_via=quote)
            said_there = conninfo_to_dict(urlunsplit(("postgresql", parts.netloc, parts.path, rest, "")))
            _check(parts, str(said_there.get("port", "")))
        except (ProgrammingError, ValueError):  # what it says may be a part of the password
            raise fault("unsupported", "the state's URL cannot be read", hint=_HOW) from None
        if len(schemas) > 1 or not _NAME.match(schemas[0]) or schemas[0].startswith("pg_"):
            said = f"{schemas[-1][:48]!r} is no name of a schema"
            raise fault("unsupported", said, hint="use a-z, 0-9 and _, at most 48, no digit and no pg_ first")
        limits = {"connect_timeout": max(2, round(patience)), "tcp_user_timeout": round(patience * 2000)}
        name = urlunsplit(("postgresql", _shown(parts.netloc), parts.path, f"schema={schemas[0]}", ""))
        return cls(name, schemas[0], {**_ALWAYS, **limits, **said_there})


def _check(parts: SplitResult, ports: str) -> None:
    """Raise ValueError where a special character of a password was taken for the end of it, or for a port."""
    if parts.fragment or "@" in parts.path + parts.query or parts.netloc.count("@") > 1:
        raise ValueError
    for port in filter(None, ports.split(",")):
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError


def _shown(netloc: str) -> str:
    user, at, host = netloc.rpartition("@")
    return f"{user.partition(':')[0]}{at}{host}"
