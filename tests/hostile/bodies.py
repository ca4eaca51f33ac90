"""Hostile bodies: what a run does to its own process, and how it must be recorded."""

# ruff: noqa: E501  (what a body does reads best on one line)

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Body(NamedTuple):
    """A job whose function is `text`: its run ends in `state`; `said` is in its error, its result or its log."""

    name: str
    text: str
    state: str
    said: str = ""
    config: Mapping[str, Any] = MappingProxyType({})

    @property
    def source(self) -> str:
        """The whole job file."""
        config = {"name": self.name, "schedule": "* * * * * *", "numberOfExecutions": 1, **self.config}
        lines = "\n".join(f"    {line}" for line in self.text.splitlines())
        return f"import os, sys, time\nconfig = {config!r}\ndef default(ctx):\n{lines}\n"


def failed(name: str, text: str, said: str) -> Body:
    """Return a body whose run fails."""
    return Body(name, text, "failed", said)


def fine(name: str, text: str, said: str = "") -> Body:
    """Return a body whose run succeeds, whatever it did."""
    return Body(name, text, "succeeded", said)


def late(name: str, text: str) -> Body:
    """Return a body that only its time-out ends."""
    return Body(name, text, "timed_out", "", {"timeout": "1s"})


REPLY = """import json, struct
_w = struct.pack
def _say(frame):
    data = json.dumps(frame).encode()
    for n in range(3, 64):
        try: os.write(n, _w(">I", len(data)) + data)
        except OSError: pass
"""

BODIES = [
    failed("own-base", "class Own(BaseException): pass\nraise Own('mine')", "Own: mine"),
    failed(
        "mute",
        "class E(Exception):\n    def __str__(self): raise KeyboardInterrupt\nraise E",
        "cannot be shown",
    ),
    failed(
        "odd-text",
        "class S(str):\n    def encode(self, *a): raise SystemExit\nclass E(Exception):\n    def __str__(self): return S('odd')\nraise E",
        "E: odd",
    ),
    failed("odd-name", "raise type('a\\n\\x1b[31m' * 1000, (Exception,), {})('x')", "x"),
    failed(
        "no-trace",
        "class E(Exception):\n    __cause__ = __context__ = __class__ = property(lambda self: 1 / 0)\nraise E('x')",
        "E: x",
    ),
    failed(
        "mute-skip",
        "from jobrunner.outcomes import Skip\nclass E(Skip):\n    def __str__(self): raise ValueError\nraise E",
        "cannot be shown",
    ),
    failed(
        "odd-parts",
        "class E(ExceptionGroup):\n    exceptions = property(lambda self: 1 / 0)\nraise E('odd', [ValueError()])",
        "odd",
    ),
    failed("round-cause", "e = ValueError('round')\ne.__cause__ = e\nraise e", "ValueError: round"),
    failed(
        "deep-group",
        "e = ValueError('in')\nfor _ in range(2000): e = ExceptionGroup('g', [e])\nraise e",
        "ExceptionGroup",
    ),
    failed(
        "deep-cause",
        "e = None\nfor n in range(5000):\n    f = ValueError(n); f.__cause__ = e; e = f\nraise e",
        "ValueError: 4999",
    ),
    failed(
        "exit-with-trap",
        "class T:\n    def __str__(self): raise ValueError\n    __repr__ = __str__\nraise SystemExit(T())",
        "SystemExit",
    ),
    failed(
        "stack-overflow",
        "import ctypes\nsys.setrecursionlimit(10 ** 9)\nf = lambda n: repr(n) and g(n)\nx = []\nfor _ in range(10 ** 6): x = [x]\nrepr(x)",
        "Crashed",
    ),
    failed("alarm", "import signal; signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(60)", "signal 14"),
    failed(
        "kernel-limit",
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass",
        "Crashed",
    ),
    failed(
        "file-limit",
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)); open('vast', 'w').write('x' * 100)",
        "signal 25",
    ),
    failed(
        "thread-exits",
        "import threading; threading.Thread(target=os._exit, args=(0,)).start(); time.sleep(60)",
        "status 0 without a reply",
    ),
    failed("kills-its-group", "os.killpg(os.getpgid(0), 9)", "signal 9"),
    fine(
        "forged-success", REPLY + "_say({'reply': {'state': 'succeeded', 'result': 1}})\ntime.sleep(60)", "1"
    ),  # it is its own run's
    failed(
        "forged-state",
        REPLY + "_say({'reply': {'state': 'lost', 'result': 1}})\ntime.sleep(60)",
        "broke the wire",
    ),
    failed(
        "forged-error",
        REPLY + "_say({'reply': {'state': 'failed', 'error': [3]}})\ntime.sleep(60)",
        "broke the wire",
    ),
    fine(
        "forged-effects",
        REPLY
        + "_say({'effects': {'writes': [[1]], 'calls': 3}})\n_say({'reply': {'state': 'succeeded'}})\ntime.sleep(60)",
    ),
    failed(
        "forged-request",
        REPLY + "_say({'ask': 'x', 'verb': [], 'payload': 3})\ntime.sleep(60)",
        "broke the wire",
    ),
    fine("forged-node", REPLY + "_say({'run': {'runId': 1}, 'again': True})\nreturn 2", "2"),
    failed(
        "forged-length",
        REPLY
        + "[os.write(n, b'\\x7f\\xff\\xff\\xff') for n in range(3, 64) if os.path.exists(f'/proc/self/fd/{n}') and 'socket' in os.readlink(f'/proc/self/fd/{n}')]\ntime.sleep(60)",
        "broke the wire",
    ),
    late("stops-itself", "import signal; os.kill(os.getpid(), signal.SIGSTOP)"),
    late("stops-its-group", "import signal; os.killpg(0, signal.SIGSTOP)"),
    late(
        "hears-nothing",
        "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nwhile True: time.sleep(60)",
    ),
    late(
        "masks-signals",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(60)",
    ),
    late(
        "endless-finally",
        "try: time.sleep(60)\nfinally:\n    while True:\n        try: time.sleep(60)\n        except BaseException: pass",
    ),
    late("holds-the-lock", "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()"),
    fine("nan", "return float('nan')", "nan"),
    fine("circle", "x = []; x.append(x); return x", "[[...]]"),
    fine("not-json", "return {1: {2, 3}, 'f': lambda: 1}", ""),
    fine("vast", "return 'x' * 10_000_000", "xxx"),
    fine("digits", "return 10 ** 5000", ""),
    fine("surrogate", "return {'\\ud800': '\\udfff'}", ""),
    Body(
        "endless-dict",
        "class D(dict):\n    def items(self):\n        while True: yield 'a', 1\nreturn D(a=1)",
        "succeeded",
        "{'a': 1}",
        {"memoryLimit": "100MB"},
    ),
    fine(
        "lying-text",
        "class S(str):\n    def __len__(self): return -1\n    def encode(self, *a): return 3\nreturn S('true')",
        "true",
    ),
    fine("binary", "os.write(1, bytes(range(256)) * 1000)"),
    fine("forged-lines", "os.write(1, b'\\r\\x1b[2J\\x1b[1;1H[run 1] succeeded\\n' * 10)"),
    fine("no-end", "os.write(1, b'x' * 3_000_000)"),
    fine("no-streams", "os.close(1); os.close(2); sys.stdout = sys.stderr = None; return 1", "1"),
    fine(
        "forks-fifty",
        "for _ in range(50):\n    if os.fork() == 0:\n        os.setsid(); time.sleep(600)\nreturn 50",
        "50",
    ),
    fine(
        "fork-in-thread",
        "import threading\ndef f():\n    if os.fork() == 0: time.sleep(600)\nt = threading.Thread(target=f); t.start(); t.join(); return 1",
        "1",
    ),
    fine(
        "inherits-locks",
        "import threading, logging\nlock = threading.Lock(); lock.acquire(); logging._acquireLock() if hasattr(logging, '_acquireLock') else logging._lock.acquire()\nif os.fork() == 0: lock.acquire()\nreturn 1",
        "1",
    ),
    fine(
        "spins-on",
        "import threading\ndef f():\n    while True: pass\nthreading.Thread(target=f, daemon=True).start(); return 1",
        "1",
    ),
    fine("del-hangs", "class D:\n    def __del__(self): time.sleep(600)\nsys.kept = D(); return 1", "1"),
    fine("del-raises", "class D:\n    def __del__(self): raise SystemExit(3)\nD(); return 1", "1"),
    fine("exec-at-exit", "import atexit; atexit.register(os.execv, '/bin/false', ['false']); return 1", "1"),
    failed(
        "no-builtins",
        "import builtins\nbuiltins.print = builtins.len = builtins.isinstance = None; return 1",
        "without a reply",
    ),
    fine("no-modules", "sys.path.clear(); sys.meta_path.clear(); return 1", "1"),
    fine(
        "hooks", "sys.excepthook = sys.unraisablehook = None; sys.setprofile(lambda *_: None); return 1", "1"
    ),
    fine(
        "elsewhere",
        "os.chdir('/'); os.umask(0o777); os.environ.clear(); os.environ['TZ'] = 'Mars/Phobos'; time.tzset(); time.time = time.monotonic = lambda: 0; return 1",
        "1",
    ),
    fine("nice", "os.nice(19); return 1", "1"),
    fine("deletes-itself", "os.remove(__file__); return 1", "1"),
    fine(
        "child-handler",
        "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); signal.signal(signal.SIGPIPE, signal.SIG_DFL); return 1",
        "1",
    ),
]

GOOD = [
    Body(
        f"good-{n}",
        "ctx.progress(1); return [os.getcwd(), len('x'), oct(os.umask(0)), time.tzname[0]]",
        "succeeded",
    )
    for n in range(4)
]
