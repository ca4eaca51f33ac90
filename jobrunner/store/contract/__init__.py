"""The conditions of `Store` as tests: one suite that every store is held to.

    class TestMine(StoreContract):
        def make_store(self, folder):
            return open_store("mine://...", create=True)

The titles are the promises. Nothing here imports pytest: any runner that knows xunit's set-up does.
"""

from __future__ import annotations

from jobrunner.store.contract.accompanying import Accompanying
from jobrunner.store.contract.agreeing import Agreeing
from jobrunner.store.contract.calling import Calling
from jobrunner.store.contract.choosing import Choosing
from jobrunner.store.contract.claiming import Claiming
from jobrunner.store.contract.committing import Committing
from jobrunner.store.contract.consuming import Consuming
from jobrunner.store.contract.controlling import Controlling
from jobrunner.store.contract.ending import Ending
from jobrunner.store.contract.footing import Footing
from jobrunner.store.contract.keeping import Keeping
from jobrunner.store.contract.outdating import Outdating
from jobrunner.store.contract.registering import Registering
from jobrunner.store.contract.repeating import Repeating
from jobrunner.store.contract.scoping import Scoping
from jobrunner.store.contract.sparing import Sparing
from jobrunner.store.contract.stepping import Stepping
from jobrunner.store.contract.suspending import Suspending
from jobrunner.store.contract.whole import Whole
from jobrunner.store.contract.yielding import Yielding


class StoreContract(
    Registering, Consuming, Claiming, Calling, Repeating, Stepping, Outdating, Suspending, Yielding, Ending,
    Committing, Controlling, Footing, Keeping, Whole, Accompanying, Sparing, Scoping, Choosing, Agreeing,
):  # fmt: skip
    """All of it. Override `make_store`, and `again` where opening the URL once more is not enough."""
