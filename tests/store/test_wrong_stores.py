"""The contract of stores fails for a store that is wrong: the example, broken on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobrunner.store.base import Store
from jobrunner.testing import StoreContract
from tests.store.example import module
from tests.store.wrong import WRONG, Wrong


def contract_of(plain: Any) -> type[StoreContract]:
    """Return the contract of the store that a module has."""

    def opened(url: str, **how: Any) -> Store:
        found: Store = plain.open_state(url, allow_network_fs=False, **how)
        return found

    class Contract(StoreContract):
        def make_store(self, folder: Path) -> Store:
            return opened(f"plainsqlite://{folder}/state.db", create=True, patience=0.2)

        def again(self) -> Store:
            self._others.append(opened(self.store.url, create=False, patience=0.05))
            return self._others[-1]

    return Contract


def keeps(plain: Any, promise: str) -> bool:
    """Say whether a test of the contract passes."""
    bench = contract_of(plain)()
    try:
        bench.setup_method()
        try:
            getattr(bench, promise)()
        finally:
            bench.teardown_method()
    except Exception:
        return False
    return True


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what.replace(" ", "-"))
def test_a_store_is_noticed_that(wrong: Wrong) -> None:
    plain = module()
    assert keeps(plain, wrong.noticed)
    wrong.apply(plain)
    assert not keeps(plain, wrong.noticed)
