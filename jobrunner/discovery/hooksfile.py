"""hooks.py, and the hooks that configs name: which there are, read from syntax trees; nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from jobrunner.config.values import HOOKS
from jobrunner.model import Job, Problem

NAME = "hooks.py"
LARGEST = 1_000_000  # bytes
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def read(project: str) -> tuple[frozenset[str], Problem | None]:
    """Return the names of the hooks that <project>/hooks.py defines, and why it cannot be used, if so."""
    path = Path(project, NAME)
    if not path.is_file():
        return frozenset(), None
    try:
        return frozenset(HOOKS) & _defined(path), None
    except SyntaxError as error:
        line, message = error.lineno, f"the file is not Python: {error.msg}"
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        line, message = None, f"the file cannot be read: {error}"
    return frozenset(), Problem(NAME, line, message, "mend it; no hook is called until then", path=str(path))


def problems(jobs: Iterable[Job], project: str) -> Iterator[Problem]:
    """Yield what is wrong with hooks.py, and each function that a config names and no file of the project
    defines. Of installed packages nothing is known."""
    _, problem = read(project)
    if problem is not None:
        yield problem
    for job in jobs:
        for hook, target in job.hooks.items():
            module, _, function = target.partition(":")
            path = Path(project, *module.split(".")).with_suffix(".py") if module else Path(job.path)
            if path.is_file() and not _may_define(path, function):
                said = f"its hook {hook} is {target}, and {path.name} defines no {function}"
                yield Problem(job.file, job.line, said, "define it, or correct the name", job.name, job.path)


def warnings(project: str) -> Iterator[Problem]:
    """Yield each function of hooks.py that is named like a hook, and is none: nobody calls it."""
    path = Path(project, NAME)
    try:
        body = _body(path) if path.is_file() else []
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return  # `problems` says so
    for node in body:
        if isinstance(node, FUNCTIONS) and node.name.startswith("on_") and node.name not in HOOKS:
            hint = f"the hooks are {', '.join(HOOKS)}"
            yield Problem(
                NAME, node.lineno, f"{node.name} is no hook: it is never called", hint, None, str(path)
            )


def _may_define(path: Path, name: str) -> bool:
    try:
        return name in _defined(path)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # what is wrong with the file is said elsewhere


def _defined(path: Path) -> frozenset[str]:
    """Return what a file defines or imports at its top. Raises SyntaxError, OSError and the like."""
    body = _body(path)
    names = {node.name for node in body if isinstance(node, (*FUNCTIONS, ast.ClassDef))}
    for node in body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(names)


def _body(path: Path) -> list[ast.stmt]:
    """Return the statements of a file. Raises SyntaxError, OSError and the like."""
    if path.stat().st_size > LARGEST:
        raise ValueError("it is larger than 1 MB")
    return ast.parse(path.read_bytes(), path.name).body
