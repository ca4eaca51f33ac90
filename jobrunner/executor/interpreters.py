"""The executor `subprocess`: a new interpreter for each run, which may be one of another environment."""

# ruff: noqa: PTH111  (paths are text here)

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping

from jobrunner.executor.plugin import Around, Family, Launcher, Options, Plugin, Read
from jobrunner.settings import readers

# Where another interpreter would look for its own library, if it were told what ours was told.
OURS = ("PYTHONHOME", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")


class Subprocess(Plugin):
    """`python`: the interpreter; a path counts from the project, a name is looked up as a shell would."""

    options: Mapping[str, Read] = {"python": readers.text}

    def launcher(self, family: Family, around: Around) -> Launcher:
        """Return what executes interpreters."""

        from jobrunner.executor.commands import CommandLauncher, child

        environ = {name: value for name, value in around.environ.items() if name not in OURS}
        return CommandLauncher(
            family,
            around._replace(environ=environ),
            lambda options: child(interpreter(options, around.project)),
        )


def missing(options: Options, project: str) -> str | None:
    """Return the interpreter that a job's options name, as written, where this machine has none such."""
    return None if shutil.which(interpreter(options, project)) else options.get("python")


def interpreter(options: Options, project: str) -> str:
    """Return the interpreter that a job's options name."""
    python = os.path.expanduser(options.get("python", sys.executable))
    return os.path.join(project, python) if os.sep in python else python
