"""Every setting and its default on one screen; from options, else the environment, else jobrunner.yaml."""

# ruff: noqa: PTH109, PTH111, PTH112, PTH120  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jobrunner.clock import DAY, SECOND
from jobrunner.errors import ConfigError
from jobrunner.settings import readers
from jobrunner.settings.readers import NOBODY, Names, shown

if TYPE_CHECKING:
    from jobrunner.store.values import AddedJob

FILE = "jobrunner.yaml"
LOCAL, ZONES = (
    "/etc/localtime",
    "/zoneinfo/",
)  # the system's zone; what its name follows in the path it links to


class Settings(NamedTuple):
    """What a project and this machine say. Durations are microseconds, sizes bytes, paths absolute.

    The field's name in capitals behind `JOBRUNNER_` is its environment variable; in jobrunner.yaml it
    may be written `log_limit`, `logLimit` or `log-limit`. `folders` is `--jobs`, `JOBRUNNER_JOBS`, and
    `jobs:` or `folders:` in the file; `exclude` is `--except`, `run_for` is `--for`.
    """

    project: str  # the root: importable by jobs, home of jobrunner.yaml and .jobrunner
    folders: tuple[str, ...]  # default: <project>/jobs
    state: str  # default: sqlite:///<project>/.jobrunner/state.db
    timezone: str  # default: what TZ says, else the system's, else UTC
    slots: int  # default: the number of cores, at least 4
    node: str  # default: the host's name
    machine: str  # default: /etc/machine-id, else the host's name
    role: str = "all"  # what `start` does: all, worker, control
    labels: tuple[str, ...] = ()  # what a job's `runsOn` asks for
    executor: str = "process"  # what runs the bodies of jobs that name no other
    env: str | None = None  # which of a job's `environments` this is
    disabled: Names = NOBODY
    secrets: Names = NOBODY  # variables, and dotted paths into `settings`, that `masking` hides
    grace: int = 30 * SECOND  # how long a run may go on after it was asked to end
    lease: int = 30 * SECOND  # over a database: for how long a node that is not heard of is taken for alive
    log_limit: int = 1_000_000  # kept of a run's output
    import_limit: int = 10 * SECOND  # for a child that imports a job file
    allow_network_fs: bool = False
    retention: int = 30 * DAY  # how long ended runs are kept; 0: for ever
    retention_failed: int = 90 * DAY  # and those that failed, and the audit trail
    retention_rows: int = 10_000  # of each job; 0: all
    retention_calls: int = 7 * DAY  # how long calls are kept that have ended, failed or not; 0: as other runs
    log_format: str = "text"
    only: Names = NOBODY
    exclude: Names = NOBODY
    tag: tuple[str, ...] = ()
    paused: bool = False
    exclusive: bool = False
    strict: bool = False
    until_done: bool = False
    run_for: int | None = None  # how long `start` works
    services: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = {}  # the project's own
    executors: Mapping[str, Mapping[str, Any]] = {}  # options, by executor
    overrides: Mapping[str, Mapping[str, Any]] = {}  # job name -> its keys
    stored: Mapping[str, Mapping[str, Any]] = {}  # the same, by `set`: from the state
    added: Sequence[AddedJob] = ()  # jobs without a file: from the state, too
    file: str | None = None  # jobrunner.yaml, where there is one
    lines: Mapping[tuple[str, ...], int] = {}  # path of keys in it -> line
    explicit: bool = False  # whether `folders` was asked for, or is the default

    @property
    def state_folder(self) -> str:
        """Return the folder that holds the state file, its locks and doorbells."""
        scheme, _, path = self.state.partition(":///")
        if scheme != "sqlite" or not path:
            return os.path.join(self.project, ".jobrunner")
        return os.path.dirname(os.path.realpath(path))  # whatever link led there: all must meet at one door


READERS: dict[str, Callable[[Any], Any]] = {
    "project": readers.text, "folders": readers.folders, "state": readers.state,
    "timezone": readers.zone, "slots": readers.whole(1), "node": readers.text, "machine": readers.text,
    "role": readers.role, "labels": readers.labels, "executor": readers.text, "env": readers.text,
    "disabled": readers.names, "secrets": readers.names, "grace": readers.duration,
    "lease": readers.at_least(readers.duration, 2 * SECOND, "2s"),
    "log_limit": readers.size, "import_limit": readers.duration, "allow_network_fs": readers.flag,
    "retention": readers.duration, "retention_failed": readers.duration, "retention_rows": readers.whole(0),
    "retention_calls": readers.duration,
    "log_format": readers.log_format,
    "only": readers.names, "exclude": readers.names, "tag": readers.listed, "paused": readers.flag,
    "exclusive": readers.flag, "strict": readers.flag, "until_done": readers.flag,
    "run_for": readers.duration,
}  # fmt: skip
SECTIONS: dict[str, Callable[[Any], Any]] = {  # only in the file
    "services": readers.mapping, "settings": readers.mapping, "executors": readers.mappings,
    "overrides": readers.mappings,
}  # fmt: skip
FIELD = {"jobs": "folders", "except": "exclude", "for": "run_for"}  # as people write it -> our name
OPTION = {name: option for option, name in FIELD.items()}
SINGLE = {"labels": "label"}  # what an option is called of which each brings one

Given = tuple[Any, str]  # a value, and where it was written


def load(options: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Return the settings: command line over environment over jobrunner.yaml over defaults.

    `options` go by the long option's name with underscores (`jobs`, `log_format`); None, false and empty
    ones count as not given, and so do empty variables. Raises ConfigError, with file and line where
    the file is to blame.
    """
    asked = _asked(options, environ)
    project = _project(asked)
    values = {name: _read(name, *given) for name, given in asked.items()}
    file = os.path.join(project, FILE)
    found = os.path.lexists(file)
    written, lines = _written(file) if found else ({}, {})
    values = {**written, **values}
    explicit = "folders" in values
    values |= _missing(values, project, environ)
    values["project"], values["state"] = project, _absolute(values["state"], project)
    for name in ("services", "settings", "executors"):
        _check_json(name, values.get(name), lines)
    return Settings(**values, lines=lines, file=file if found else None, explicit=explicit)


def _check_json(name: str, value: Any, lines: Mapping[tuple[str, ...], int]) -> None:
    """Runs get these sections as JSON; YAML can say more than that (dates, sets, infinity)."""
    from jobrunner.settings.jsonvalues import HINT, flaw

    said = flaw(value, name)
    if said is not None:
        hint = f'{HINT}; a date goes in quotes: "2026-01-01"'
        raise ConfigError(said, hint=hint, file=FILE, line=lines.get((name,)), key=name)


def _asked(options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Given]:
    asked: dict[str, Given] = {}
    for name in READERS:
        option = OPTION.get(name, name)
        variable = "JOBRUNNER_" + option.upper()
        if _given(options.get(option)):
            asked[name] = options[option], "--" + SINGLE.get(option, option).replace("_", "-")
        elif environ.get(variable, "").strip():
            asked[name] = environ[variable], variable
    return asked


def _given(value: object) -> bool:
    return not (value is None or value is False or value in ("", (), []))


def _read(name: str, value: object, where: str) -> Any:
    try:
        return READERS[name](value)
    except ValueError as error:
        raise ConfigError(f"{where} is {shown(value)}, which {error}", key=name) from None


# --- the project root -------------------------------------------------------------------------


def _project(asked: Mapping[str, Given]) -> str:
    if "project" not in asked:
        return _nearest(os.getcwd()) or _parent(asked) or os.getcwd()
    value, where = asked["project"]
    root = os.path.abspath(os.path.expanduser(str(value)))
    if not os.path.isdir(root):
        raise ConfigError(f"{where} is {shown(str(value))}, and there is no such folder", key="project")
    return root


def _nearest(folder: str) -> str | None:
    while not os.path.lexists(os.path.join(folder, FILE)):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return folder


def _parent(asked: Mapping[str, Given]) -> str | None:
    if "folders" not in asked:
        return None
    folders: tuple[str, ...] = _read("folders", *asked["folders"])
    return os.path.dirname(folders[0])


# --- the file ---------------------------------------------------------------------------------


def _written(file: str) -> tuple[dict[str, Any], Mapping[tuple[str, ...], int]]:
    from jobrunner.settings import yamlfile

    document, lines = yamlfile.read(file)
    values: dict[str, Any] = {}
    for key, value in document.items():
        line = lines.get((key,), 1)  # one that was merged in has no line of its own
        name = _known(key, value, line)
        if name in values:
            raise ConfigError(
                f"{name} is given twice", hint="keep one of them", file=FILE, line=line, key=key
            )
        if name == "overrides":
            _check_overrides(value, lines)
        if value is not None and not (name == "timezone" and _is_blank(value)):
            values[name] = _meant(name, key, value, os.path.dirname(file), line)
    return values, lines


def _known(key: str, value: object, line: int) -> str:
    """Return our name for a key of the file: `jobs` is the folders or, as a mapping, the overrides."""
    if key == "jobs" and isinstance(value, dict):
        return "overrides"
    snake = "".join("_" + each.lower() if each.isupper() else each for each in key).replace("-", "_")
    name = FIELD.get(snake, snake)
    known = (READERS.keys() - {"project"}) | (SECTIONS.keys() - {"overrides"})
    if name in known:
        return name
    from difflib import get_close_matches

    near = get_close_matches(snake, sorted(known | FIELD.keys()), n=1)
    hint = f'did you mean "{near[0]}"?' if near else "remove it; values of your own belong under settings:"
    raise ConfigError(f"{shown(key)} is no setting", hint=hint, file=FILE, line=line, key=key)


def _check_overrides(jobs: Mapping[str, Any], lines: Mapping[tuple[str, ...], int]) -> None:
    for job, keys in jobs.items():
        if keys is None or isinstance(keys, dict):
            continue
        name = job if job.isprintable() else ascii(job)
        said = f"jobs.{name} is {shown(keys)}, which is not a mapping of config keys to values"
        hint = "write folders: at the top of the file, beside jobs:" if job in ("folders", "jobs") else None
        raise ConfigError(said, hint=hint, file=FILE, line=lines.get(("jobs", job), 1), key="jobs")


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _meant(name: str, key: str, value: Any, root: str, line: int) -> Any:
    try:
        if name == "folders":
            return readers.folders([value] if isinstance(value, str) else value, root)
        return {**READERS, **SECTIONS}[name](value)
    except ValueError as error:
        raise ConfigError(f"{key} is {shown(value)}, which {error}", file=FILE, line=line, key=key) from None


# --- defaults that depend on where we are -----------------------------------------------------


def _missing(values: Mapping[str, Any], project: str, environ: Mapping[str, str]) -> dict[str, Any]:
    defaults: dict[str, Callable[[], Any]] = {
        "folders": lambda: (os.path.join(project, "jobs"),),
        "state": lambda: "sqlite:///.jobrunner/state.db",
        "timezone": lambda: _system_zone(environ),
        "slots": lambda: max(4, _cores()),
        "node": _host,
        "machine": _machine,
    }
    return {name: default() for name, default in defaults.items() if name not in values}


def _absolute(state: str, project: str) -> str:
    """Return `state` with a relative SQLite path counted from the project, wherever we were called."""
    scheme, _, path = state.partition(":///")
    return f"sqlite:///{os.path.join(project, path)}" if scheme == "sqlite" and path else state


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _line_of(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read(100).strip()
    except (OSError, ValueError):
        return ""


def _host() -> str:
    return os.uname().nodename  # as socket.gethostname, whose module takes 4 ms to import


def _machine() -> str:
    return _line_of("/etc/machine-id") or _host()


def _linked(path: str) -> str:
    """Return the name of the zone whose file a path leads to, or an empty text."""
    return os.path.realpath(path).partition(ZONES)[2]


def _system_zone(environ: Mapping[str, str]) -> str:
    """Return the system's zone by name; the usual case without tzlocal, which takes 20 ms to import."""
    asked = environ.get("TZ", "").strip()
    if asked and asked.removeprefix(":") != LOCAL:
        return _zone_of(asked)
    name = _linked(LOCAL)
    if name and _line_of("/etc/timezone") in ("", name):
        return name
    try:
        import tzlocal

        return readers.zone(tzlocal.get_localzone_name())
    except Exception:  # whatever a misconfigured system makes tzlocal raise or warn
        return name if _is_zone(name) else "UTC"  # the C library follows the link, too


def _is_zone(name: str) -> bool:
    try:
        return bool(readers.zone(name))
    except ValueError:
        return False


def _zone_of(asked: str) -> str:
    """Return the zone that TZ names, with or without a colon, or by its file.

    A rule such as `CET-1CEST` has no name to show or to keep, and to take it for UTC would run every job
    at another hour than its author meant.
    """
    path = asked.removeprefix(":")
    name = path.partition(ZONES)[2] or _linked(path) if path.startswith("/") else path
    try:
        return readers.zone(name)
    except ValueError:
        said = f"TZ is {shown(asked)}, which is no IANA zone such as Europe/Berlin"
        raise ConfigError(
            said, hint="correct it, or say which zone you mean with --timezone", key="timezone"
        ) from None
