"""Words that many say alike: texts that no terminal obeys, lengths of time, why a run ended."""

from __future__ import annotations

import codecs
import io
import re
from functools import cache
from typing import Any

from jobrunner import durations
from jobrunner.clock import DAY, HOUR, MINUTE, SECOND


def printable(text: str) -> str:
    """Return text with every character that could act on a terminal shown as an escape."""
    return text if text.isprintable() else _unsafe().sub(_escape, text)


def one_line(text: str) -> str:
    """Return text as one printable line."""
    return printable(text).replace("\n", "\\n").replace("\t", " ")


@cache
def _unsafe() -> re.Pattern[str]:
    """Return C0 and C1 controls but newline and tab, bidi controls, zero-width marks, line separators."""
    return re.compile(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
    )


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class Cleaner:
    """Turns output, cut anywhere, into text that cannot act on a terminal; CR becomes a new line."""

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)

    def __call__(self, data: bytes, *, final: bool = False) -> str:
        """Return the text of the next piece."""
        return printable(self._decoder.decode(data, final))


def bytes_cut(count: int) -> str:
    """Return the line that stands where so much of a run's output was not kept."""
    return f"[… {count:,} bytes cut …]\n"


def brief(micros: int) -> str:
    """Return a length of time for people, who do not read beyond three digits: `23ms`, `8.97s`, `2m5s`."""
    if micros < 999_500:
        return f"{round(micros / 1000)}ms"
    hundredths, tenths = (micros + 5_000) // 10_000, (micros + 50_000) // 100_000
    if hundredths < 1_000:
        return f"{hundredths // 100}.{hundredths % 100:02}s"
    if tenths < 600:
        return f"{tenths // 10}.{tenths % 10}s"
    grain = SECOND if micros < HOUR else MINUTE if micros < DAY else HOUR
    return durations.text(round(micros / grain) * grain)


def reason(code: str | None, result: Any) -> str:
    """Return why a run ended as it did; a body that skips may have said why, which is kept as its result."""
    if code == "body" and isinstance(result, str) and result:
        return f"body: {one_line(result)}"
    return code or ""
