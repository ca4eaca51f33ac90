"""Stores that other packages bring: found, opened, and what is said when one of them is at fault."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobrunner.errors import ConfigError, StateError
from jobrunner.settings import load
from jobrunner.store import exists, fault, find_store, open_store
from jobrunner.store.sqlite import SqliteStore
from tests.store.plugins import BORROWED, installed

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    def put(code: str, scheme: str = "theirs", **which: Any) -> None:
        monkeypatch.syspath_prepend(str(installed(tmp_path / "site", scheme, code, **which)))

    before = set(sys.modules)
    yield put
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def refused(url: str = "theirs://x") -> StateError:
    with pytest.raises(StateError) as found:
        open_store(url, create=True)
    return found.value


# -- found and opened ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["theirs", "their-own.2+tls"])
def test_a_store_of_another_package_is_opened_by_its_scheme_in_any_case(
    install: Install, tmp_path: Path, scheme: str
) -> None:
    install(BORROWED, scheme)
    url = f"{scheme.upper()}://me:secret@{tmp_path}/s.db"
    store = open_store(url, create=True, patience=2.5, allow_network_fs=True)
    assert isinstance(store, SqliteStore)
    assert store.url == url
    assert sys.modules["theirs"].asked == [(url, True, 2.5, True)]
    store.close()


def test_whether_there_is_a_state_of_another_package_only_opening_tells(
    install: Install, tmp_path: Path
) -> None:
    install(BORROWED)
    url = f"theirs://me@{tmp_path}/s.db"
    assert find_store(url) is None
    assert not exists(url)
    open_store(url, create=True).close()
    assert exists(url)
    found = find_store(url)
    assert found is not None
    found.close()


def test_nobody_takes_the_schemes_of_ours(install: Install, tmp_path: Path) -> None:
    install("raise RuntimeError('it was loaded')", "sqlite")
    open_store(f"sqlite://{tmp_path}/s.db", create=True).close()


def test_a_scheme_that_two_packages_claim_is_opened_by_neither(install: Install) -> None:
    install(BORROWED)
    install(BORROWED, package="others")
    said = "the store others:open_state of others 1.2 and the store theirs:open_state of theirs 1.2"
    assert refused().message == f"{said} both open theirs://"


@pytest.mark.parametrize("scheme", ["theirs", "their-own.2+tls", "THEIRS"])
def test_any_scheme_may_stand_in_the_settings(tmp_path: Path, scheme: str) -> None:
    assert load({"project": str(tmp_path), "state": f"{scheme}://x"}, {}).state == f"{scheme}://x"


@pytest.mark.parametrize("address", ["theirs", "theirs:x", "2theirs://x", "their_own://me:secret@x"])
def test_what_is_no_address_is_refused_without_its_password(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="is not an address") as found:
        load({"project": str(tmp_path), "state": address}, {})
    assert "secret" not in str(found.value)


# -- at fault --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nobody_has_this", "ModuleNotFoundError: No module named 'nobody_has_this'"),
        ("def open_state(", "SyntaxError: '(' was never closed (theirs.py, line 1)"),
        ("", "AttributeError: module 'theirs' has no attribute 'open_state'"),
        ("open_state = 7", "TypeError: 'int' object is not callable"),
        ("def open_state(url): pass", "TypeError: open_state() got an unexpected keyword argument 'create'"),
        ("def open_state(url, **how): raise OSError('no route\\nto host.')", "OSError: no route"),
        ("def open_state(url, **how): raise KeyError", "KeyError: it says no more"),
        ("def open_state(url, **how): raise ValueError(url)", "ValueError: theirs://me:***@x"),
    ],
)
def test_whatever_their_code_raises_is_one_sentence_that_says_whose_it_was(
    install: Install, code: str, said: str
) -> None:
    install(code)
    error = refused("theirs://me:secret@x")
    assert error.message == f"the store theirs:open_state of theirs 1.2 fails to open a state ({said})"
    assert (error.code, error.exit_code) == ("plugin", 7)
    assert error.__cause__ is not None


def test_what_they_say_in_our_way_is_passed_on_without_passwords(install: Install) -> None:
    install("""
        from jobrunner.errors import StateError

        def open_state(url, **how):
            error = StateError(f"{url} is away", hint=f"see {url}")
            error.code = "away"
            raise error
    """)
    error = refused("theirs://me:secret@x")
    assert (error.code, error.message, error.hint) == (
        "away", "theirs://me:***@x is away", "see theirs://me:***@x",
    )  # fmt: skip


@pytest.mark.parametrize("value", ["None", "'theirs'", "object()"])
def test_what_is_no_store_is_not_taken_for_one(install: Install, value: str) -> None:
    install(f"def open_state(url, **how): return {value}")
    assert " of theirs 1.2 opens a " in refused().message
    assert refused().message.endswith(", which is no store")


def test_a_store_of_an_older_contract_is_closed_and_what_it_lacks_is_named(install: Install) -> None:
    install("""
        closed = []

        class Old:
            def __init__(self, **how): pass
            url = "theirs://x"
            def close(self): closed.append(self)
            def __getattr__(self, name):
                if name in ("hush", "ring"):
                    raise AttributeError(name)
                return lambda *args, **named: None

        def open_state(url, **how):
            return Old()
    """)
    error = refused()
    assert error.message.endswith("lacks what this version of jobrunner asks of a store: hush, ring")
    assert "install a version of it" in (error.hint or "")
    assert len(sys.modules["theirs"].closed) == 1


def test_no_error_of_a_store_has_a_password_in_it() -> None:
    error = fault(
        "away", "x://me:secret@h is away", hint="x://h?sslpassword=secret&a=1, x://h?auth-token=secret"
    )
    assert error.message == "x://me:***@h is away"
    assert error.hint == "x://h?sslpassword=***&a=1, x://h?auth-token=***"
