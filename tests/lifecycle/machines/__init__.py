"""Nodes on many machines, one PostgreSQL, and everything that goes wrong between them.

faults      what goes wrong and when: a plan that a seed decides
ground      machines on loopback, each behind a proxy of its own that can be cut
kinds       the jobs: policies, and bodies that write to the sink
sink        what bodies have written, in order, as a resource sees it that keeps the highest fence
work        nodes at work while the plan is carried out
reckoning   the ledger, the sink and the schedules compared
verdict     what came of it: figures, and each violation with its evidence
"""

from __future__ import annotations
