"""What needs root or the system's packages: `make test-system`. `make test` leaves this folder alone.

needs       says what is needed, and installs it where it can
leftovers   what sessions that were killed have left
pooler      PgBouncer before a server
network     machines of a network of our own, to be cut off
disk        a small disk
faketime    a wall clock of a process's own
storm       five minutes of nodes on many machines, and of all that goes wrong between them
"""

from __future__ import annotations
