"""completion: the script that a shell needs, and the names of jobs and of their params that it offers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from jobrunner.cli import out
from jobrunner.cli.asking import Asked, Verb
from jobrunner.errors import BadRequest, JobrunnerError
from jobrunner.parameters import choices

SHELLS = ("bash", "zsh", "fish")
INSTALL = {
    "bash": 'eval "$(jobrunner completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(jobrunner completion zsh)"   # in ~/.zshrc',
    "fish": "jobrunner completion fish > ~/.config/fish/completions/jobrunner.fish",
}


@click.command(cls=Verb, epilog="\n".join(INSTALL.values()))
@click.argument("shell", required=False, type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print the script that completes commands, options and job names in SHELL."""
    shell = shell or _shell()
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "jobrunner", "_JOBRUNNER_COMPLETE").source()
    out.line(_without_blank(script).strip())


def _without_blank(script: str) -> str:
    """Let the value follow `-p rows=` at once; fish does so by itself."""
    bash = "    return 0\n"
    ends = '    if [[ "${COMPREPLY[0]-}" == *= ]]; then compopt -o nospace; fi\n'
    zsh = "compadd -U -V unsorted -a completions"
    joined = "compadd -U -S '' -V unsorted -a completions"
    either = f'if [[ "$completions[1]" == *= ]]; then {joined}; else {zsh}; fi'
    return script.replace(bash, ends + bash).replace(zsh, either)


def _shell() -> str:
    """Return the user's shell."""
    shell = Path(os.environ.get("SHELL", "")).name
    if shell not in SHELLS:
        raise BadRequest("which shell?", hint="jobrunner completion bash, zsh or fish")
    return shell


def names(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the job names that begin so; none where they cannot be known, for a prompt must not break."""
    from jobrunner.cli import report

    asked = ctx.find_object(Asked) or Asked()
    try:
        known = report.names(asked.told())
    except (JobrunnerError, OSError):
        return []
    wanted = incomplete.casefold()
    return [CompletionItem(name) for name in known if name.casefold().startswith(wanted)]


def params_of(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the params of the job that the line names, each with its `=`, but for those that it has.

    Behind the `=`, the values that it may have, where its type names them.
    """
    from jobrunner.cli import params

    name = params.named(ctx)
    try:
        known = params.listed(params.find(ctx, name)) if name else []
    except (JobrunnerError, OSError):
        return []
    has = {pair.partition("=")[0] for pair in ctx.params.get("pairs") or ()}
    said = [f"{one.name}=" for one in known if one.name not in has]
    said += [
        f"{one.name}={each if isinstance(each, str) else json.dumps(each)}"
        for one in known if "=" in incomplete for each in choices(one.kind)
    ]  # fmt: skip
    return [CompletionItem(each) for each in said if each.startswith(incomplete) and each != incomplete]
