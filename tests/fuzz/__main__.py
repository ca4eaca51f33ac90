"""Fuzz one target, or each for an equal time: `python -m tests.fuzz [TARGET] --seconds 60`.

Needs the package atheris, which has wheels for Linux on x86-64 and CPython 3.11 or later. An input that
breaks a promise ends it, and is written to the working folder: put it into corpus/TARGET and mend the cause.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
NAMES = ("cron", "duration", "yaml", "dictionary", "source")
ABSENT = "make fuzz needs the package atheris, which has wheels for CPython on Linux and x86-64 only"


def main() -> int:
    """Return 0 when nothing was found, 1 when something was, 2 when atheris is not here."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("target", nargs="?", choices=NAMES)
    options.add_argument("--seconds", type=int, default=60)
    asked = options.parse_args()
    try:
        import atheris  # noqa: F401
    except ImportError:
        print(ABSENT, file=sys.stderr)
        return 2
    if asked.target is None:
        command = [sys.executable, "-m", "tests.fuzz", "--seconds", str(asked.seconds)]
        return max(subprocess.run([*command, name], check=False).returncode and 1 for name in NAMES)
    fuzz(asked.target, asked.seconds)
    return 0


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target; the process ends with it. What is new stays in a folder of its own."""
    import atheris

    with atheris.instrument_imports(include=["jobrunner", "yaml"]):
        from tests.fuzz.targets import TARGETS
    found = tempfile.mkdtemp(prefix=f"jobrunner-fuzz-{name}-")
    print(f"{name}: for {seconds} s; what is new goes to {found}", flush=True)
    flags = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *flags, found, str(CORPUS / name)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
