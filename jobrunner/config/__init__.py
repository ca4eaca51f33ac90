"""WHAT THEY SAY: a config as written becomes a `Job`, or sentences that name file, line, key and value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from jobrunner import schedule as schedules
from jobrunner.config.executors import Executors
from jobrunner.config.executors import Place as At
from jobrunner.config.keys import CANONICAL, KEYS, MAY_BE_NONE, PLAIN, REQUIRED, SETTABLE
from jobrunner.config.values import Invalid
from jobrunner.errors import ConfigError, NotYetSupported, ScheduleError
from jobrunner.fingerprint import sha256
from jobrunner.model import BY_PROCESS, Chosen, Job, Parameter
from jobrunner.parameters import OTHERS
from jobrunner.schedule import Schedule
from jobrunner.settings.readers import shown

EXAMPLES = {
    "name": '"name": "sync-orders"',
    "schedule": '"schedule": "*/5 * * * *", or None to run it on demand',
}


SET = "set"  # stands for the file of what `jobrunner set` has stored


class Written(NamedTuple):
    """Keys and values as somebody wrote them: in which file, from which line on, each key on which line."""

    config: Mapping[str, Any]
    file: str
    line: int | None = None
    lines: Mapping[str, int] = {}


class Place(NamedTuple):
    """The job file around a config; fields as in `Job`. `doc` is its docstring's first line.

    `services_look`: the project's services may look at params, and so take what the function does not name.
    Without `executors` nobody asks which are installed, and which one the settings name.
    """

    path: str
    folder: str
    content_hash: str
    doc: str = ""
    imports: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] | None = None
    services_look: bool = False
    executors: Executors | None = None

    @property
    def takes(self) -> tuple[Parameter, ...] | None:
        """What the function and the services take together."""
        return (*(self.parameters or ()), OTHERS) if self.opened else self.parameters

    @property
    def opened(self) -> bool:
        """Whether the services alone are why it may be given any param."""
        return self.services_look and self.parameters is not None and OTHERS not in self.parameters


def read(
    written: Written, place: Place, timezone: str, overrides: Sequence[Written] = ()
) -> tuple[Job | None, list[ConfigError]]:
    """Return the job that a config describes, or None and everything that is wrong with it.

    `timezone` is the project's; `overrides` are keys of jobrunner.yaml and then those that `set` has
    stored: later ones win, `params` key by key, and all are held to the same rules.
    """
    reader = _Reader(written)
    for layer, each in enumerate((written, *overrides)):
        reader.take(each, layer)
    job = reader.job(place, timezone)
    return (None if reader.errors else job), reader.errors


def readable_name(config: object) -> str | None:
    """Return the name that a config would have if all else were right, or None."""
    value = config.get("name") if isinstance(config, Mapping) else None
    try:
        return str(KEYS["name"].read(value))
    except Invalid:
        return None


class _Reader:
    """Collects keys from one or two places, and every complaint about them."""

    def __init__(self, written: Written) -> None:
        self.errors: list[ConfigError] = []
        self._written = written
        self._config: dict[str, Any] = {}  # canonical key -> value as written
        self._values: dict[str, Any] = {}  # canonical key -> value as meant
        self._from: dict[str, tuple[str, int | None]] = {}
        self._layers: dict[str, int] = {}  # canonical key -> 0 for the file, more for what overrides it
        self._misspelt: set[str] = set()

    def take(self, written: Written, layer: int) -> None:
        """Add the keys of one place; later places win, `layer` counts them from 0."""
        taken: dict[str, str] = {}
        for key, value in written.config.items():
            where = written.file, written.lines.get(key, written.line)
            name = CANONICAL.get(key)
            if name is None:
                self._unknown(where, key)
            elif name in taken:
                self._refuse(where, name, f"{taken[name]} and {key} are the same key", f"keep {name}")
            elif name == "name" and layer:
                self._refuse(where, name, "name cannot be overridden", "change it in the job's own file")
            elif written.file == SET and name not in SETTABLE:
                self._refuse(where, name, f"{name} cannot be set from outside", f"set {', '.join(SETTABLE)}")
            else:
                taken[name] = key
                self._put(name, value, where, layer)

    def _put(self, name: str, value: Any, where: tuple[str, int | None], layer: int) -> None:
        if layer and name == "params" and isinstance(value, dict):
            value = {**self._values.get("params", {}), **value}
        self._config[name], self._from[name], self._layers[name] = value, where, layer
        self._read(name, value)

    def _unknown(self, where: tuple[str, int | None], key: str) -> None:
        from difflib import get_close_matches

        near = [
            CANONICAL[each] for each in get_close_matches(key if isinstance(key, str) else "", CANONICAL, n=1)
        ]
        self._misspelt.update(near)
        hint = f'did you mean "{near[0]}"?' if near else "remove it; values of your own belong in params"
        self._refuse(where, key, f"{shown(key)} is no config key", hint)

    def _read(self, key: str, value: Any) -> None:
        if value is None and key in MAY_BE_NONE:
            self._values.pop(key, None)
            return
        try:
            meant = KEYS[key].read(value)
        except Invalid as error:
            said = error.whole or f"{key} is {shown(value)}, which {error}"
            self._refuse(self._from[key], key, said, _instead(key) or error.hint)
            return
        self._values[key] = meant
        has = KEYS[key].has
        if has is not None and meant not in has:
            self._not_yet(key, value)

    def _not_yet(self, key: str, value: object) -> None:
        file, line = self._from[key]
        said = f"{key} is {shown(value)}, which is not yet supported by this version"
        self.errors.append(NotYetSupported(said, hint=_instead(key), file=file, line=line, key=key))

    def _refuse(self, where: tuple[str, int | None], key: str | None, message: str, hint: str | None) -> None:
        self.errors.append(ConfigError(message, hint=hint, file=where[0], line=where[1], key=key))

    def job(self, place: Place, timezone: str) -> Job | None:
        """Return the job, or None when something is wrong; then `errors` says what."""
        here = self._written.file, self._written.line
        for key in REQUIRED:
            if key not in self._config and key not in self._misspelt:
                self._refuse(here, key, f"config has no {key}", f"add {EXAMPLES[key]}")
        zone = self._values.get("timezone") or timezone
        when = self._schedule(zone)
        self._agree(when)
        executor = self._executor(place.executors)
        return None if self.errors else self._job(place, zone, when, executor)

    def _executor(self, known: Executors | None) -> Chosen:
        own: Chosen | None = self._values.get("executor")
        if known is not None and ("executor" in self._values or "executor" not in self._config):
            file, line = self._from.get("executor", (self._written.file, self._written.line))
            try:
                return known.choose(own, At(file, line, "executor"))
            except ConfigError as error:
                self.errors.append(error)
        return own or BY_PROCESS

    def _schedule(self, zone: str) -> Schedule | None:
        value = self._values.get("schedule")
        if value is None:
            return None
        gap, fold = self._value("dstGap"), self._value("dstFold")
        try:
            return parsed(tuple(value) if isinstance(value, list) else value, zone, gap, fold)
        except ScheduleError as error:
            file, line = self._from["schedule"]
            self.errors.append(
                ScheduleError(error.message, hint=error.hint, file=file, line=line, key="schedule")
            )
        except TypeError:
            said = f"schedule is {shown(value)}, which is not a schedule"
            self._refuse(
                self._from["schedule"], "schedule", said, 'write one such as "*/5 * * * *" or "every 30s"'
            )
        return None

    def _agree(self, when: Schedule | None) -> None:
        """Check what one key says against another."""
        start, end = self._values.get("startAt"), self._values.get("endAt")
        if start is not None and end is not None and start >= end:
            said, hint = "endAt is not after startAt", "let it end later, or begin earlier"
            self._refuse_pair("endAt", "startAt", said, hint)
        jitter = self._values.get("jitter", 0)
        if jitter and when is not None and jitter >= when.shortest():
            said = "jitter is as long as the shortest time between two runs, or longer"
            self._refuse_pair("jitter", "schedule", said, _instead("jitter") or "make it shorter")
        if "groupLimit" in self._values and "group" not in self._values:
            said = "groupLimit is given without a group"
            self._refuse(self._from["groupLimit"], "groupLimit", said, _instead("group") or "add group")
        name, former = self._values.get("name", ""), self._values.get("formerNames", ())
        if name.casefold() in {each.casefold() for each in former}:
            said = f'formerNames has "{name}", the name that the job has now'
            self._refuse(self._from["formerNames"], "formerNames", said, "take it out")

    def _refuse_pair(self, key: str, other: str, message: str, hint: str) -> None:
        """Refuse what two keys say together: `key` is to blame, or a later override of the other."""
        blamed = max((key, other), key=lambda each: self._layers.get(each, 0))
        self._refuse(self._from[blamed], blamed, message, hint)

    def _value(self, key: str) -> Any:
        return self._values.get(key, KEYS[key].default)

    def _job(self, place: Place, zone: str, when: Schedule | None, executor: Chosen) -> Job:
        value = self._value
        config = {key: self._config[key] for key in sorted(self._config)}
        return Job(
            name=value("name"),
            schedule=when,
            timezone=zone,
            file=self._written.file,
            path=place.path,
            folder=place.folder,
            line=self._written.line or 1,
            content_hash=place.content_hash,
            hash=_hash(place, config, zone, executor),
            config=config,
            description=value("description") or place.doc,
            offset=_offset(value("name"), value("jitter")),
            group_limit=value("groupLimit") or (1 if value("group") else None),
            imports=place.imports,
            executor=executor,
            parameters=place.takes,
            overridden=tuple(sorted(key for key, layer in self._layers.items() if layer)),
            **{field: value(key) for key, field in PLAIN.items()},
        )


def _instead(key: str) -> str | None:
    """Return the hint for a key of which this version has a part: no other may lead into the next refusal."""
    has = KEYS[key].has
    if has is None:
        return None
    return "remove it" if len(has) == 1 else "write " + " or ".join(f'"{each}"' for each in has)


@lru_cache(maxsize=20_000)
def parsed(value: object, zone: str, gap: str, fold: str) -> Schedule:
    """Return a schedule; thousands of jobs share few texts, and a schedule is an immutable value."""
    return schedules.parse(value, zone=zone, dst_gap=gap, dst_fold=fold)


def _offset(name: str, jitter: int) -> int:
    """Return a job's own part of its jitter: always the same, spread evenly over many jobs."""
    return int(sha256(name.casefold().encode())[:16], 16) % jitter if jitter else 0


def _hash(place: Place, config: Mapping[str, Any], zone: str, executor: Chosen) -> str:
    said = [place.content_hash, config, zone, *(["services"] if place.opened else [])]
    said += [] if executor == BY_PROCESS else [executor.name, executor.options]
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode())


__all__ = ["SET", "Executors", "Place", "Written", "read", "readable_name"]
