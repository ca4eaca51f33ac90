"""How a job file becomes a module: by path, under a private package, always from its source.

Each jobs folder is a package of its own, so `from ._shared import x` works, `sync-orders.py` is a fine
file name, and a job called json.py shadows nothing: the folder is on no path. The project root comes
last on `sys.path`, so that it does not shadow anything either. Only children that are meant to run
user code may call this; it imports nothing heavy, and what the user's file raises goes through.
"""

# ruff: noqa: PTH113, PTH206  (paths are text here: pathlib costs time)

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from jobrunner.errors import ConfigError
from jobrunner.fingerprint import sha256

if TYPE_CHECKING:
    from jobrunner.wire import HookCall, RunSpec

PREFIX = "_jobrunner_jobs_"


def make_importable(root: str) -> None:
    """Have what lies in the project root be found, after everything else."""
    if root not in sys.path:
        sys.path.append(root)


def load(folder: str, path: str, root: str, text: str | None = None) -> ModuleType:
    """Return the module of the job file at `path`, found in the jobs folder `folder`; all paths absolute.

    With `text`, that is executed in place of what the file says. Raises whatever the file raises, and
    OSError when it cannot be read.
    """
    make_importable(root)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    inner = path.removeprefix(folder + os.sep)
    parts = (inner if inner != path else os.path.relpath(path, folder)).split(os.sep)
    sign = zlib.crc32(folder.encode("utf-8", "surrogateescape"))
    package, here = _package(f"{PREFIX}{sign:08x}", folder), folder
    for part in parts[:-1]:
        here = os.path.join(here, part)
        package = _package(f"{package}.{_identifier(part)}", here)
    return _execute(f"{package}.{_identifier(parts[-1].removesuffix('.py'))}", path, None, text)


def load_root_file(root: str, name: str) -> ModuleType:
    """Return the module of a file in the project root, by its path, called as the file is.

    Raises ConfigError when there is none, else whatever the file raises.
    """
    path = os.path.join(root, name)
    if not os.path.isfile(path):
        raise ConfigError(f"there is no {name} in the project root")
    known = sys.modules.get(name.removesuffix(".py"))
    if known is not None and getattr(known, "__file__", None) == path:
        return known  # somebody has imported it already: one module, one set of classes
    return _execute(name.removesuffix(".py"), path)


def load_function(spec: RunSpec, text: str | None = None) -> tuple[Callable[..., Any], str]:
    """Return (what the run calls, sha256 of the file it came from). Raises what the user's code raises.

    With `text`, that is what the file is taken to say.
    """
    make_importable(spec["root"])
    if not spec["file"]:
        from jobrunner.provider import Target

        return Target(spec["target"]).load(), ""
    module = load(spec["folder"], spec["file"], spec["root"], text)
    digest = sha256(source(module))
    if not spec["target"]:
        return default_function(module), digest
    name = spec["target"].rpartition(":")[2]
    found: Callable[..., Any] = getattr(module, name)
    return found, digest


def load_hook(spec: RunSpec, hook: HookCall) -> Callable[..., Any]:
    """Return the function of a hook. Raises ConfigError when there is none, else what the file raises."""
    from jobrunner.provider import Target

    make_importable(spec["root"])
    file, _, name = hook["target"].partition(":")
    if file and name:
        return Target(hook["target"]).load()
    if not file and not spec["file"]:
        return Target(spec["target"].partition(":")[0] + hook["target"]).load()
    if file:
        module = load_root_file(spec["root"], file)
    else:
        module = load(spec["folder"], spec["file"], spec["root"], spec["source"])
    function = getattr(module, name or hook["name"], None)
    if not callable(function):
        raise ConfigError(f"{module.__file__} has no function {name or hook['name']}")
    return function  # type: ignore[no-any-return]


def source(module: ModuleType) -> bytes:
    """Return the bytes that the module was really made of, to be hashed or shown."""
    loader = module.__loader__
    return loader.source if isinstance(loader, FreshLoader) else b""


def default_function(module: ModuleType) -> Callable[..., Any]:
    """Return what a run calls: `default`, else the only public function that the module itself defines.

    Raises ConfigError that names the candidates.
    """
    default = getattr(module, "default", None)
    if callable(default):
        return default  # type: ignore[no-any-return]
    names = candidates(module)
    if len(names) == 1 and not hasattr(module, "default"):
        return getattr(module, names[0])  # type: ignore[no-any-return]
    message, hint = no_function(names, hasattr(module, "default"))
    raise ConfigError(message, hint=hint, file=module.__file__)


def candidates(module: ModuleType) -> list[str]:
    """Return the names of the public functions that the module itself defines, in its order."""
    return [name for name, value in vars(module).items() if _is_own(module, name, value)]


def no_function(names: Sequence[str], default: bool = False) -> tuple[str, str]:
    """Return (sentence, hint) for a file without one clear function to call."""
    if default:
        return "default cannot be called", "make it a function: def default(container): ..."
    if not names:
        return "the file has no function to run", "add one: def default(container): ..."
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return (
        f"{listed} could each be the job's function",
        "name one of them default, or begin the others with _",
    )


def _is_own(module: ModuleType, name: str, value: object) -> bool:
    return (
        not name.startswith("_")
        and callable(value)
        and not isinstance(value, type)
        and getattr(value, "__module__", None) == module.__name__
        and getattr(value, "__name__", name) == name
    )


class FreshLoader(SourceFileLoader):
    """Compiles from source each time, and remembers it.

    A .pyc is valid for a source of the same size and second, so an edit within a second could run
    the old code; and the jobs folder stays free of __pycache__. With `text`, that is the source.
    """

    def __init__(self, name: str, path: str, text: str | None = None) -> None:
        super().__init__(name, path)
        self.source = b""
        self._text = text

    def exec_module(self, module: ModuleType) -> None:
        """Execute the code, without a .pyc."""
        exec(self.get_code(module.__name__), vars(module))  # noqa: S102  (that is what it is for)

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of what the file says now, or of the text."""
        if self._text is None:
            with open(self.path, "rb", buffering=0) as file:
                self.source = file.read()
            return _compiled(self.source, self.path)
        self.source = self._text.encode("utf-8", "backslashreplace")
        _show_in_tracebacks(self.path, self._text)
        return _compiled(self._text.removeprefix("\ufeff"), self.path)


def _compiled(source: bytes | str, path: str) -> CodeType:
    code: CodeType = compile(source, path, "exec", dont_inherit=True)
    return code


class _Finder:
    """Lets siblings, too, be read from source; everything else is left to Python."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(PREFIX):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = FreshLoader(spec.loader.name, spec.loader.path)
        return spec


_finder = _Finder()


def _identifier(name: str) -> str:
    """Return `name` without dots: in a module's name they would mean packages."""
    return name.replace(".", "_")


def _package(name: str, folder: str) -> str:
    """Make sure that the package of a folder exists; its own __init__.py is executed only below the top."""
    if name in sys.modules:
        return name
    if "." in name and os.path.isfile(init := os.path.join(folder, "__init__.py")):
        _execute(name, init, [folder])
        return name
    sys.modules[name] = _module_of(ModuleSpec(name, None, is_package=True), [folder])
    return name


def _module_of(spec: ModuleSpec, locations: list[str] | None) -> ModuleType:
    """Return what `importlib` would make, without looking for the place of a .pyc that nobody wants."""
    module = ModuleType(spec.name)
    if locations is not None:
        spec.submodule_search_locations = module.__path__ = locations
    module.__spec__, module.__package__ = spec, spec.parent
    return module


def _show_in_tracebacks(path: str, text: str) -> None:
    """Have the lines of `text` quoted for `path`; without a time of change nobody looks into the file."""
    import linecache

    lines = [f"{line}\n" for line in text.split("\n")]
    linecache.cache[path] = len(text), None, lines, path


def _execute(name: str, path: str, locations: list[str] | None = None, text: str | None = None) -> ModuleType:
    loader = FreshLoader(name, path, text)
    module = _module_of(ModuleSpec(name, loader, origin=path, is_package=locations is not None), locations)
    module.__loader__, module.__file__ = loader, path
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return sys.modules.get(name, module)
