"""Packages that bring a store, as if they were installed."""

from __future__ import annotations

import textwrap
from pathlib import Path


def installed(site: Path, scheme: str, code: str, *, package: str = "theirs", target: str = "") -> Path:
    """Put a package on the shelf whose module has this code; returns the folder that is to be on the path."""
    module = package.replace("-", "_")
    (site / f"{module}-1.2.dist-info").mkdir(parents=True)
    (site / f"{module}.py").write_text(textwrap.dedent(code), "utf-8")
    info = site / f"{module}-1.2.dist-info"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n", "utf-8")
    entry = f"[jobrunner.stores]\n{scheme} = {target or f'{module}:open_state'}\n"
    (info / "entry_points.txt").write_text(entry, "utf-8")
    return site


# A store of theirs that is one of ours, and says how it was opened.
BORROWED = """
    from jobrunner.store import fault, open_store

    asked = []


    def open_state(url, *, create, patience, allow_network_fs):
        asked.append((url, create, patience, allow_network_fs))
        store = open_store("sqlite://" + url.partition("://")[2].partition("@")[2], create=create)
        store.url = url
        return store
"""
