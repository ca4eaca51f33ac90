"""What holds for every schedule, whatever it is."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jobrunner.clock import DAY, HOUR, MINUTE, SECOND, from_iso
from jobrunner.schedule import Schedule, parse
from jobrunner.schedule.build import Built
from jobrunner.schedule.cron import Cron
from tests.schedule.differential import ZONES, changes

common = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])

minutes = st.sampled_from(["0", "30", "*/15", "*", "0,45", "7/20", "10-14"])
hours = st.sampled_from(["2", "*", "1-3", "*/2", "0,23", "0-23", "1"])
days = st.sampled_from(["*", "1", "L", "15,31", "*/2", "1-7"])
weekdays = st.sampled_from(["*", "0", "1-5", "MON#1", "5L", "*/2"])
months = st.sampled_from(["*", "*", "3,10,11", "2"])
five = st.builds(lambda *parts: " ".join(parts), minutes, hours, days, months, weekdays)
six = st.builds(lambda second, rest: f"{second} {rest}", st.sampled_from(["0", "*/30", "15,45"]), five)
intervals = st.integers(1, 5000).map(lambda n: f"every {n * 37}s")
crons = st.one_of(five, six)
lists = st.lists(st.one_of(five, five, intervals), min_size=1, max_size=4)
texts = st.one_of(crons, intervals, lists)
zones = st.sampled_from(ZONES)
gaps = st.sampled_from(["run-after", "skip"])
folds = st.sampled_from(["first", "second", "both"])
FLOOR, CEILING = from_iso("1999-01-01T00:00:00Z"), from_iso("2045-01-01T00:00:00Z")


@st.composite
def cases(draw: st.DrawFn) -> tuple[Schedule, int, int]:
    """A schedule, a start (mostly near a zone change) and an anchor."""
    zone = draw(zones)
    schedule = parse(draw(texts), zone, draw(gaps), draw(folds))
    near = [change * SECOND for change in changes(zone)]
    starts = st.integers(FLOOR, CEILING)
    if near:
        around = st.builds(int.__add__, st.sampled_from(near), st.integers(-4 * HOUR, 4 * HOUR))
        starts = st.one_of(around, around, starts)
    start = draw(starts)
    anchor = draw(st.one_of(st.just(start), st.just(0), st.integers(start - DAY, start + DAY)))
    return schedule, start, anchor


def enumerated(schedule: Schedule, after: int, until: int, anchor: int) -> list[int]:
    found: list[int] = []
    following = schedule.next_after(after, anchor)
    while following is not None and following <= until:
        found.append(following)
        following = schedule.next_after(following, anchor)
    return found


@common
@given(cases())
def test_the_next_occurrence_is_strictly_after_and_the_same_each_time(
    case: tuple[Schedule, int, int],
) -> None:
    schedule, after, anchor = case
    for _ in range(12):
        following = schedule.next_after(after, anchor)
        assert following == schedule.next_after(after, anchor)
        if following is None:
            break
        assert following > after
        after = following


@common
@given(cases(), st.lists(st.integers(-3 * DAY, 3 * DAY), min_size=2, max_size=8))
def test_what_it_was_asked_before_makes_no_difference(
    case: tuple[Schedule, int, int], steps: list[int]
) -> None:
    schedule, start, _ = case
    assume(isinstance(schedule, Cron))
    assert isinstance(schedule, Cron)
    for moment in [start + step for step in steps]:
        fresh = Cron(schedule.text, schedule.zone, schedule.options)
        assert schedule.next_after(moment) == fresh.next_after(moment)


@common
@given(cases(), st.integers(0, 10 * HOUR))
def test_where_one_starts_to_look_makes_no_difference(case: tuple[Schedule, int, int], earlier: int) -> None:
    schedule, after, anchor = case
    assume(schedule.shortest() >= MINUTE or earlier < HOUR)
    walked = [
        found for found in enumerated(schedule, after - earlier, after + 4 * HOUR, anchor) if found > after
    ]
    assert walked == enumerated(schedule, after, after + 4 * HOUR, anchor)


@common
@given(cases(), st.integers(0, 30 * HOUR))
def test_count_and_latest_agree_with_walking(case: tuple[Schedule, int, int], span: int) -> None:
    schedule, after, anchor = case
    found = enumerated(schedule, after, after + span, anchor)
    assert schedule.count(after, after + span, anchor) == len(found)
    assert schedule.latest(after, after + span, anchor) == (found[-1] if found else None)


@common
@given(cases(), st.integers(1, 40 * 365), st.integers(1, 40 * 365))
def test_counts_of_long_spans_add_up(case: tuple[Schedule, int, int], one: int, two: int) -> None:
    schedule, start, anchor = case
    anchor |= 1  # no whole second: a list of both kinds is then counted without walking
    middle, end = start + one * DAY, start + (one + two) * DAY
    parts = schedule.count(start, middle, anchor) + schedule.count(middle, end, anchor)
    assert schedule.count(start, end, anchor) == parts
    latest = schedule.latest(start, end, anchor)
    assert (latest is None) == (parts == 0)
    if latest is not None:
        assert schedule.count(latest, end, anchor) == 0
        assert schedule.next_after(latest - 1, anchor) == latest


@common
@given(cases())
def test_no_two_occurrences_are_closer_than_the_shortest_distance(case: tuple[Schedule, int, int]) -> None:
    schedule, after, anchor = case
    shortest = schedule.shortest()
    assert shortest > 0
    for _ in range(12):
        following = schedule.next_after(after, anchor)
        if following is None or after > CEILING:
            break
        further = schedule.next_after(following, anchor)
        assert further is None or further - following >= shortest
        after = following


@common
@given(texts, zones, gaps, folds)
def test_the_canonical_text_gives_an_equal_schedule(text: object, zone: str, gap: str, fold: str) -> None:
    schedule = parse(text, zone, gap, fold)
    again = parse(schedule.text, zone, gap, fold)
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert again.text == schedule.text
    assert parse(Built(schedule.text), zone, gap, fold) == schedule
    assert parse([schedule.text], zone, gap, fold) == schedule
    assert repr(schedule)


@common
@given(texts)
def test_words_are_never_empty(text: object) -> None:
    assert parse(text).words().strip()


@common
@given(st.text(max_size=40))
def test_any_text_is_a_schedule_or_a_schedule_error(text: str) -> None:
    from jobrunner.errors import ScheduleError

    try:
        assert parse(text).words()
    except ScheduleError as error:
        assert error.hint


def test_far_instants_have_an_answer() -> None:
    for text in ("0 0 29 2 *", "* * * * *", "0 0 * * 1", "every 5m", ["0 1 * * *", "0 2 * * *"]):
        schedule = parse(text, "Europe/Berlin")
        for after in (-(10**18), -(10**15), 0, 10**15, 25 * 10**16, 10**18):
            following = schedule.next_after(after, 0)
            assert following is None or following > after
            assert schedule.count(after, after + DAY, 0) >= 0
