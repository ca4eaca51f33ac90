from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.docs.pages import ROOT
from tests.lifecycle.project import wait_until
from tests.postgres.server import Server
from tests.system import network as module
from tests.system.leftovers import run
from tests.system.network import Namespace, Network

ASK = """
import sys, psycopg
with psycopg.connect(sys.argv[1], connect_timeout=3) as connection:
    print(connection.execute("select inet_client_addr()").fetchone()[0])
"""
HOLD = """
import signal, sys
from tests.system.network import Network
with Network() as network:
    print(network.bridge, network.namespace().name, flush=True)
    signal.pause()
"""


@pytest.fixture
def server(network: Network, postgres_own: Callable[..., Server]) -> Server:
    return postgres_own(address=network.address, fsync=False)


def ask(machine: Namespace, server: Server) -> subprocess.CompletedProcess[str]:
    return machine.run(sys.executable, "-c", ASK, server.dsn(), capture_output=True)


def test_a_machine_reaches_a_server_on_this_side_and_has_its_own_address(
    network: Network, server: Server
) -> None:
    machine = network.namespace()
    done = ask(machine, server)
    assert done.stdout.split() == [machine.address], done.stderr
    assert machine.address != network.address


def test_machines_reach_each_other_and_nothing_else(network: Network) -> None:
    one, two = network.namespace(), network.namespace()
    routes = one.run("ip", "route", capture_output=True).stdout.splitlines()
    assert len(routes) == 1
    listening = "import socket; s = socket.create_server(('', 7)); print('on', flush=True); s.accept()"
    asking = f"import socket; socket.create_connection(('{two.address}', 7), 60)"
    command = two.command(sys.executable, "-c", listening)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "on\n"
        assert one.run(sys.executable, "-c", asking).returncode == 0
        assert other.wait(60) == 0


def test_a_machine_that_is_cut_off_hears_nothing_until_it_is_healed(network: Network, server: Server) -> None:
    cut, other = network.namespace(), network.namespace()
    cut.cut()
    assert "timeout" in ask(cut, server).stderr
    assert ask(other, server).returncode == 0
    cut.heal()
    wait_until(lambda: ask(cut, server).returncode == 0, "the machine to reach the server again")


def names() -> str:
    return run("ip", "netns", "list") + run("ip", "-o", "link")


def test_nothing_is_left_of_a_network() -> None:
    with Network() as network:
        bridge, machine = network.bridge, network.namespace().name
        assert bridge in names() and machine in names()
    assert bridge not in names() and machine not in names()


def test_what_a_killed_session_leaves_is_taken_away_by_the_next() -> None:
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as killed:
        assert killed.stdout is not None
        bridge, machine = killed.stdout.readline().split()
        assert bridge in names() and machine in names()
        os.kill(killed.pid, signal.SIGKILL)
    module.sweep()
    assert bridge not in names() and machine not in names()
