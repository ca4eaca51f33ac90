"""Which zygote the next spares come from, and which ones before it still have runs. One dead is replaced.

current    forks; when it dies another takes its place, at most one a second
old        has been replaced on purpose; forks no more, and ends when its last child has
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping

from jobrunner.executor.launch import Preloader
from jobrunner.executor.plugin import Launcher
from jobrunner.executor.supply import CALM


class Generations:
    """`make` returns a new launcher, not started, that leaves out the packages it is given."""

    def __init__(self, make: Callable[[Mapping[str, str]], Preloader], clock: Callable[[], float]) -> None:
        self._make = make
        self._clock = clock
        self._old: list[Preloader] = []
        self._skipped: dict[str, str] = {}
        self._restart_at: float | None = None
        self.started_at = 0.0  # monotonic seconds
        self.current: Preloader | None = None  # None while there is nobody to fork

    @property
    def skipped(self) -> Mapping[str, str]:
        """Packages that were not preloaded, and why."""
        return self.current.skipped if self.current is not None else self._skipped

    def start(self) -> None:
        """Start a launcher. Raises OSError when the system lets us have no process."""
        self.started_at = self._clock()
        launcher = self._make(self._skipped)
        launcher.start()
        self.current, self._restart_at = launcher, None

    def renew(self) -> None:
        """Start a new generation; what the one before could not import is tried again."""
        self.pass_on()
        self._skipped = {}
        self._restart_at = self._clock() + CALM  # in case the system lets us have no process now
        with contextlib.suppress(OSError):
            self.start()

    def pass_on(self) -> None:
        """Fork no more."""
        self._restart_at = None
        if self.current is not None:
            self._skipped = dict(self.current.skipped)
            self._old.append(self.current)
            self.current = None

    def extinct(self, launcher: Launcher) -> None:
        """One has died: the current one is replaced, at once or soon."""
        if launcher in self._old:
            self._old.remove(launcher)
        if launcher is not self.current:
            return
        self._skipped = dict(launcher.skipped)
        self.current = None
        self._restart_at = max(self._clock(), self.started_at + CALM)

    def deadline(self, busy: bool) -> float | None:
        """Return when `tick` is needed, in monotonic seconds; `busy` while there are runs."""
        times = [self._restart_at, *(launcher.deadline(busy) for launcher in self._all())]
        return min((time for time in times if time is not None), default=None)

    def restart(self, now: float) -> bool:
        """Replace a dead launcher when it is time; says whether there is a new one."""
        if self._restart_at is None or now < self._restart_at:
            return False
        self._restart_at = now + CALM  # so it stays if the system lets us have no process now
        with contextlib.suppress(OSError):
            self.start()
        return self.current is not None

    def tick(self, now: float, busy: bool, used: Collection[Launcher]) -> None:
        """Do what is due; end the old ones that have no child left, which is to say, are not `used`."""
        for launcher in self._all():
            launcher.tick(now, busy)
        for launcher in [one for one in self._old if one not in used]:
            self._old.remove(launcher)
            launcher.close()

    def close(self) -> None:
        """End them all, with all that they have."""
        self.pass_on()
        launchers, self._old = self._old, []
        for launcher in launchers:
            launcher.close()

    def live_until(self, moment: float) -> None:
        """Tell them all until when their runs may live."""
        for launcher in self._all():
            launcher.live_until(moment)

    def _all(self) -> list[Preloader]:
        return self._old + ([] if self.current is None else [self.current])
