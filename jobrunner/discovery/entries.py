"""One file's entry in the cache: its jobs and problems with the settings applied, all of it JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, TypedDict

from jobrunner import config
from jobrunner.clock import SECOND, Instant
from jobrunner.config import Place
from jobrunner.config.values import OURS
from jobrunner.discovery import signature
from jobrunner.discovery.files import Description, Found, describe
from jobrunner.discovery.servicesfile import services_look
from jobrunner.discovery.summary import summarize
from jobrunner.discovery.walk import ProblemRow, shown_path
from jobrunner.errors import ConfigError
from jobrunner.model import Job
from jobrunner.plugins import PROCESS
from jobrunner.settings import FILE, Settings

FORGOTTEN = 60 * SECOND  # after this a failed import is tried again: a package may be there by now


class JobEntry(TypedDict):
    """A valid config: its summary's values, and what the job can be built from again."""

    row: list[Any]
    config: dict[str, Any]
    line: int
    lines: dict[str, int]
    former: list[str]


class Entry(TypedDict):
    """One file. `files` are hashes of others that its configs came from; a failed import `expires`.

    `takes` is what its function takes, as `signature.written` writes it. `unread`: its config is computed,
    and it was not executed to be read; this expires at once. `plugged`: which executors there are matters.
    """

    path: str
    folder: str
    hash: str
    doc: str
    imports: list[str]
    takes: str
    jobs: list[JobEntry]
    problems: list[ProblemRow]
    files: dict[str, str]
    expires: Instant | None
    unread: bool
    plugged: bool


def entries(found: Sequence[Found], settings: Settings, now: Instant) -> list[Entry]:
    """Return the entries of job files, read anew."""
    described = describe(found, settings.import_limit / SECOND)
    overrides = Overrides(settings)
    pairs = zip(found, described, strict=True)
    return [_entry(each, description, settings, overrides, now) for each, description in pairs]


def build(entry: Entry, job: JobEntry, settings: Settings, overrides: Overrides) -> Job:
    """Return the job of an entry that was found to be valid."""
    made, errors = _read(entry, job, settings, overrides)
    if made is None:
        raise errors[0]
    return made


class Overrides:
    """What lies over all files: `jobs:` of jobrunner.yaml, and what `set` has stored; by name in any case."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lines = settings.lines
        self._names = {name.casefold(): name for name in settings.overrides}
        self._keys = settings.overrides
        self._stored = {name.casefold(): keys for name, keys in settings.stored.items()}

    @cached_property
    def services_look(self) -> bool:
        """Whether the services may take params that no function names."""
        return services_look(self._settings)

    @cached_property
    def executors(self) -> config.Executors:
        """Which executors there are, and what the settings say of them."""
        return config.Executors(self._settings)

    def of(self, name: str | None) -> list[config.Written]:
        """Return what overrides a job's config, weakest first. Raises ConfigError when that is not JSON."""
        key = (name or "").casefold()
        found = [self._in_file(self._names[key])] if key in self._names else []
        return [*found, config.Written(self._stored[key], config.SET)] if key in self._stored else found

    def _in_file(self, name: str) -> config.Written:
        lines = {key: self._line(name, key) for key in self._keys[name]}
        keys = {key: _json(key, value, lines[key]) for key, value in self._keys[name].items()}
        return config.Written(keys, FILE, self._line(name), lines)

    def unknown(self, names: set[str]) -> Iterator[tuple[str, int]]:
        """Yield (name, line) of those of jobrunner.yaml that no job has; `names` are casefolded.

        What is stored is no typing error: its job may come back with the next edit.
        """
        for key, name in self._names.items():
            if key not in names and key not in OURS:
                yield name, self._line(name)

    def _line(self, *path: str) -> int:
        return self._lines.get(("jobs", *path), 1)


def _json(key: str, value: object, line: int) -> Any:
    """Return a value of YAML in JSON types: it also has dates, which become ISO text."""
    from jobrunner.settings.jsonvalues import HINT, flaw, plain

    found = plain(value)
    said = None if isinstance(found, float) else flaw(found, key)  # infinity: each key has its own words
    if said is not None:
        raise ConfigError(said, hint=HINT, file=FILE, line=line, key=key)
    return found


def _entry(
    found: Found, description: Description, settings: Settings, overrides: Overrides, now: Instant
) -> Entry:
    entry = Entry(
        path=found.path,
        folder=found.folder,
        hash=description.content_hash,
        doc=" ".join(each for each in description.doc.split() if each.isprintable())[:1000],
        imports=description.imports,
        takes=signature.written(description.parameters),
        jobs=[],
        problems=[],
        files=description.files,
        expires=_expires(description, now),
        unread=description.unread,
        plugged=False,
    )
    names = _names(description) if description.problems else [None]
    entry["problems"] += [_row(found, error, name) for error in description.problems for name in names]
    if not description.problems:
        for each in description.configs:
            job = JobEntry(row=[], config=each.config, line=each.line, lines=each.lines, former=[])
            _add(entry, found, job, settings, overrides)
    return entry


def _expires(description: Description, now: Instant) -> Instant | None:
    if description.unread:
        return now
    return now + FORGOTTEN if description.transient else None


def _names(description: Description) -> list[str | None]:
    """Return the names that a broken file takes with it, each once; [None] when there is none to be read."""
    written = [each.config for each in description.configs] or [{"name": name} for name in description.names]
    names = dict.fromkeys(map(config.readable_name, written))
    return [name for name in names if name is not None] or [None]


def _add(entry: Entry, found: Found, each: JobEntry, settings: Settings, overrides: Overrides) -> None:
    name = config.readable_name(each["config"])
    job, errors = _read(entry, each, settings, overrides)
    entry["plugged"] |= job is None or job.executor.name != PROCESS
    entry["problems"] += [_row(found, error, name) for error in errors]
    if job is not None:
        each["row"] = list(summarize(job))
        each["former"] = list(job.config.get("formerNames", ()))
        entry["jobs"].append(each)


def _read(
    entry: Entry, each: JobEntry, settings: Settings, overrides: Overrides
) -> tuple[Job | None, list[ConfigError]]:
    file = shown_path(entry["path"], settings.project)
    written = config.Written(each["config"], file, each["line"], each["lines"])
    place = Place(
        entry["path"], entry["folder"], entry["hash"], entry["doc"], tuple(entry["imports"]),
        signature.parsed(entry["takes"]), services_look=overrides.services_look,
        executors=overrides.executors,
    )  # fmt: skip
    try:
        over = overrides.of(config.readable_name(each["config"]))
    except ConfigError as error:
        return None, [error]
    return config.read(written, place, settings.timezone, over)


def _row(found: Found, error: ConfigError, name: str | None) -> ProblemRow:
    file = error.file or shown_path(found.path, found.root)
    if file == config.SET:
        file = f"set {name} {error.key}"
    return file, error.line, error.message, error.hint, name, found.path
