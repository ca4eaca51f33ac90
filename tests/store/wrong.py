"""Ways to break the example store, each as somebody might who writes a store; and who notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Wrong(NamedTuple):
    """What is wrong with it, the test of the contract that notices, and how to break a loaded module so."""

    what: str
    noticed: str
    apply: Callable[[Any], None]


def _without(name: str, old: str, new: str = "") -> Callable[[Any], None]:
    """Change a statement of the verbs."""

    def apply(module: Any) -> None:
        sql = getattr(module.PlainStore, name)
        assert old in sql, f"{name} has no {old!r} any more"
        setattr(module.PlainStore, name, sql.replace(old, new))

    return apply


def _verb(name: str, does: Callable[..., Any]) -> Callable[[Any], None]:
    """Let a verb do something else; it is handed the right one first."""

    def apply(module: Any) -> None:
        right = getattr(module.PlainStore, name)
        setattr(module.PlainStore, name, lambda self, *args, **named: does(right, self, *args, **named))

    return apply


def _of_file(name: str, does: Callable[..., Any]) -> Callable[[Any], None]:
    """The same of the connection."""

    def apply(module: Any) -> None:
        right = getattr(module.File, name)
        setattr(module.File, name, lambda self, *args, **named: does(right, self, *args, **named))

    return apply


def _loses_a_transaction(right: Any, file: Any) -> None:
    file._refuse_doomed()
    file.rows("ROLLBACK")


def _never_rolls_back(right: Any, file: Any) -> None:
    file._doomed = False
    if file._sqlite.in_transaction:
        file.rows("COMMIT")


@contextmanager
def _one_after_the_other(right: Any, file: Any) -> Iterator[None]:
    inner = file._depth > 0
    with right(file):
        yield
    if inner:
        file._commit()
        file._begin()


def _forgives(right: Any, file: Any, do: Callable[[], Any]) -> Any:
    try:
        return right(file, do)
    finally:
        file._doomed = False


def _lets_errors_out(right: Any, file: Any, do: Callable[[], Any]) -> Any:
    return do()


def _without_a_lock(right: Any, file: Any) -> None:
    file.rows("BEGIN")
    file._depth = 1


def _forgives_verbs(module: Any) -> None:
    _of_file("_guarded", _forgives)(module)
    module.File.doom = lambda self: None


def _by_the_wall(right: Any, store: Any, owner: str, now: int) -> Any:
    return right(store, owner, 1)


def _locks_to_read(right: Any, store: Any, *args: Any) -> Any:
    with store.transaction():
        return right(store, *args)


def _says_io(module: Any) -> None:
    module.SAID = {}


WRONG = [
    Wrong("commits nothing", "test_all_verbs_of_a_transaction_happen_together",
          _of_file("_commit", _loses_a_transaction)),
    Wrong("keeps what was written before an error", "test_when_a_transaction_raises_nothing_in_it_happened",
          _of_file("_roll_back", _never_rolls_back)),
    Wrong("lets an inner transaction commit", "test_an_inner_transaction_is_part_of_the_outer_one",
          _of_file("transaction", _one_after_the_other)),
    Wrong("commits a verb half done",
          "test_a_verb_that_failed_halfway_cannot_be_committed_by_catching_its_error", _forgives_verbs),
    Wrong("takes the lock in the middle", "test_a_locked_store_is_busy_and_works_afterwards",
          _of_file("_begin", _without_a_lock)),
    Wrong("lets readers wait", "test_reading_waits_for_nobody",
          _verb("standings", _locks_to_read)),
    Wrong("says of every error the same", "test_two_nodes_cannot_have_one_owner_id", _says_io),
    Wrong("lets its database's errors out", "test_a_number_that_is_too_large_is_refused",
          _of_file("_guarded", _lets_errors_out)),
    Wrong("cannot be closed", "test_closing_twice_is_harmless_and_a_closed_store_says_so",
          _verb("close", lambda right, store: None)),
    Wrong("never notices others", "test_a_change_by_another_connection_is_noticed_once",
          _verb("changed", lambda right, store: False)),
    Wrong("always notices something", "test_a_change_by_another_connection_is_noticed_once",
          _verb("changed", lambda right, store: True)),
    Wrong("tells no node of changes", "test_another_connection_sees_that_what_it_goes_by_has_changed",
          _verb("definitions_changed", lambda right, store: False)),
    Wrong("ignores `now`", "test_seen_moves_the_time_a_node_was_last_heard_of", _verb("seen", _by_the_wall)),
    Wrong("knows everybody", "test_a_node_is_known_from_join_until_it_leaves_or_is_given_up",
          _verb("knows", lambda right, store, owner: True)),
    Wrong("promises leases and has none",
          "test_where_nodes_live_by_leases_the_stores_clock_says_when_they_were_seen",
          lambda module: setattr(module.PlainStore, "leased", True)),
    Wrong("gives a fence twice", "test_the_fence_grows_with_every_claim_of_the_store",
          _without("FENCES", "fence = fence + ?", "fence = fence + 0 * ?")),
    Wrong("gives a number twice", "test_reserved_numbers_are_consecutive_and_no_other_run_gets_them",
          _verb("reserve", lambda right, store, count: 1)),
    Wrong("forgets the limit", "test_scheduled_starts_are_counted_up_to_the_limit",
          _verb("_count", lambda right, store, run, now: True)),
    Wrong("starts what is not due", "test_no_priority_starts_anything_before_it_is_due",
          _without("CANDIDATES", "r.effective_at <= :now AND ")),
    Wrong("counts all groups as one", "test_each_group_has_places_of_its_own",
          _without("CANDIDATES", "g.run_group = r.run_group AND ")),
    Wrong("starts a second run beside an exclusive one", "test_a_job_that_runs_does_not_start_again",
          _without("CANDIDATES", "r.exclusive = 0 OR", "TRUE OR")),
    Wrong("lets a stranger end a run", "test_only_its_owner_ends_a_run",
          _without("FINISH", "owner = :owner", "TRUE")),
    Wrong("lets an old claim end a run", "test_only_the_claim_that_runs_ends_a_run",
          _without("FINISH", "fence = :fence", "TRUE")),
    Wrong("plans an occurrence twice", "test_whoever_was_overtaken_moves_no_schedule",
          _without("MOVE", "consumed = :consumed AND ")),
    Wrong("moves every machine's schedule",
          "test_a_schedule_is_moved_on_one_machine_without_the_other",
          _without("MOVE", "AND scope = :scope")),
    Wrong("marks all runs of a node as silent", "test_what_a_run_says_is_said_of_no_other",
          _without("STALL", "id = ?1", "TRUE")),
    Wrong("cancels what has begun with its caller",
          "test_calls_that_have_begun_are_not_canceled_with_their_caller",
          _without("CANCEL_CALLS", "AND attempt = 1 AND started_at IS NULL")),
    Wrong("prunes half a chain", "test_whatever_is_pruned_what_is_open_stays_whole",
          _without("TOO_OLD", "NOT EXISTS", "NOT EXISTS (SELECT 1 WHERE FALSE) OR EXISTS")),
    Wrong("gives two versions one number", "test_no_two_writes_have_the_same_version_whatever_was_deleted",
          _without("REVISION", "revision + ?", "revision + 0 * ?")),
    Wrong("applies what rests on what has changed",
          "test_nothing_is_applied_when_what_was_read_has_changed",
          _verb("stale", lambda right, store, effects: False)),
    Wrong("forgets that somebody was not told yet",
          "test_a_completion_that_came_before_the_run_was_suspended_is_not_lost_though_others_wait",
          _without("SUSPEND", "AND NOT EXISTS (SELECT 1 FROM steps WHERE root_id = :root AND run_id = 0)")),
    Wrong("says that everything was committed", "test_nothing_is_in_doubt_that_was_committed_or_raised",
          _verb("came_through", lambda right, store: True)),
]  # fmt: skip
