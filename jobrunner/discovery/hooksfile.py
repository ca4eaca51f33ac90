"""hooks.py: which hooks it defines, read from its syntax tree; nothing of it is executed here."""

from __future__ import annotations

import ast
from pathlib import Path

from jobrunner.config.values import HOOKS
from jobrunner.model import Problem

NAME = "hooks.py"
LARGEST = 1_000_000  # bytes


def read(project: str) -> tuple[frozenset[str], Problem | None]:
    """Return the names of the hooks that <project>/hooks.py defines, and why it cannot be used, if so."""
    path = Path(project, NAME)
    try:
        if not path.is_file():
            return frozenset(), None
        if path.stat().st_size > LARGEST:
            raise ValueError("it is larger than 1 MB")
        tree = ast.parse(path.read_bytes(), NAME)
    except SyntaxError as error:
        return frozenset(), _problem(path, error.lineno, f"the file is not Python: {error.msg}")
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return frozenset(), _problem(path, None, f"the file cannot be read: {error}")
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    defined = {node.name for node in tree.body if isinstance(node, functions)}
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return frozenset(HOOKS) & (defined | imported), None


def _problem(path: Path, line: int | None, message: str) -> Problem:
    return Problem(NAME, line, message, "mend it; no hook is called until then", path=str(path))
