"""services.py, as far as discovery goes: is there one, and may services look at a run's params?"""

from __future__ import annotations

import os
import re

from jobrunner.settings import Settings

SERVICES = "services.py"


def has_services(settings: Settings) -> bool:
    """Say whether a project has services of its own; without them a parameter that lacks has no value."""
    return bool(settings.services) or os.path.isfile(os.path.join(settings.project, SERVICES))  # noqa: PTH113  (asked at each call)


def services_look(settings: Settings) -> bool:
    """Say whether services may read params: those of a run are theirs, too, and so its job takes any."""
    if settings.services:
        return True
    try:
        with open(os.path.join(settings.project, SERVICES), "rb") as file:
            return re.search(rb"\b(params|ctx)\b", file.read()) is not None
    except OSError:
        return False
