"""What every command takes, and what it opens with it.

The options stand before the command or after it, as people type them; each is also `JOBRUNNER_…`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from jobrunner.cli import out
from jobrunner.errors import BadRequest, ConfigError, StateError

if TYPE_CHECKING:
    from jobrunner.settings import Settings
    from jobrunner.store.base import Store


class Text(click.ParamType[str]):
    """A text that is not empty: an unset variable in a script must not mean the default."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is."""
        if not value.strip():
            self.fail("it is empty", param, ctx)
        return str(value)


class Length(click.ParamType[int]):
    """A duration, kept as written for the settings to read."""

    name = "duration"

    def __init__(self, least: int = 0) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return microseconds; digits alone are seconds."""
        from jobrunner import durations

        if isinstance(value, int):
            return value
        try:
            micros = durations.parse(float(value) if value.replace(".", "", 1).isdecimal() else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if micros < self._least:
            self.fail(f'"{value}" is no time at all', param, ctx)
        return micros


class JobName(Text):
    """The name of a job, which a shell can complete."""

    name = "name"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Return the names that begin so."""
        from jobrunner.cli.completion import names

        return names(ctx, incomplete)


class Asked:
    """The shared options that were given, and the two things that they lead to."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}

    def settings(self, **more: Any) -> Settings:
        """Return the settings, with options of the command itself. Raises BadRequest for a bad option."""
        from jobrunner.settings import load

        options = {name: value for name, value in self.options.items() if name != "debug"}
        try:
            return load({**options, **more}, os.environ)
        except ConfigError as error:
            if error.file is None and error.message.startswith("--"):
                raise BadRequest(error.message, hint=error.hint) from None
            raise

    def state(self, settings: Settings) -> Store | None:
        """Open the state to look at it; None when there is none yet. Nothing is ever created.

        It is closed with the command, as what `open` opens.
        """
        from jobrunner.store import find_store

        found = find_store(settings.state, patience=10.0, allow_network_fs=settings.allow_network_fs)
        return found and _until_the_end(found)

    def told(self) -> Settings:
        """Return the settings with the added jobs, as far as the state can be read."""
        from jobrunner.stored import with_added

        settings = self.settings()
        with suppress(StateError), self.look(settings) as store:
            return with_added(settings, store)
        return settings

    @contextmanager
    def look(self, settings: Settings) -> Iterator[Store | None]:
        """Open the state as `state` does, and close it."""
        store = self.state(settings)
        try:
            yield store
        finally:
            if store is not None:
                store.close()

    def open(self, settings: Settings, *, create: bool = True, patience: float = 10.0) -> Store:
        """Open the state to work in it; a locked one is waited for `patience` seconds."""
        from jobrunner.store import open_store

        return _until_the_end(open_store(
            settings.state, create=create, patience=patience, allow_network_fs=settings.allow_network_fs
        ))  # fmt: skip

    def make(self, settings: Settings) -> Store:
        """Make the state to leave something in it for the nodes to come, and say so: the address may be
        mistyped, and then they look elsewhere. Raises StateError."""
        from jobrunner.masking import without_passwords
        from jobrunner.wording import one_line

        store = self.open(settings)
        out.talk(f"note: there was no state yet at {one_line(without_passwords(settings.state))}; it is made")
        return store


def _until_the_end(store: Store) -> Store:
    """Close it with the command: a server would take a connection that is just dropped for a broken one."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(store.close)
    return store


class Fitted(click.Command):
    """A command that measures the terminal for its help itself: for click, shutil would load compressors."""

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, as wide as the terminal."""
        ctx.terminal_width = out.width()
        return super().get_help(ctx)


class Verb(Fitted):
    """A command that takes the shared options too, and says so in one line of its help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*args, **kwargs)
        own = {option for param in self.params for option in param.opts}
        self.params += [option for option in shared(hidden=True) if not own.intersection(option.opts)]

    def examples(self, ctx: click.Context) -> str:
        """Return the examples, a line each."""
        return self.epilog or ""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then where to find the other options."""
        examples = self.examples(ctx)
        if examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line.strip()}\n" for line in examples.strip().splitlines()))
        formatter.write("\nOptions of `jobrunner --help` may follow the command, too.\n")


class Verbs(Verb, click.Group):
    """A command that has commands."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, each with its first sentence, whole."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(200)) for name, each in self.commands.items()])


def shared(*, hidden: bool = False) -> list[click.Option]:
    """Return fresh copies of the options that every command takes."""

    def option(*names: str, text: str, **kwargs: Any) -> click.Option:
        kwargs.setdefault("type", None if kwargs.get("is_flag") else Text())
        return click.Option(names, help=text, hidden=hidden, expose_value=False, callback=_remember, **kwargs)

    return [
        option("--project", metavar="DIR", text="Project folder; default: where jobrunner.yaml is."),
        option("--jobs", metavar="DIR", multiple=True, text="Folder with job files; may be repeated."),
        option("--state", metavar="URL", text="State, e.g. sqlite:////var/lib/app/state.db."),
        option("--timezone", metavar="TZ", text="Time zone of schedules that name none."),
        option("--node", metavar="NAME", text="Name of this node in history and logs."),
        option("--machine", metavar="ID", text="Identity of this machine."),
        option("--allow-network-fs", is_flag=True, text="Accept a state file on a network file system."),
        option("--debug", is_flag=True, text="Show the traceback of an unexpected error."),
    ]


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    options = ctx.ensure_object(Asked).options
    if value and param.name is not None:
        before: Sequence[str] = options.get(param.name, ())
        options[param.name] = (*before, *value) if param.multiple else value
