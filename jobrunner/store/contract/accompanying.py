"""Company: who lives, by whose clock, who is woken, and what became of a commit."""
# ruff: noqa: D102  # the titles are the promises

from __future__ import annotations

import select

from jobrunner.clock import DAY, MILLISECOND, SECOND, Instant, SystemClock
from jobrunner.facts import NodeFacts
from jobrunner.store.base import Store
from jobrunner.store.contract.things import T0, Bench, at, make_node

LONG, SHORT = 3600 * SECOND, 20 * MILLISECOND  # leases
AT_MOST = 10.0  # seconds in which somebody is woken


class Watch:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._from = SystemClock().now()

    def now(self) -> Instant:
        """The wall clock."""
        return self._from + round(self.passed * SECOND)

    def monotonic(self) -> float:
        """Seconds."""
        return self.passed

    def boottime(self) -> float:
        """Seconds."""
        return self.passed


class Accompanying(Bench):
    """leased, clock, ring, bell, hush, came_through, knows, and what seen and nodes say of leases."""

    # -- who lives -----------------------------------------------------------------------------------

    def test_a_node_is_known_from_join_until_it_leaves_or_is_given_up(self) -> None:
        assert not self.store.knows("b")
        for end in (lambda: self.store.leave("b"), lambda: self.store.recover("b", at(5))):
            self.store.join(make_node("b"))
            assert self.again().knows("b")
            end()
            assert not self.store.knows("b")
            assert not self.store.seen("b", at(6)), "nobody is seen who is not known"
        assert self.store.knows("a")
        assert self.store.seen("a", at(7))

    def test_a_node_without_a_lease_never_expires_and_is_seen_when_it_says(self) -> None:
        self.store.join(make_node("b", now=at(0)))
        self.store.seen("b", at(1))
        found = self._node("b")
        assert (found.lease, found.expired, found.seen_at) == (0, False, at(1))

    def test_a_lease_is_kept_as_long_as_its_node_asks(self) -> None:
        self._join("b", LONG)
        assert self._node("b").lease == LONG
        assert not self._node("b").expired

    def test_where_nodes_live_by_leases_the_stores_clock_says_when_they_were_seen(self) -> None:
        self._join("b", LONG)
        joined = self._node("b").seen_at
        self.store.seen("b", T0)
        if not self.store.leased:
            assert self._node("b").seen_at == joined == T0
            return
        now = self.store.clock(SystemClock()).now()
        assert now - 60 * SECOND < joined <= self._node("b").seen_at < now + 60 * SECOND

    def test_where_nodes_live_by_leases_they_expire_and_live_again_when_they_are_seen(self) -> None:
        if not self.store.leased:
            return
        # by a connection of its own: a store may take one that is silent for a part of its lease for stopped
        self._join("short", SHORT, self.again())
        self._join("long", LONG)
        deadline = SystemClock().monotonic() + AT_MOST
        while not self._node("short").expired:
            assert SystemClock().monotonic() < deadline, "its lease never ends"
        assert not self._node("long").expired
        assert not self._node("a").expired, "it has no lease"
        self._join("late", LONG)
        self.store.seen("long", T0 - DAY)
        assert not self._node("long").expired, "its own clock does not matter"

    def test_all_connections_agree_on_how_nodes_live(self) -> None:
        assert self.again().leased is self.store.leased

    # -- by whose clock ------------------------------------------------------------------------------

    def test_the_clock_goes_on_as_time_passes_here(self) -> None:
        watch = Watch()
        clock = self.store.clock(watch)
        before = clock.now(), clock.monotonic(), clock.boottime()
        watch.passed += 5
        after = clock.now(), clock.monotonic(), clock.boottime()
        assert (after[1] - before[1], after[2] - before[2]) == (5, 5)
        assert 5 * SECOND <= after[0] - before[0] < 6 * SECOND
        assert abs(after[0] - watch.now()) < DAY

    # -- who is woken --------------------------------------------------------------------------------

    def test_whoever_has_hung_a_bell_hears_a_ring_and_forgets_it(self) -> None:
        other, bell = self.again(), self.store.bell()
        other.ring()
        self.store.ring()
        if bell is None:
            return
        assert self.store.bell() == bell
        assert _sounds(bell, AT_MOST)
        assert self.store.hush()
        while _sounds(bell, 0.2):  # the second one came later
            assert self.store.hush()
        other.ring()
        assert _sounds(bell, AT_MOST)

    # -- what became of a commit ---------------------------------------------------------------------

    def test_nothing_is_in_doubt_that_was_committed_or_raised(self) -> None:
        assert not self.store.came_through()
        self.store.seen("a", at(3))
        assert not self.store.came_through()
        try:
            with self.store.transaction():
                self.store.seen("a", at(4))
                raise KeyError
        except KeyError:
            assert not self.store.came_through()

    # -- short words ---------------------------------------------------------------------------------

    def _join(self, owner: str, lease: int, store: Store | None = None) -> None:
        (store or self.store).join(make_node(owner)._replace(lease=lease))

    def _node(self, owner: str) -> NodeFacts:
        return next(node for node in self.again().nodes() if node.owner == owner)


def _sounds(bell: int, seconds: float) -> bool:
    return bool(select.select([bell], [], [], seconds)[0])
