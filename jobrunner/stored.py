"""The settings, with what the state has of jobs beside the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobrunner.settings import Settings
    from jobrunner.store.base import Store


def with_stored(settings: Settings, store: Store | None) -> Settings:
    """Return the settings with what the state has of jobs: those added, and what `set` lies over all."""
    return with_added(settings if store is None else settings._replace(stored=store.overrides()), store)


def with_added(settings: Settings, store: Store | None) -> Settings:
    """Return the settings with the jobs that code has added; what was `set` is left out."""
    return settings if store is None else settings._replace(added=store.added_jobs())
