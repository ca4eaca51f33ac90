"""How many children are in hand for runs to come."""

from __future__ import annotations

import time

from jobrunner.executor.zygote import BOOT
from tests.executor.household import Household

WAITS = """
    import os, time
    def default(ctx):
        while not os.path.exists("go"):
            time.sleep(0.005)
"""


def test_while_all_slots_are_taken_nobody_is_in_hand(house: Household) -> None:
    fill(house)
    assert [one for one in house.pool._members.values() if one.spare] == []
    end(house)


def test_who_ends_while_runs_wait_for_a_slot_has_somebody_behind_him(house: Household) -> None:
    fill(house)
    house.pool.replenish(ahead=True)
    house.until(lambda: len(house.pool._spares()) == 2)
    assert house.pool.ready == []  # no slot is free
    house.pool.replenish(ahead=False)
    assert len(house.pool._members) == 4  # who is in hand stays
    end(house)
    assert len(house.pool.ready) == 2


def test_while_nobody_may_act_nobody_is_got_ready(zygote_house: Household) -> None:
    zygote_house.until(lambda: len(zygote_house.pool.ready) == 2)
    zygote_house.pool.kill_all()
    zygote_house.until(lambda: not zygote_house.pool._members)
    asked = zygote_house.pool._count
    zygote_house.turn()
    zygote_house.turn()
    assert zygote_house.pool._count == asked
    zygote_house.pool.live_until(time.clock_gettime(BOOT) + 60)
    zygote_house.until(lambda: len(zygote_house.pool.ready) == 2)


def fill(house: Household) -> None:
    """Have two runs in two slots."""
    house.write(WAITS)
    for _ in range(2):
        house.start()
    house.until(lambda: house.began(1) and house.began(2))


def end(house: Household) -> None:
    (house.root / "go").touch()
    house.finish(1)
    house.finish(2)
