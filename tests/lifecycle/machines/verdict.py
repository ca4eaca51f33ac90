"""What came of a storm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

SHOWN = 60  # violations


@dataclass
class Verdict:
    """Figures; `wrong` is empty when every promise held."""

    seed: int
    due: int = 0
    rows: Counter[str] = field(default_factory=Counter)  # occurrences, and later attempts, by their state
    reasons: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)  # of attempts that failed
    bodies: int = 0
    lates: list[float] = field(default_factory=list)  # seconds from a due instant to the body's beginning
    faults: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def late(self, share: float) -> float:
        """Return how late that share of the bodies began at most."""
        found = sorted(self.lates)
        return found[min(len(found) - 1, int(share * len(found)))] if found else 0.0

    def __str__(self) -> str:
        return "\n".join([
            f"seed {self.seed}: {self.seconds:.0f} s, {self.due} occurrences due"
            f" ({self.due / max(1.0, self.seconds):.0f} each second)",
            f"  ledger: {_listed(self.rows)}; skipped: {_listed(self.reasons) or 'none'}",
            f"  failed: {_listed(self.errors) or 'none'}",
            f"  bodies: {self.bodies}; late: {self.late(0.5):.3f} s (median), {self.late(0.99):.3f} s (p99)",
            f"  faults: {_listed(self.faults)}",
            f"  {len(self.wrong)} wrong",
            *_shown(self.wrong),
        ])  # fmt: skip


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _shown(wrong: Sequence[str]) -> list[str]:
    more = [f"    and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
    return [f"    {sentence}" for sentence in wrong[:SHOWN]] + more
