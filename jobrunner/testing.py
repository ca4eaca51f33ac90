"""For tests of jobs, stores and executors: public."""

from __future__ import annotations

from jobrunner.store.contract import StoreContract

__all__ = ["StoreContract"]
