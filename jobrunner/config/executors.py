"""Which executor a job gets, and with which options: its own over those of the settings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from jobrunner import plugins
from jobrunner.errors import ConfigError
from jobrunner.model import Chosen
from jobrunner.plugins import PROCESS, Unusable
from jobrunner.settings import FILE, Settings
from jobrunner.settings.readers import shown

if TYPE_CHECKING:
    from jobrunner.executor.plugin import Plugin

VARIABLE = "JOBRUNNER_EXECUTOR"


class Place(NamedTuple):
    """Where something is written: `said` is how a sentence names it; `key` is that of the config."""

    file: str | None
    line: int | None
    said: str
    key: str = "executor"

    def refuse(self, message: str, hint: str) -> ConfigError:
        """Return what is wrong there."""
        return ConfigError(message, hint=hint, file=self.file, line=self.line, key=self.key)


class Executors:
    """What the settings say, and what is installed: for all jobs that are read together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: dict[str, Plugin | Unusable] = {}

    def choose(self, own: Chosen | None, at: Place) -> Chosen:
        """Return what a job gets that says `own`, `at` some place, or nothing of it.

        Raises ConfigError where that is not installed, or is not told what it has to be.
        """
        name, by = (own.name, at) if own is not None else (self._settings.executor, self._default)
        options = own.options if own is not None else {}
        if name == PROCESS:
            return Chosen(name, _read(_NOTHING, name, options, at))
        plugin = self._plugin(name)
        if isinstance(plugin, Unusable):
            raise by.refuse(f"{by.said} is {shown(name)}, {plugin}", plugin.hint)
        return Chosen(
            name, {**self._common(name, plugin.options), **_read(plugin.options, name, options, at)}
        )

    def problems(self) -> Iterator[ConfigError]:
        """Yield what is wrong with the settings themselves, whether or not a job goes by it."""
        try:
            self.choose(None, self._default)
        except ConfigError as error:
            yield error
        for name in self._settings.executors:
            at, plugin = self._section(name), None if name == PROCESS else self._plugin(name)
            if isinstance(plugin, Unusable):
                yield at.refuse(f"executors has {shown(name)}, {plugin}", plugin.hint)
                continue
            try:
                self._common(name, _NOTHING if plugin is None else plugin.options)
            except ConfigError as error:
                yield error

    def _plugin(self, name: str) -> Plugin | Unusable:
        if name not in self._loaded:
            try:
                self._loaded[name] = plugins.load(name)
            except Unusable as error:
                self._loaded[name] = error
        return self._loaded[name]

    @cached_property
    def _default(self) -> Place:
        if os.environ.get(VARIABLE, "").strip():
            return Place(None, None, VARIABLE)
        return Place(FILE, self._settings.lines.get(("executor",)), "executor")

    def _section(self, *path: str) -> Place:
        said = ".".join(("executors", *path))
        return Place(FILE, self._settings.lines.get(("executors", *path)), said, "executors")

    def _common(self, name: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that the settings give to all jobs of an executor."""
        found: dict[str, Any] = {}
        for key, value in self._settings.executors.get(name, {}).items():
            at = self._section(name)
            line = self._settings.lines.get(("executors", name, key), at.line)
            found |= _read(known, name, {key: value}, Place(FILE, line, at.said, at.key), found)
        return found


_NOTHING: Mapping[str, Any] = {}


def _read(
    known: Mapping[str, Any],
    name: str,
    written: Mapping[str, Any],
    at: Place,
    before: Mapping[str, Any] = _NOTHING,
) -> dict[str, Any]:
    """Return options by their names in camelCase, as they are meant; None stands for one that is left out."""
    names = {_snake(option): option for option in known} | {option: option for option in known}
    found: dict[str, Any] = {}
    for key, value in written.items():
        option = names.get(key)
        if option is None:
            raise at.refuse(
                f"{at.said} has {shown(key)}, which is no option of {name}", _instead(key, names, known)
            )
        if option in found or option in before:
            raise at.refuse(f"{at.said} has {option} twice, in two spellings", f"keep {option}")
        found[option] = None if value is None else _meant(known[option], option, value, at)
    return {option: value for option, value in found.items() if value is not None}


def _meant(read: Any, option: str, value: object, at: Place) -> Any:
    try:
        return read(value)
    except ValueError as error:
        said = f"{at.said}.{option} is {shown(value)}, which {error}"
        raise at.refuse(said, getattr(error, "hint", f"correct {option}, or leave it out")) from None


def _instead(key: str, names: Mapping[str, str], known: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(str(key), names, n=1)
    if near:
        return f'did you mean "{names[near[0]]}"?'
    return f"its options are {', '.join(known)}" if known else "it has no options"


def _snake(name: str) -> str:
    return "".join("_" + each.lower() if each.isupper() else each for each in name)
