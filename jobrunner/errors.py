"""What can go wrong, as data: each error is one sentence, a hint and an exit code.

JobrunnerError                       1
├── BadRequest                       2   options or arguments that cannot be meant
│   └── BadArgument                  2   an argument of a call from Python; names it
├── ConfigError                      3   a file or setting that cannot be used; knows file and line
│   ├── ScheduleError                3   a schedule that cannot be used; quotes the field
│   └── NotYetSupported              3   valid, but its behaviour comes with a later release
├── UnknownJob                       3   no such job; names near ones
├── UnknownRun                       3   no run of that number: never there, or pruned
├── Refused                          4   busy, disabled, or another exclusive start
├── NotEnded                         5   what was waited for has not ended in time
├── StateError                       7   the state file or database cannot be used
└── ResolutionError                  1   the container has no such service; shows the chain that asked
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


def written(value: object, write: Callable[[object], str] = repr) -> str:
    """Return a value as a message has it; its type where it cannot be written."""
    try:
        return write(value)
    except Exception:  # an integer of 5,000 digits, a list in itself, a __repr__ of the user's
        return f"a {type(value).__name__}"


def escaped(text: str) -> str:
    """Return text, with escapes in place of what a terminal would obey."""
    return text if text.isprintable() else ascii(text)[1:-1]


class JobrunnerError(Exception):
    """Base of every error that a user may meet.

    `message` is one sentence without a trailing full stop, `hint` the next step or None,
    `code` a stable word for programs, `exit_code` the process's.
    """

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadRequest(JobrunnerError):
    """Options or arguments that cannot be meant together, or a value that is out of range."""

    code = "usage"
    exit_code = 2


class BadArgument(BadRequest, ValueError):
    """An argument that cannot be used, of a function that users call; `argument` is its name."""

    def __init__(self, message: str, *, argument: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.argument = argument


class ConfigError(JobrunnerError):
    """A job file, a config or a setting that cannot be used.

    `file` is a path as the user would write it, `line` counts from 1; both may be unknown (None).
    `key` names the config key, where one is to blame.
    """

    code = "config"
    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line
        self.key = key

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.message}" if where else self.message


class ScheduleError(ConfigError):
    """A schedule that is malformed, out of range or never fires; the message quotes the field."""

    code = "schedule"


class NotYetSupported(ConfigError):
    """A valid key or method whose behaviour this version does not have; refused, never ignored."""

    code = "not-yet-supported"


class UnknownJob(JobrunnerError):
    """No job of that name; the hint names near ones."""

    code = "unknown-job"
    exit_code = 3


def unknown_job(name: str, names: Iterable[str]) -> UnknownJob:
    """Return the error of a name that no job has; its hint names near ones among `names`, in any case."""
    from difflib import get_close_matches

    known = {each.casefold(): each for each in names}
    near = " or ".join(f'"{known[each]}"' for each in get_close_matches(name.casefold(), known, n=3))
    hint = f"did you mean {near}?" if near else "`jobrunner ls` shows all jobs"
    return UnknownJob(f"there is no job {name!a:.150}", hint=hint)


class UnknownRun(JobrunnerError):
    """No run of that number: never there, or pruned."""

    code = "unknown-run"
    exit_code = 3


class Refused(JobrunnerError):
    """Asked for something that the present state forbids: busy, disabled, another exclusive start."""

    code = "refused"
    exit_code = 4


class NotEnded(JobrunnerError, TimeoutError):
    """What somebody waited for has not ended in the time that they had; it goes on."""

    code = "not-ended"
    exit_code = 5


class StateError(JobrunnerError):
    """The state file or database is missing, unreadable, too new, damaged, full or out of reach."""

    code = "state"
    exit_code = 7


class ResolutionError(JobrunnerError):
    """The container cannot provide a service; the message shows the chain that asked."""

    code = "resolution"
