"""What a URL says: where the database is, and which schema of it is ours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from jobrunner.store.faults import fault

SCHEMA = "jobrunner"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,47}\Z")
_SCHEMES = ("postgresql", "postgres")

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
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        schemas = [value for key, value in query if key == "schema"] or [SCHEMA]
        if len(schemas) > 1 or not _NAME.match(schemas[0]):
            said = f"{schemas[-1]!a:.60} is no name of a schema"
            raise fault("unsupported", said, hint="use a-z, 0-9 and _, at most 48, no digit first")
        rest = urlencode([pair for pair in query if pair[0] != "schema"], quote_via=quote)
        plain = urlunsplit(("postgresql", parts.netloc, parts.path, rest, ""))
        try:
            said_there = conninfo_to_dict(plain)
            _check_ports(str(said_there.get("port", "")))
        except (ProgrammingError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            raise fault(
                "unsupported", f"the state's URL cannot be read ({first})",
                hint="write postgresql://user:password@host:5432/database?schema=jobrunner",
            ) from None  # fmt: skip
        limits = {"connect_timeout": max(2, round(patience)), "tcp_user_timeout": round(patience * 2000)}
        name = urlunsplit(("postgresql", _shown(parts.netloc), parts.path, f"schema={schemas[0]}", ""))
        return cls(name, schemas[0], {**_ALWAYS, **limits, **said_there})


def _check_ports(ports: str) -> None:
    """Raise ValueError for what is no list of ports, one for each host; libpq reads it when it connects."""
    for port in filter(None, ports.split(",")):
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"{port!a:.20} is no port")


def _shown(netloc: str) -> str:
    user, at, host = netloc.rpartition("@")
    return f"{user.partition(':')[0]}{at}{host}"
