"""Stretches of constant offset: the seams between blocks must not show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from jobrunner.clock import SECOND
from jobrunner.schedule import cron
from jobrunner.schedule.zones import BLOCK, Zone, zone_of
from tests.schedule import differential

HOUR, DAY = 3600, 86_400
EDGE = 50 * BLOCK  # in 2023
NEAR = [days * DAY + halves * HOUR // 2 for days in (-2, -1, 0, 1, 2) for halves in range(-6, 7)]


class OneFold(tzinfo):
    """A zone two hours ahead of UTC up to one instant, one hour from then on."""

    def __init__(self, change: int) -> None:
        self.change = change

    def fromutc(self, dt: datetime) -> datetime:
        second = int(dt.replace(tzinfo=UTC).timestamp())
        late = second >= self.change
        fold = int(late and second < self.change + HOUR)
        return (dt + timedelta(hours=1 if late else 2)).replace(fold=fold)

    def utcoffset(self, dt: datetime | None) -> timedelta:
        assert dt is not None
        wall = int(dt.replace(tzinfo=UTC).timestamp())
        late = wall >= self.change + 2 * HOUR or (wall >= self.change + HOUR and dt.fold)
        return timedelta(hours=1 if late else 2)

    def dst(self, dt: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, dt: datetime | None) -> str:
        return "one fold"


@pytest.mark.parametrize("fold", ["first", "second", "both"])
def test_a_fold_near_a_block_edge_is_like_any_other(fold: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for near in NEAR:
        change = EDGE // 1800 * 1800 + near
        left_out = {"first": (change, change + HOUR), "second": (change - HOUR, change), "both": (0, 0)}[fold]
        zone = Zone("one fold", OneFold(change))
        monkeypatch.setattr(cron, "zone_of", lambda _, zone=zone: zone)
        schedule = cron.Cron("0,30 0-23 * * *", "one fold", cron.Options("run-after", fold))
        start, end = change - DAY, change + DAY
        expected = [t for t in range(start, end, HOUR // 2) if not left_out[0] <= t < left_out[1]]
        assert differential.ours(schedule, start, end) == expected
        assert schedule.count(start * SECOND - 1, end * SECOND - 1) == len(expected)
        for instant in expected:
            assert schedule.latest(0, (instant + 60) * SECOND) == instant * SECOND
        for start in range(change - 3 * HOUR, change + 3 * HOUR, HOUR // 2):
            following = min(instant for instant in expected if instant >= start)
            assert schedule.next_after(start * SECOND - 1) == following * SECOND


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia"]
)
def test_the_changes_of_a_zone_are_those_that_a_finer_search_finds(zone: str) -> None:
    found = zone_of(zone).changes(differential.FIRST, differential.LAST)
    assert tuple(found) == differential.changes(zone)
