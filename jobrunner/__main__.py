"""`python -m jobrunner` is `jobrunner`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        from jobrunner.cli.app import run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # while we were still loading, or leaving
        sys.exit(130)


if __name__ == "__main__":
    main()
