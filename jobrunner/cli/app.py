"""The group of commands, each loaded when it is called, and what becomes of an error."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from jobrunner import __version__
from jobrunner.cli import out
from jobrunner.cli.asking import Fitted, Verb, shared
from jobrunner.errors import JobrunnerError

INTERRUPTED = 130
INTERNAL = 1
REPORT = "this is a flaw of jobrunner; please report it with the output of the same command and --debug"

FAMILIES = {  # family -> command -> (module, what it does)
    "Run jobs": {
        "start": ("start", "Run the schedule until told to stop."),
        "run": ("byhand", "Run one job here and now."),
        "trigger": ("calling", "Have the running nodes run a job at the soonest."),
        "at": ("calling", "Have a job run once, at a moment."),
        "in": ("calling", "Have a job run once, after a delay."),
        "exec": ("execute", "Run any Python file with the project's services."),
    },
    "Look": {
        "ls": ("look", "List the jobs: schedule, next run, last result."),
        "next": ("coming", "Show when jobs, or a cron expression, are due."),
        "simulate": ("simulate", "Show what will happen, without making it happen."),
        "history": ("past", "List past runs, newest first."),
        "show": ("past", "Show all about a job or a run."),
        "logs": ("logs", "Print what a run wrote."),
        "pending": ("waiting", "List what will run, and what it waits for."),
        "why": ("why", "Say why a job ran or did not, or when it will."),
        "doctor": ("doctor", "Find what keeps jobs, or one job, from running."),
        "stats": ("stats", "Count runs, and how long and late they were."),
        "nodes": ("roster", "Show who works, and whether all hold the same."),
        "health": ("health", "Tell a probe whether jobs are run in time."),
    },
    "Control": {
        "enable": ("control", "Let jobs run by their schedule again."),
        "disable": ("control", "Keep jobs from running by their schedule."),
        "pause": ("control", "Let all schedules stand still."),
        "resume": ("control", "Let them go on."),
        "set": ("setting", "Override keys of a job without touching its file."),
        "complete": ("completing", "Complete a step that a run waits for."),
        "cancel": ("cancel", "Let runs end, or never start."),
        "reset": ("control", "Let a job start over."),
        "forget": ("control", "Delete all about a job whose file is gone."),
        "audit": ("trail", "Show who changed what."),
    },
    "Keep": {
        "state": ("state", "Look after the state: backup, check, move to another database."),
    },
    "Write": {
        "init": ("files", "Write a project to begin with."),
        "new": ("files", "Write a job file to begin with."),
        "check": ("checking", "Find problems in job files and settings."),
        "completion": ("completion", "Print the script that completes in your shell."),
    },
}
LATER = {  # commands of later versions
    "top", "ui",
}  # fmt: skip
OURS = {
    "exec": "exec_",
    "in": "in_",
    "next": "next_",
    "set": "set_",
}  # functions that may not be called as their commands are
_NO_PROCESS = "raise the limit of processes (ulimit -u) or of memory, or that of the container"
LACKS = {  # what the system has no more of -> code, sentence, hint
    errno.EMFILE: ("descriptors", "no more files can be opened here", "raise the limit: ulimit -n 1024"),
    errno.ENFILE: ("descriptors", "no more files can be opened here", "raise the limit: ulimit -n 1024"),
    errno.EAGAIN: ("processes", "no more processes can be started here", _NO_PROCESS),
    errno.ENOMEM: ("processes", "there is no memory for another process", _NO_PROCESS),
}
NEAR = 0.7  # how like a command a word must be to be taken for it misspelt
COMMANDS = {name: home for family in FAMILIES.values() for name, home in family.items()}


class Family(Fitted, click.Group):
    """A group that knows its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"jobrunner.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, OURS.get(cmd_name, cmd_name))
        assert isinstance(command, Verb)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name near ones."""
        name = args[0]
        if name in LATER:
            not_yet(f"`{name}`", "jobrunner --help shows what this version does")
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=3, cutoff=NEAR)
            near.sort(key=lambda word: sorted(word) != sorted(name))  # letters that changed places come first
            meant = f'; did you mean "{near[0]}"?' if near else ""
            ctx.fail(f'there is no command "{name}"{meant}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section a family, from the table alone."""
        for family, commands in FAMILIES.items():
            with formatter.section(family):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])


@click.group(
    cls=Family,
    params=[*shared()],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every option is also an environment variable: --state is JOBRUNNER_STATE.",
)
@click.version_option(__version__, message="jobrunner %(version)s")
def jobrunner() -> None:
    """Drop a Python file into jobs/, run `jobrunner start`, and it runs on schedule."""


def run(args: Sequence[str]) -> int:
    """Run a command line; returns the exit code, whatever happens."""
    out.prepare()
    try:
        return _exit_code(jobrunner.main(list(args), prog_name="jobrunner", standalone_mode=False))
    except Exception as error:  # the last resort: nobody above us would say it better
        return _failed(error, args)
    except (KeyboardInterrupt, click.Abort):
        return _failed(KeyboardInterrupt(), args)


def _exit_code(returned: Any) -> int:
    return returned if isinstance(returned, int) else 0


def _failed(error: BaseException, args: Sequence[str]) -> int:
    """Say what went wrong in one sentence and a hint."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        out.talk(error.format_message())
        return error.exit_code
    if "--debug" in args or os.environ.get("JOBRUNNER_DEBUG", "") not in ("", "0", "false"):
        import traceback

        from jobrunner.masking import without_passwords

        out.talk(without_passwords("".join(traceback.format_exception(error)).rstrip()))
    code, message, hint, exit_code = _described(error)
    say_error(code, message, hint, as_json="--json" in args)
    return exit_code


def say_error(code: str, message: str, hint: str | None, *, as_json: bool) -> None:
    """Write an error to stderr, without passwords of addresses in it, whoever wrote the sentence."""
    from jobrunner.masking import without_passwords

    message, hint = without_passwords(message), hint and without_passwords(hint)
    if as_json:
        out.talk(out.json_text({"error": {"code": code, "message": message, "hint": hint}}))
        return
    from jobrunner.wording import one_line

    out.talk(f"error: {one_line(message)}")
    if hint:
        out.talk(f"hint: {one_line(hint)}")


Described = tuple[str, str, str | None, int]


def _described(error: BaseException) -> Described:
    """Return code, sentence, hint and exit code of any error."""
    if isinstance(error, JobrunnerError):
        return error.code, str(error), error.hint, error.exit_code
    if isinstance(error, click.ClickException):
        return "usage", error.format_message().rstrip("."), _usage_hint(error), 2
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "interrupted", "interrupted", None, INTERRUPTED
    if isinstance(error, FileNotFoundError) and not _at_home():
        return "config", "the folder that you are in was deleted", "cd to one that exists", 3
    if isinstance(error, OSError) and error.errno in LACKS:
        return (*LACKS[error.errno], INTERNAL)
    return "internal", f"unexpected {type(error).__name__}: {error}", REPORT, INTERNAL


def _at_home() -> bool:
    """Say whether the working folder is there."""
    try:
        return bool(os.getcwd())  # noqa: PTH109
    except FileNotFoundError:
        return False


def _usage_hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    return f"{context.command_path} --help shows how" if context is not None else None


def not_yet(option: str, instead: str) -> NoReturn:
    """Refuse what a later version will do."""
    from jobrunner.errors import BadRequest

    raise BadRequest(f"{option} is not yet supported", hint=instead)
