"""The words in which commands speak of jobs."""

from __future__ import annotations

from jobrunner.client.finding import Seen, by_name, fact, find, orphans, reach, real_name, seen
from jobrunner.errors import ConfigError
from jobrunner.registry import Registry
from jobrunner.settings import Settings

__all__ = [
    "MISSING_HINT", "Seen", "by_name", "fact", "find", "load_all", "names", "orphans", "reach", "real_name",
    "seen", "words",
]  # fmt: skip


def load_all(settings: Settings) -> Registry:
    """Return everything that the job files say. Raises ConfigError when there is no jobs folder."""
    registry = Registry.load(settings)
    missing = registry.missing_folder
    if missing is not None and not settings.added:
        raise ConfigError(missing.message, hint=MISSING_HINT)
    return registry


MISSING_HINT = "`jobrunner init` writes a project, --jobs DIR names another folder"


def names(settings: Settings) -> list[str]:
    """Return the names of all jobs whose files can be used."""
    return [summary.name for summary in Registry.load(settings).summaries]


def words(said: str, zone: str, settings: Settings) -> str:
    """Return a schedule's words, with its zone where that is not the project's."""
    return said if zone == settings.timezone or said == "on demand" else f"{said} ({zone})"
