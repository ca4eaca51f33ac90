"""Stores that other packages bring: found by the scheme of a URL, and looked at before they are used.

Whatever goes wrong in their code becomes a StateError, which says whose code it was.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from jobrunner.errors import JobrunnerError, StateError
from jobrunner.store.base import Store
from jobrunner.store.faults import fault

GROUP = "jobrunner.stores"  # entry points: the scheme of a URL -> opener(url, **the four of `open_store`)
OURS = ("sqlite", "postgresql", "postgres")  # nobody else's

_WHOSE = "it is a fault of that package, not of jobrunner; --debug shows where"


def open_store(scheme: str, url: str, **how: Any) -> Store:
    """Open a URL by whatever package has its scheme. Raises StateError."""
    found = _find(scheme)
    try:
        store = found.load()(url, **how)
    except StateError as error:  # said by the package, perhaps with the whole URL in it
        raise fault(error.code, error.message, hint=error.hint) from error
    except JobrunnerError:
        raise
    except Exception as error:
        said = f"{_who(found)} fails to open a state ({_sentence(error)})"
        raise fault("plugin", said, hint=_WHOSE) from error
    _check(found, store)
    return store  # type: ignore[no-any-return]  # so it was found to be


def _find(scheme: str) -> EntryPoint:
    every = entry_points(group=GROUP)
    found = {each.value: each for each in every if each.name.lower() == scheme}
    if not found:
        known = ", ".join(sorted({*OURS[:2], *(each.name.lower() for each in every)}))
        raise fault(
            "unsupported", f"no store for URLs that begin with {scheme!a:.60}; supported: {known}",
            hint="use sqlite:///absolute/path/state.db or postgresql://user@host/database",
        )  # fmt: skip
    if len(found) > 1:
        said = " and ".join(sorted(_who(each) for each in found.values()))
        raise fault("plugin", f"{said} both open {scheme}://", hint="uninstall one of them")
    return next(iter(found.values()))


def _check(found: EntryPoint, store: object) -> None:
    """Raise StateError when something else was opened than a store of ours."""
    verbs = _verbs()
    missing = [verb for verb in verbs if not hasattr(store, verb)]
    if not missing:
        return
    if len(missing) > len(verbs) // 2:
        said, hint = f"opens a {type(store).__name__}, which is no store", _WHOSE
    else:
        said = f"lacks what this version of jobrunner asks of a store: {', '.join(missing)}"
        hint = "install a version of it that is made for this one"
    close = getattr(store, "close", None)
    if callable(close):
        close()
    raise fault("plugin", f"{_who(found)} {said}", hint=hint)


def _verbs() -> list[str]:
    """Return the names of all that a `Store` has."""
    ours = [each for each in Store.__mro__ if each.__module__.startswith(f"{__package__}.")]
    names = {name for each in ours for name in (*vars(each), *each.__annotations__)}
    return sorted(name for name in names if not name.startswith("_"))


def _who(found: EntryPoint) -> str:
    package = f" of {found.dist.name} {found.dist.version}" if found.dist is not None else ""
    return f"the store {found.value}{package}"


def _sentence(error: Exception) -> str:
    said = (str(error).strip() or "it says no more").splitlines()[0].rstrip(".")
    return f"{type(error).__name__}: {said:.300}"
