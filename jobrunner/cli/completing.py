"""complete: say from outside how a step has ended that a run waits for."""

from __future__ import annotations

import json
from typing import Any

import click

from jobrunner.cli import out
from jobrunner.cli.asking import Asked, Text, Verb
from jobrunner.cli.desk import AS
from jobrunner.cli.jsonout import run_object
from jobrunner.cli.past import find_run
from jobrunner.client import orders
from jobrunner.client.desk import writing
from jobrunner.errors import BadRequest
from jobrunner.wording import one_line

EXAMPLE = "--result '{\"approved\": true}', or --result '\"a text\"'"


@click.command(
    cls=Verb,
    epilog='jobrunner complete 1742 approval --result \'{"by": "ana"}\'\n'
    'jobrunner complete 1742 approval --fail "too dear"',
)
@click.argument("run", type=Text())
@click.argument("step", type=Text())
@click.option("--result", metavar="JSON", help="What `ctx.wait_for` returns.  [default: null]")
@click.option("--fail", type=Text(), metavar="MESSAGE", help="It failed: `ctx.wait_for` raises this.")
@AS
@click.option("--json", "as_json", is_flag=True, help="Print the run that goes on, as JSON.")
@click.pass_obj
def complete(
    asked: Asked, run: str, step: str, result: str | None, fail: str | None, user: str | None, as_json: bool
) -> None:
    """Complete the step STEP that a RUN waits for: the run goes on.

    \b
    Exit code: 0 it goes on, 2 usage, 3 no such run, 4 the run does not wait for that step.
    """
    if result is not None and fail is not None:
        raise BadRequest("--result and --fail are two ends of one step", hint="keep one of them")
    value = _json(result) if result is not None else None
    settings = asked.settings()
    with asked.look(settings) as store:
        found = find_run(store, run)
        assert store is not None  # or there was no run
        with writing(settings, store, user) as at:
            goes_on = orders.complete(at, found.id, step, value, fail)
    if as_json:
        out.json_document(run_object(goes_on))
    else:
        how = "completed" if fail is None else "failed"
        out.line(one_line(f"run {goes_on.id} of {goes_on.job}: {step} {how}; it goes on"))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"--result is not JSON: {error}", hint=EXAMPLE) from None
