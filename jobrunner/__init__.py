"""jobrunner: drop a file into jobs/, run `jobrunner start`, and every due moment is accounted for."""

from __future__ import annotations

__version__ = "0.1.0"
