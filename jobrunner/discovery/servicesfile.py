"""services.py, as far as discovery goes: may services look at a run's params? Then a job takes any."""

from __future__ import annotations

import os
import re

from jobrunner.settings import Settings

SERVICES = "services.py"


def services_look(settings: Settings) -> bool:
    """Say whether services may read params: those of a run are theirs, too."""
    if settings.services:
        return True
    try:
        with open(os.path.join(settings.project, SERVICES), "rb") as file:
            return re.search(rb"\b(params|ctx)\b", file.read()) is not None
    except OSError:
        return False
