"""exec: any Python file's default function, with the container of the project."""

from __future__ import annotations

import click

from jobrunner.cli import params
from jobrunner.cli.asking import Asked
from jobrunner.cli.byhand import AS, GRACE, JSON, TIMEOUT, patient, perform
from jobrunner.errors import BadArgument
from jobrunner.executor import birth
from jobrunner.stored import with_stored


@click.command(
    "exec",
    cls=params.JobVerb,
    epilog="jobrunner exec reindex.py -p since=2026-05-01\njobrunner exec scripts/load.py a.csv b.csv",
)
@click.argument("file", type=click.Path())
@click.argument("words", nargs=-1, metavar="[ARGS]...")
@params.options
@TIMEOUT
@GRACE
@AS
@JSON
@click.pass_obj
def exec_(
    asked: Asked,
    file: str,
    words: tuple[str, ...],
    pairs: tuple[str, ...],
    text: str | None,
    timeout: int | None,
    grace: str | None,
    identity: str,
    as_json: bool,
) -> int:
    """Run the default function of any Python FILE here and now, with the project's services.

    It need be no job: no config, no jobs folder. A config in it is not used: neither its params nor its
    timeout. The function may take `args`, the list of ARGS, and whatever a job may. ARGS that begin with -
    follow behind --. It works in the project's folder. The run is kept as one of the hidden job
    jobrunner.exec.

    \b
    Exit code: as of `jobrunner run`; 3 also for a file without a default function.
    """
    from jobrunner.housekeeping import EXEC_PARAMS, exec_job

    typed = params.words(pairs, text)
    settings = patient(asked.settings(grace=grace), grace)
    with birth.begun(settings):
        job = exec_job(file, settings)
        with asked.look(settings) as seen:
            settings = with_stored(settings, seen)
        given = typed.of(file, job.parameters, {})
        for name in EXEC_PARAMS:
            if name in given:
                raise BadArgument(
                    f"{name} comes from the command line itself", argument=name, hint="rename it"
                )
        params.refuse_missing(job, given, settings)
        given |= {"file": job.path, "args": list(words)}
        return perform(
            asked, settings, job, given, timeout=timeout, identity=identity, force=False, as_json=as_json
        )
