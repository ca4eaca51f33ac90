"""What tells two versions of something apart."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable


def sha256(data: bytes) -> str:
    """Return the hex digest, by the built-in module: hashlib would load 3 MB of OpenSSL before each fork."""
    for name in ("_sha2", "_sha256", "hashlib"):
        with contextlib.suppress(ImportError):
            digest: str = __import__(name).sha256(data).hexdigest()
            return digest
    raise RuntimeError("this Python has no sha256")


def of_versions(pairs: Iterable[tuple[str, int]]) -> str:
    """Return the digest of documents' keys and versions, in the order of the keys."""
    lines = (f"{len(key)} {key} {version}\n" for key, version in pairs)
    return sha256("".join(lines).encode("utf-8", "surrogatepass"))
