"""What a child asks of the system about itself: which children it has, and which descriptors it has not."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import Any

import pytest

from jobrunner import processes

ADOPTS = """
import os, signal, subprocess, sys
from jobrunner import processes
processes.adopt_orphans()
told = [processes.childless()]
script = "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True)"
subprocess.run([sys.executable, "-c", script])
told.append(processes.childless())
processes.kill_children()
told.append(processes.childless())
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # then nobody is told of a child that ends
child = subprocess.Popen(["sleep", "1000"])
told.append(processes.childless())
processes.kill_children()
told.append(processes.childless())
print(told)
"""
CLOSES = """
import os
from jobrunner import child, processes
if {refused}:
    processes.close_descriptors = lambda first, last: False
files = [os.open(os.devnull, os.O_RDONLY) for _ in range(9)]
wire = files[{at}]
os.dup2(0, 200)
child._close_all_but(wire)
seen = []
for number in range(256):
    try:
        os.fstat(number)
        seen.append(number)
    except OSError:
        pass
print([seen, wire])
"""


def told_by(script: str) -> Any:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return ast.literal_eval(done.stdout)


@pytest.mark.skipif(not processes.LINUX, reason="elsewhere nobody can tell")
def test_a_process_knows_at_a_glance_whether_it_has_children_adopted_ones_included() -> None:
    assert told_by(ADOPTS) == [True, False, True, False, True]


@pytest.mark.parametrize("at", [0, 4, 8])
@pytest.mark.parametrize("refused", [False, True])
def test_nothing_stays_open_but_the_wire_wherever_it_is(at: int, refused: bool) -> None:
    seen, wire = told_by(CLOSES.format(at=at, refused=refused))
    assert seen == [0, 1, 2, wire]
