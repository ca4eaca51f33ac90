"""`python -m jobrunner` is `jobrunner`."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    gc.disable()
    try:
        from jobrunner.cli.app import run

        gc.freeze()  # nothing of what is loaded is garbage: no collection need walk through it,
        gc.enable()
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # while we were still loading, or leaving
        sys.exit(130)
    finally:
        gc.freeze()  # and the interpreter's last one, as it ends, need not walk through anything


if __name__ == "__main__":
    main()
