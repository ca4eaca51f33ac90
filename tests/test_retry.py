"""Whether again, and when: the same answer whenever it is asked."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.clock import DAY, HOUR, MINUTE, SECOND
from jobrunner.model import Outcome, Retries, Run
from jobrunner.retry import AFTER_A_CRASH, delay, next_attempt
from tests.desk import BAD, CRASH, ERROR, GOOD
from tests.fakes import NOON, a_job

LOST = Outcome(state="lost", error={"type": "Lost", "message": "m", "traceback": "", "phase": "body"})
SHUTDOWN = Outcome(state="canceled", reason="shutdown")
PROVE_NOTHING = [LOST, CRASH, SHUTDOWN]
TWICE = ["at-least-once", "exactly-once"]


def a_run(attempt: int = 1, root_id: int = 7, **facts: Any) -> Run:
    values: dict[str, Any] = {"delivery": "at-most-once", **facts}
    return Run(
        id=99, job_id=1, job="job", trigger="schedule", scope="", scheduled_for=NOON, effective_at=NOON,
        state="failed", attempt=attempt, root_id=root_id, created_at=NOON, **values,
    )  # fmt: skip


def last_attempt(retries: int, outcome: Outcome, delivery: str = "at-most-once") -> int:
    job = a_job(retries=Retries(max=retries))
    attempt = 1
    while next_attempt(job, a_run(attempt, delivery=delivery), outcome, NOON) is not None:
        attempt += 1
    return attempt


@pytest.mark.parametrize("delivery", ["at-most-once", *TWICE])
@pytest.mark.parametrize("outcome", [BAD, BAD._replace(state="timed_out")])
def test_failures_and_time_outs_are_tried_again_as_often_as_asked_for(
    delivery: str, outcome: Outcome
) -> None:
    assert [last_attempt(retries, outcome, delivery) for retries in (0, 1, 5)] == [1, 2, 6]


@pytest.mark.parametrize("outcome", PROVE_NOTHING)
def test_what_may_start_once_is_not_repeated_when_nothing_is_known_of_its_body(outcome: Outcome) -> None:
    assert last_attempt(5, outcome) == 1


@pytest.mark.parametrize("delivery", TWICE)
@pytest.mark.parametrize("outcome", PROVE_NOTHING)
def test_what_may_start_twice_is_repeated_as_asked_for_or_three_times(
    delivery: str, outcome: Outcome
) -> None:
    assert [last_attempt(n, outcome, delivery) for n in (0, 1, 5)] == [1 + AFTER_A_CRASH, 2, 6]


@pytest.mark.parametrize("delivery", ["at-most-once", *TWICE])
@pytest.mark.parametrize(
    "outcome",
    [GOOD, Outcome(state="canceled"), Outcome(state="canceled", reason="replaced"),
     Outcome(state="skipped", reason="body"), BAD._replace(error={**ERROR, "permanent": True})],
)  # fmt: skip
def test_what_has_succeeded_or_wants_no_more_is_never_repeated(delivery: str, outcome: Outcome) -> None:
    assert last_attempt(5, outcome, delivery) == 1


def test_the_delivery_that_counts_is_the_runs_and_not_that_of_an_edited_file() -> None:
    edited = a_job(delivery="at-least-once")
    assert next_attempt(edited, a_run(delivery="at-most-once"), LOST, NOON) is None


def test_an_exception_of_the_bodys_own_that_is_called_crashed_is_a_failure() -> None:
    raised = BAD._replace(error={**ERROR, "type": "Crashed"})
    assert last_attempt(2, raised) == 3
    assert last_attempt(0, raised, "at-least-once") == 1


def test_without_a_word_about_it_the_next_attempt_comes_a_second_later() -> None:
    assert next_attempt(a_job(retries=Retries(max=1)), a_run(), BAD, NOON) == NOON + SECOND


def delays(retries: Retries, attempts: int = 6) -> list[int]:
    return [delay(retries, a_run(attempt)) for attempt in range(1, attempts + 1)]


def test_a_fixed_delay_is_always_the_same() -> None:
    assert set(delays(Retries(delay=7 * SECOND))) == {7 * SECOND}


def test_an_exponential_delay_doubles_up_to_its_cap() -> None:
    grows = Retries(delay=10 * SECOND, backoff="exponential", max_delay=MINUTE)
    assert [each // SECOND for each in delays(grows)] == [10, 20, 40, 60, 60, 60]


def test_without_a_cap_of_its_own_it_grows_up_to_an_hour() -> None:
    assert delay(Retries(delay=SECOND, backoff="exponential"), a_run(1000)) == HOUR


@pytest.mark.parametrize(
    ("jitter", "most"), [(3 * SECOND, 3 * SECOND), (True, 5 * SECOND), (False, 0), (0, 0)]
)
def test_jitter_is_added_up_to_its_most_and_spread_over_the_chains(jitter: int | bool, most: int) -> None:
    retries = Retries(delay=10 * SECOND, jitter=jitter)
    added = [delay(retries, a_run(root_id=root)) - 10 * SECOND for root in range(200)]
    assert 0 <= min(added) <= most // 10
    assert most - most // 10 <= max(added) <= most


@given(
    st.integers(0, DAY), st.sampled_from(["fixed", "exponential"]), st.integers(0, DAY),
    st.one_of(st.booleans(), st.integers(0, HOUR)), st.integers(1, 100), st.integers(1, 10**9),
)  # fmt: skip
def test_a_delay_can_be_asked_for_twice_is_bounded_and_never_shrinks_without_jitter(
    base: int, backoff: Any, cap: int, jitter: int | bool, attempt: int, root: int
) -> None:
    retries = Retries(delay=base, backoff=backoff, max_delay=cap, jitter=jitter)
    run = a_run(attempt, root)
    found = delay(retries, run)
    assert found == delay(retries, run._replace(id=5, node="another"))
    assert 0 <= found <= cap + (cap // 2 if jitter is True else int(jitter))
    calm = delays(retries._replace(jitter=False))
    assert all(before <= after for before, after in pairwise(calm))
