"""Which params a job's function can be given, read from its file: a misspelt one would be passed over."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from jobrunner.errors import BadRequest

if TYPE_CHECKING:
    from jobrunner.model import Job
    from jobrunner.settings import Settings

ALL = {"container", "ctx", "params"}  # whoever takes one of these may look at any param
SERVICES = "services.py"
Def = ast.FunctionDef | ast.AsyncFunctionDef


def check_params(job: Job, given: Iterable[str], settings: Settings) -> None:
    """Raise BadRequest for a param that nothing in the job could take, where that can be known."""
    known = taken(job, settings)
    wrong = [name for name in given if name not in known] if known is not None else []
    if known is None or not wrong:
        return
    near = get_close_matches(wrong[0], known, n=3)
    takes = f"it takes {', '.join(known)}" if known else "it takes none"
    hint = f"did you mean {' or '.join(near)}?" if near else takes
    raise BadRequest(f'{job.name} has no param "{wrong[0]}"', hint=hint)


def taken(job: Job, settings: Settings) -> list[str] | None:
    """Return the names that mean something to a job; None when it may look at any, or nobody can tell."""
    if job.target or not job.path or _services_look(settings):
        return None
    try:
        function = _function(ast.parse(Path(job.path).read_bytes()).body)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    if function is None or function.decorator_list:  # a decorator may take more than it shows
        return None
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return None if ALL.intersection(names) else sorted({*names, *job.params})


def _services_look(settings: Settings) -> bool:
    """Say whether services may read params: those of a run are theirs, too."""
    if settings.services:
        return True
    try:
        text = Path(settings.project, SERVICES).read_text("utf-8", "replace")
    except OSError:
        return False
    return re.search(r"\b(params|ctx)\b", text) is not None


def _function(body: Sequence[ast.stmt]) -> Def | None:
    """Return the function that a run calls, where it is plainly written: at the top, and once."""
    functions = [node for node in body if isinstance(node, Def)]
    named = [node for node in functions if node.name == "default"]
    if not named and "default" not in {each.id for each in _names(body)}:
        named = [node for node in functions if not node.name.startswith("_")]
    return named[0] if len(named) == 1 else None


def _names(body: Sequence[ast.stmt]) -> Iterable[ast.Name]:
    return (each for node in body for each in ast.walk(node) if isinstance(each, ast.Name))
