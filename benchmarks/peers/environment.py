"""Where peers are installed: an environment each below `.bench/`, made on first use, versions pinned."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.measure import ROOT, NotMeasured, reason

PLACE = ROOT / ".bench"
PROGRAMS = Path(__file__).parent / "programs"
PINS: dict[str, tuple[str, ...]] = {
    "apscheduler": ("APScheduler==3.11.3", "SQLAlchemy==2.1.9", "tzlocal==5.4.5"),
    "huey": ("huey==3.5.4",),
    "schedule": ("schedule==1.2.2",),
    "procrastinate": ("procrastinate==3.10.0", "psycopg[binary]==3.3.9"),
    "dbos": ("dbos==3.4.0", "psycopg[binary]==3.3.9"),
    "rq": ("rq==3.0.0", "redis==8.1.0"),
    "celery": ("celery==5.7.0", "redis==8.1.0", "packaging==26.3"),
    "cron": ("croniter==7.0.0", "cronsim==2.8", "APScheduler==3.11.3"),
}
NODE_PINS: dict[str, tuple[str, ...]] = {
    "graphile": ("graphile-worker@0.18.0",),
    "bree": ("bree@9.2.9",),
}


@cache
def folder(name: str) -> Path:
    """Return where the programs of a peer's environment are; made if need be.

    Raises NotMeasured, naming what is lacking.
    """
    place = PLACE / name
    pins = PINS.get(name) or NODE_PINS[name]
    mark = place / "installed"
    if not mark.exists() or mark.read_text("utf-8") != "\n".join(pins):
        shutil.rmtree(place, ignore_errors=True)
        _python(place, pins) if name in PINS else _node(place, pins)
        mark.write_text("\n".join(pins), "utf-8")
    return place / "bin" if name in PINS else place


def version(name: str) -> str:
    """Return the pinned version of a peer."""
    pins = PINS.get(name) or NODE_PINS[name]
    return pins[0].replace("==", "@").rpartition("@")[2]


def programs(name: str) -> Path:
    """Return where a Node peer's programs are: beside its packages, for there it looks for these."""
    place = folder(name)
    for each in PROGRAMS.glob("*.mjs"):
        shutil.copy(each, place)
    return place


def _python(place: Path, pins: tuple[str, ...]) -> None:
    print(f"installing {' '.join(pins)}", file=sys.stderr, flush=True)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _install([[sys.executable, "-m", "venv", str(place)], [*pip, *pins]], pins)


def _node(place: Path, pins: tuple[str, ...]) -> None:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NotMeasured("needs node and npm")
    print(f"installing {' '.join(pins)}", file=sys.stderr, flush=True)
    place.mkdir(parents=True)
    (place / "package.json").write_text('{"private": true, "type": "module"}\n', "utf-8")
    npm = [
        "npm",
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
        str(place),
    ]
    _install([[*npm, *pins]], pins)


def _install(commands: list[list[str]], pins: tuple[str, ...]) -> None:
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            raise NotMeasured(
                f"needs {' '.join(pins)}, which could not be installed: {reason(error)}"
            ) from error
