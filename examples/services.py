"""What the jobs of this project are handed, by name: `def default(warehouse, output): ...`."""

import sqlite3
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parent

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, date TEXT, customer TEXT, item TEXT, quantity INTEGER, cents INTEGER
);
CREATE TABLE IF NOT EXISTS invoices (
    number INTEGER PRIMARY KEY, customer TEXT, month TEXT, net INTEGER, vat INTEGER, UNIQUE (customer, month)
);
"""


def register(container):
    """Say which services there are. A factory is called when a run first asks, and once in that run."""
    container.register("data", ROOT / "data")
    container.register("output", _output)
    container.register("warehouse", _warehouse)
    container.register("site", _site)


def _output():
    folder = ROOT / "output"
    folder.mkdir(exist_ok=True)
    return folder


def _warehouse(output):
    """A connection to the shop's database. What follows `yield` runs when the run has ended."""
    connection = sqlite3.connect(output / "warehouse.db", timeout=10)
    connection.executescript(SCHEMA)
    yield connection
    connection.close()


def _site(data):
    """The address of our own web site, served on a free port of this machine while the run lasts."""
    pages = partial(_Quiet, directory=data / "site")
    with ThreadingHTTPServer(("127.0.0.1", 0), pages) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing for each request."""
