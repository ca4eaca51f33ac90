"""Of which version the rules of time zones are that this process goes by."""

# ruff: noqa: PTH113  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
import zoneinfo
from importlib import import_module

MARK = "# version "
STATED = ("tzdata.zi", "+VERSION")  # of Linux, with a mark before it, and of macOS and the BSDs


def version(zone: str) -> str:
    """Return what zoneinfo takes a zone's rules from: `2025b`; "" where nobody says."""
    for folder in zoneinfo.TZPATH:
        if os.path.isfile(os.path.join(folder, zone)):
            return next(filter(None, (_stated(os.path.join(folder, name)) for name in STATED)), "")
    try:
        return str(import_module("tzdata").IANA_VERSION)
    except ImportError:
        return ""


def _stated(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.readline(100).strip().removeprefix(MARK)
    except (OSError, ValueError):
        return ""
