"""Secrets do not reach logs and errors: which values are secret, and `***` in their place.

    secrets_of(environ, settings)   the values
    Masker(secrets)                 .text(str), .data(JSON), .stream() for bytes as they come
    masker_of(settings)             both in one, for this process
    without_passwords(text)         those in URLs, for a message of our own

A value is known again as it is written in the environment or the file, and percent-encoded as in a URL.
Whoever takes it apart, reverses it or writes it in base64 gets past this: it prevents accidents, not intent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, AnyStr, Protocol

HIDDEN = "***"
SHORTEST = 4  # characters of a value that is hidden
WORDS = frozenset({
    "true", "false", "yes", "no", "on", "off", "none", "null", "enabled", "disabled", "auto", "default",
})  # fmt: skip

_SECRET = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|KEY|CREDENTIALS|DSN|PGPASSWORD)\Z", re.I
)
_ADDRESS = re.compile(r"(?:^|_)(?:URL|URI|DSN)\Z", re.I)
_MISTYPED = re.compile(r"\A(postgres\w*:?/*[^\s:@/]*):[^\s@]+@")  # an address whose :// is not one
# From the first colon to the last @ before the path; else, with slashes in it, to the first @, but a port
# and a path with an @ are no password. Or a parameter, as PostgreSQL and others take it.
_IN_URL = re.compile(
    r"://[^\s/?#:@]*:(?:([^\s/?#]+)|(?!\d+[/?#])([^\s@]+))@"
    r"|[?&][\w-]*(?:password|passwd|passphrase|pwd|token|secret|credentials|api_?key)=([^\s&#]+)",
    re.I,
)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")  # RFC 3986, 2.3


class Settings(Protocol):
    """What is asked of the settings."""

    @property
    def secrets(self) -> Iterable[str]:
        """Names of environment variables, and dotted paths into `settings`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The project's own values."""

    @property
    def state(self) -> str:
        """The address of the state, which may hold a password."""


# --- which values are secret --------------------------------------------------------------------


def secrets_of(environ: Mapping[str, str], settings: Settings) -> tuple[str, ...]:
    """Return the secret values, longest first, each once, without blanks around it.

    Those are: the values of variables whose names end in `_TOKEN`, `_SECRET`, `_PASSWORD`, `_PASSWD`,
    `_PASSPHRASE`, `_KEY`, `_CREDENTIALS` or `_DSN`, or are one of these words, or `PGPASSWORD`; what
    `settings.secrets` names, a variable or a part of `settings` with all its texts; the passwords in the
    URLs of variables ending in `_URL`, `_URI` or `_DSN` and in the state's address, as written and decoded.
    Names are compared ignoring case.

    Left out are values shorter than 4 characters and words such as true, none or default: to hide each
    "1" would leave nothing of a log to read.
    """
    named = frozenset(name.casefold() for name in settings.secrets)
    values = {value.strip() for value in _values(environ, settings, named)}
    worth = (value for value in values if len(value) >= SHORTEST and value.casefold() not in WORDS)
    return tuple(sorted(worth, key=lambda value: (-len(value), value)))


def _values(environ: Mapping[str, str], settings: Settings, named: frozenset[str]) -> Iterator[str]:
    for name, value in environ.items():
        if _SECRET.search(name) or name.casefold() in named:
            yield value
        if _ADDRESS.search(name):
            yield from _passwords(value)
    yield from _passwords(settings.state)
    yield from _parts(settings.settings, "", named)


def _passwords(url: str) -> Iterator[str]:
    for match in _IN_URL.finditer(url):
        written = next(group for group in match.groups() if group)
        yield written
        yield _decoded(written)


def without_passwords(text: str) -> str:
    """Return a text in which each password of a URL is `***`: for messages, whatever URLs they quote."""
    return _IN_URL.sub(_starred, text) if "://" in text else _MISTYPED.sub(rf"\1:{HIDDEN}@", text)


def _starred(match: re.Match[str]) -> str:
    start, end = next(match.span(number) for number in (1, 2, 3) if match[number])
    return match[0][: start - match.start()] + HIDDEN + match[0][end - match.start() :]


def _parts(value: object, path: str, named: frozenset[str]) -> Iterator[str]:
    """Yield the texts of the parts that are named; the items of a list have the path of the list."""
    if path.casefold() in named:
        yield from _leaves(value)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _parts(part, f"{path}.{key}" if path else key, named)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _parts(part, path, named)


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, int):
        yield str(value)  # what YAML makes of a password of digits; `True` is among the words left out
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(part)


# --- how they are written -----------------------------------------------------------------------


def _bytes(text: str) -> bytes:
    """Return UTF-8, and the very bytes of a variable that is none."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _decoded(text: str) -> str:
    plain = _PERCENT.sub(lambda match: bytes([int(match[1], 16)]), _bytes(text))
    return plain.decode("utf-8", "surrogateescape")


def _encoded(text: str, plain: frozenset[int]) -> str:
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in _bytes(text))


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is and as in a URL, where a slash may have been encoded or not."""
    yield secret
    yield _encoded(secret, _PLAIN)
    yield _encoded(secret, _PLAIN | {ord("/")})


# --- hiding them --------------------------------------------------------------------------------


class Masker:
    """Writes `***` in place of each of its `secrets`.

    Where occurrences overlap, one `***` stands for all that they cover: nothing of the shorter one stays.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self.secrets = tuple(secrets)
        self._texts: tuple[str, ...] = ()
        self._bytes: tuple[bytes, ...] = ()
        if self.secrets:
            self._learn()

    def _learn(self) -> None:
        forms = {form for secret in self.secrets if secret for form in _forms(secret)}
        self._texts = tuple(sorted(forms, key=len, reverse=True))
        self._bytes = tuple(_bytes(text) for text in self._texts)

    def text(self, text: str) -> str:
        """Return a text without secrets; the same object when it has none."""
        spans = _spans(text, self._texts)
        return _masked(text, spans, HIDDEN) if spans else text

    def data(self, value: Any) -> Any:
        """Return JSON data without secrets in its texts, keys included; numbers stay.

        Of keys that have become equal, the last one stays.
        """
        return self._data(value) if self._texts else value

    def stream(self) -> Stream:
        """Return a new stream; each flow of bytes needs one of its own."""
        return Stream(self._bytes)

    def _data(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self._data(key): self._data(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self._data(part) for part in value]
        return value


def masker_of(settings: Settings) -> Masker:
    """Return what hides the secrets of these settings and of our environment."""
    return Masker(secrets_of(os.environ, settings))


class Stream:
    """Masks bytes as they come: all that it returns, joined, is what masking the whole would give.

    Only a tail with which a secret may begin is held back, so it is shorter than the longest secret.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = secrets
        self._tail = b""  # not returned yet
        self._covered = 0  # of it: bytes of a secret for which the stars have been returned

    def feed(self, data: bytes) -> bytes:
        """Take bytes in, and return those that are decided."""
        if not self._secrets:
            return data
        data = self._tail + data if self._tail else data
        return self._pass_on(data, _open_from(data, self._secrets))

    def end(self) -> bytes:
        """Return the rest: no more will come."""
        return self._pass_on(self._tail, len(self._tail))

    def _pass_on(self, data: bytes, upto: int) -> bytes:
        self._tail = data[upto:]
        if upto == 0:
            return b""
        told = [(0, self._covered)] if self._covered else []
        spans = [each for each in _spans(data, self._secrets, told) if each[0] < upto]
        self._covered = max(0, spans[-1][1] - upto) if spans else 0
        decided = data[:upto]
        return _masked(decided, spans, HIDDEN.encode(), told=bool(told)) if spans else decided


Span = tuple[int, int]  # from, up to


def _spans(data: AnyStr, secrets: Iterable[AnyStr], known: Iterable[Span] = ()) -> list[Span]:
    """Return which parts the secrets cover, in order; those that merely touch stay apart."""
    found = list(known)
    for secret in secrets:
        at = data.find(secret)
        while at >= 0:
            found.append((at, at + len(secret)))
            at = data.find(secret, at + 1)
    return _merged(sorted(found)) if found else found


def _merged(spans: list[Span]) -> list[Span]:
    merged = spans[:1]
    for start, end in spans[1:]:
        first, last = merged[-1]
        if start < last:
            merged[-1] = first, max(last, end)
        else:
            merged.append((start, end))
    return merged


def _masked(data: AnyStr, spans: Iterable[Span], stars: AnyStr, told: bool = False) -> AnyStr:
    """Return data with stars for each span; for the first one none, where it is `told` already."""
    parts: list[AnyStr] = []
    at = 0
    for start, end in spans:
        parts += [data[at:start], stars[:0] if told else stars]
        at, told = end, False
    parts.append(data[at:])
    return stars[:0].join(parts)


def _open_from(data: bytes, secrets: Iterable[bytes]) -> int:
    """Return from where on data may be the beginning of a secret; its length where nothing may."""
    return min(_opens(data, secret) for secret in secrets)


def _opens(data: bytes, secret: bytes) -> int:
    at = data.find(secret[:1], max(0, len(data) - len(secret) + 1))
    while at >= 0 and not secret.startswith(data[at:]):
        at = data.find(secret[:1], at + 1)
    return at if at >= 0 else len(data)
