"""What tells two versions of something apart."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import cache
from typing import Any


def sha256(data: bytes) -> str:
    """Return the hex digest, by the built-in module: hashlib would load 3 MB of OpenSSL before each fork."""
    digest: str = _module().sha256(data).hexdigest()
    return digest


@cache  # to find that there is no `_sha2` takes a look into each folder of the path
def _module() -> Any:
    for name in ("_sha2", "_sha256", "hashlib"):
        with contextlib.suppress(ImportError):
            return __import__(name)
    raise RuntimeError("this Python has no sha256")


def of_versions(pairs: Iterable[tuple[str, int]]) -> str:
    """Return the digest of documents' keys and versions, in the order of the keys."""
    lines = (f"{len(key)} {key} {version}\n" for key, version in pairs)
    return sha256("".join(lines).encode("utf-8", "surrogatepass"))
