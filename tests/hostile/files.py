"""Hostile job files, by what they do to whoever reads or imports them."""

# ruff: noqa: E501  (what a file says reads best on one line)

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.hostile.rows import DEFAULT, Row, at, computed, link, literal, named, text

LATE = "took longer than"
PIPE = "wrote into the pipe"
FRAME = """
import json, struct
def _frame(body):
    os.write(int(sys.argv[1]), struct.pack(">I", len(body)) + body)
"""


def forged(name: str, body: str, said: str = PIPE) -> Row:
    """Return a file that writes an answer of its own into the pipe, and ends."""
    return computed(name, f"{FRAME}_frame({body}.encode())\nos._exit(0)", said)


def a_socket(path: Path) -> None:
    """Bind a socket, by a short name: the path of one must be short."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def a_folder(path: Path) -> None:
    """Make a folder that is called like a file, with a job in it."""
    path.mkdir()
    (path / "inside.py").write_text(f'config = {{"name": "inside", "schedule": None}}\n{DEFAULT}')


ENDS = [  # the process that imports it ends, stops, or goes on for ever
    computed("segfault", "import ctypes; ctypes.string_at(0)", "signal 11"),
    computed("abort", "os.abort()", "signal 6"),
    computed("alarm", "import signal; signal.alarm(1); time.sleep(60)", "signal 14"),
    computed("kills-its-group", "os.killpg(0, 9)", "signal 9"),
    computed("exec", "os.execv('/bin/true', ['true'])", "exit status 0"),
    computed("exec-sleeps", "os.execv('/bin/sleep', ['sleep', '60'])", LATE),
    computed("stops-itself", "import signal; os.kill(os.getpid(), signal.SIGSTOP)", LATE),
    computed("hears-nothing", "import signal\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n    except OSError: pass\ntime.sleep(60)", LATE),
    computed("masks-signals", "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64)); time.sleep(60)", LATE),
    computed("closes-all", "os.closerange(0, 4096)", "exit status"),
    computed("thread-exits", "import threading; threading.Thread(target=os._exit, args=(7,)).start(); time.sleep(60)", "exit status 7"),
    computed("no-files", "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0)); os.nice(19)", "Too many open files")._replace(proved=True),
    computed("no-write", "os.write = None", "exit status"),
]  # fmt: skip

RAISES = [  # what an import raises is one sentence, whatever it is
    computed("recursion", "def f(): f()\nf()", "RecursionError", 2),
    computed("memory", "b'x' * (1 << 60)", "MemoryError", 2),
    computed("base-exception", "class Own(BaseException): pass\nraise Own('mine')", "Own: mine", 3),
    computed("interrupt", "raise KeyboardInterrupt", "KeyboardInterrupt", 2),
    computed("generator-exit", "raise GeneratorExit", "GeneratorExit", 2),
    computed("mute", "class Mute(Exception):\n    def __str__(self): raise SystemExit\nraise Mute", "Mute", 4),
    computed("shouts", "raise ValueError('a\\nb\\x1b[31m\\u202e\\x00' * 1000)", "ValueError", 2),
    computed("surrogate", "raise ValueError('\\ud800')", "ValueError", 2),
    computed("group", "raise ExceptionGroup('many', [ValueError(), ExceptionGroup('more', [KeyError()])])", "ExceptionGroup", 2),
    computed("own-cause", "e = ValueError('round')\ne.__cause__ = e\nraise e", "ValueError: round", 4),
    computed("mute-text", "class S(str):\n    def split(self): raise SystemExit\nclass E(Exception):\n    def __str__(self): return S('odd')\nraise E", "E: odd", 6),
    computed("no-trace", "class E(Exception):\n    __traceback__ = __class__ = property(lambda self: 1 / 0)\nraise E", "cannot be shown"),
    computed("odd-name", "raise type('a\\n\x1b[31m' * 50, (Exception,), {})", "a \\x1b[31ma", 2),
    computed("odd-module", "raise ModuleNotFoundError('no', name='\x1b[31m')", "ModuleNotFoundError: no", 2),
    computed("warns", "import warnings; warnings.simplefilter('error'); warnings.warn('now')", "UserWarning", 2),
    computed("loop_a", "from ._loop_b import missing", "ImportError", 2),
    text("itself", "import os\nfrom . import itself\nconfig = dict(name=itself.config['name'], schedule=None)\n" + DEFAULT, "AttributeError", 3),
    Row("annotated.py", 'config = {"name": "annotated", "schedule": None}\ndef default(x: 1 / 0 = 3): return 1\n', "ZeroDivisionError", 2, "annotated", True),
    Row("decorated.py", 'config = {"name": "decorated", "schedule": None}\ndef _not(f): return 3\n@_not\ndef default(): return 1\n', "cannot be called", 0, "decorated", True),
    Row("literal-exit.py", f'import os\nconfig = {{"name": "literal-exit", "schedule": None}}\n{DEFAULT}os._exit(3)\n', "exit status 3", 0, "literal-exit", True),
    Row("forged-proof.py", f'import os, sys, struct\nconfig = {{"name": "forged-proof", "schedule": None}}\n{DEFAULT}body = b\'{{"problems": [{{"message": 3, "source": []}}]}}\'\nos.write(int(sys.argv[1]), struct.pack(">I", len(body)) + body)\ntime = __import__("time").sleep(60)\n', PIPE, 0, "forged-proof", True),
]  # fmt: skip

FORGES = [  # an answer that is none
    forged("forged-empty", "'{\"a\": 1}'"),
    forged("forged-list", "'[]'"),
    forged("forged-rubbish", "'\\x00\\x01'"),
    forged("forged-problem", "'{\"problem\": 3}'"),
    forged("forged-problem-of-numbers", "'{\"problem\": {\"message\": 3}}'"),
    forged("forged-number", "'{\"configs\": 3, \"files\": []}'"),
    forged("forged-configs", "'{\"configs\": [3], \"files\": []}'"),
    forged("forged-null", "'{\"configs\": [null], \"files\": []}'"),
    forged("forged-files", "'{\"configs\": [], \"files\": [3]}'"),
    forged("forged-nul", "'{\"configs\": [], \"files\": [\"a\\\\u0000\"]}'"),
    forged("forged-deep", "('{\"configs\": [{\"params\": ' + '[' * 900 + ']' * 900 + '}], \"files\": []}')"),
    forged("forged-large", "('{\"configs\": [{\"jitter\": 1' + '0' * 4000 + '0' * 290 + '}], \"files\": []}')"),
    forged("forged-none", "'{\"configs\": [], \"files\": []}'", "configs is empty"),
    computed("forged-length", "os.write(int(sys.argv[1]), b'\\xff' * 64); os._exit(0)", PIPE),
]  # fmt: skip

LIVES = [  # what it leaves behind is its own affair: it is a job like any other
    computed("spins", "import threading\ndef _spin():\n    while True: pass\nthreading.Thread(target=_spin, daemon=True).start()", None),
    computed("thread-stays", "import threading; threading.Thread(target=time.sleep, args=(60,)).start()", None),
    computed("exit-hangs", "import atexit; atexit.register(time.sleep, 60)", None),
    computed("del-hangs", "class _Del:\n    def __del__(self): time.sleep(60)\n_kept = _Del()", None),
    computed("del-raises", "class _Del:\n    def __del__(self): raise SystemExit(3)\n_Del()", None),
    computed("forks-fifty", "for _ in range(50):\n    if os.fork() == 0:\n        time.sleep(60); os._exit(0)", None),
    computed("fork-comes-back", "_pid = os.fork()", None),
    computed("fork-in-thread", "import threading\ndef _fork():\n    if os.fork() == 0: time.sleep(60)\n_t = threading.Thread(target=_fork); _t.start(); _t.join()", None),
    computed("holds-locks", "import threading, logging; _lock = threading.Lock(); _lock.acquire(); logging._lock.acquire()\nif os.fork() == 0: _lock.acquire()", None),
    computed("silent", "os.close(1); os.close(2); sys.stdout = sys.stderr = None", None),
    computed("loud", "os.write(1, b'\\x00\\xff\\x1b[31m' * 300_000)", None),
    computed("no-excepthook", "sys.excepthook = sys.displayhook = sys.unraisablehook = None; sys.settrace(lambda *_: 1 / 0 if False else None)", None),
    computed("elsewhere", "os.chdir('/'); os.umask(0o777); os.environ.clear(); os.environ['TZ'] = 'Mars/Phobos'; time.tzset(); sys.path.insert(0, '/')", None),
    computed("odd-modules", "class _Odd:\n    @property\n    def __file__(self): return 3\nsys.modules['odd'] = _Odd(); sys.modules[3] = None", None),
    computed("recursive-limit", "sys.setrecursionlimit(200)", None),
]  # fmt: skip

CONFIGS = [  # a config that is a trap
    computed("generator", "", "config is a generator, not a dict", after="config = (x for x in [1])"),
    computed("nothing", "", "config is a NoneType", after="del config"),
    computed("gone", "", "config is a NoneType", after="sys.modules[__name__] = 3"),
    computed("endless-config", "class D(dict):\n    def items(self):\n        while True:\n            time.sleep(0.1); yield 'name', 'x'", LATE, after="config = D(config)"),
    computed("lying-key", "class K:\n    def __str__(self): raise ValueError('no key')", "no key", after="config[K()] = 1"),
    computed("lying-text", "class S(str):\n    def __str__(self): return 'other'\n    def __eq__(self, other): return True\n    __hash__ = str.__hash__", None, after="config['name'] = S('lying-text')"),
    computed("lying-number", "class N(int):\n    def __int__(self): return -5\n    def __index__(self): return -5", None, after="config['numberOfExecutions'] = N(3)"),
    computed("vast", "", "larger than 8 MB", after="config['description'] = 'x' * 9_000_000"),
    computed("vast-number", "", "too many digits", after="config['params'] = dict(x=10 ** 5000)"),
    computed("odd-text", "class T:\n    @property\n    def text(self): raise OSError('no text')", "schedule is a T, which is not JSON", after="config['schedule'] = T()"),
    computed("callable-raises", "def _f(b): raise OSError('no schedule')", "OSError: no schedule", 2, after="config['schedule'] = _f"),
    computed("callable-hangs", "def _f(b): time.sleep(60)", LATE, after="config['schedule'] = _f"),
    computed("callable-itself", "def _f(b): return _f", "returned", after="config['schedule'] = _f"),
    literal("deep", "params is nested more than 50 deep", params={"x": eval("[" * 60 + "]" * 60)}),
    text("key-of-colours", 'config = {"name": "x", "schedule": None,\n"\x1b[31m": 1}\n' + DEFAULT, "is no config key", 2),
    text("key-of-nothing", 'config = {"name": "y", "schedule": None,\n"": 1}\n' + DEFAULT, "is no config key", 2),
    literal("schedule-of-parts", "schedule is", schedule={"a": "* * * * *; * * * * *"}),
    literal("schedule-in-lists", "schedule is", schedule=[[["* * * * *"]]]),
    literal("schedule-of-lines", "not plain text", schedule="* * * * *\n* * * * *"),
    literal("schedule-of-other-digits", "not plain text", schedule="٣ * * * *"),
    literal("schedule-too-long", "longer than 256", schedule="1," * 100_000 + "1 * * * *"),
    literal("schedule-of-many", "more than 100", schedule=[f"{n % 60} {n // 60} * * *" for n in range(200)]),
    literal("schedule-by-chance", "cannot be used", schedule="R R * * *"),
    literal("schedule-never", "never fires", schedule="0 0 31 2 *"),
    literal("zone-of-dots", "timezone is", timezone="../../etc/passwd"),
    literal("zone-too-long", "timezone is", timezone="x" * 100_000),
    literal("zone-of-nul", "timezone is", timezone="a\0b"),
    literal("tags-of-colours", "tags is", tags=["\x1b[31m"]),
    literal("timeout-of-digits", "timeout is", timeout="9" * 5000 + "s"),
]  # fmt: skip

SYNTAX = [  # what the syntax tree is spared
    text("ten-megabytes", b"#" * 10_000_000, "larger than 1 MB", None),
    text("one-megabyte", f'config = {{"name": "one-megabyte", "schedule": None}}\n{DEFAULT}'.ljust(1_000_000, "#"), None, name="one-megabyte"),
    text("nul-inside", "x = 1\ny = 2\0\n", "NUL", 2),
    text("utf-16", "config = {}\n".encode("utf-16"), "not Python"),
    text("rot13", "# coding: rot13\nconfig = {}\n", "not Python"),
    text("utf-7", b"# coding: utf-7\nconfig = {'name': 'utf-7', 'schedule': None}\n+AGQ-ef default(): pass\n", None, name="utf-7"),
    text("elifs", "if 0: pass\n" + "elif 1: pass\n" * 20_000, "nested too deeply"),
    text("sum", "x = " + "1+" * 100_000 + "1\n", "nested too deeply"),
    text("nots", "x = " + "not " * 50_000 + "1\n", ""),
    text("lambdas", "x = " + "lambda:" * 20_000 + "1\n", ""),
    text("indents", "".join(" " * n + "if 1:\n" for n in range(120)), "not Python"),
    text("huge-default", 'config = {"name": "huge-default", "schedule": None}\ndef default(n=0x' + "f" * 10_000 + "): return 1\n", None, name="huge-default"),
    text("huge-choice", 'config = {"name": "huge-choice", "schedule": None}\ndef default(n: "Literal[0x' + "f" * 10_000 + ']" = 1): return 1\n', None, name="huge-choice"),
    text("odd-default", 'config = {"name": "odd-default", "schedule": None}\ndef default(n="\\ud800", m: "Literal[\'\\ud800\']" = 1): return 1\n', None, name="odd-default"),
    text("odd-docs", '"""a\x1b[31m \\ud800 \u202e b"""\nconfig = {"name": "odd-docs", "schedule": None}\n' + DEFAULT, None, name="odd-docs"),
    text("wide-letters", 'ｃｏｎｆｉｇ = {"name": "wide-letters", "schedule": None}\n' + DEFAULT, None, name="wide-letters"),
    text("carriage-returns", 'config = {"name": "carriage-returns", "schedule": None}\rdef default(): return 1\r', None, name="carriage-returns"),
    text("json", 'import json\nconfig = dict(name=json.loads(\'"json"\'), schedule=None)\n' + DEFAULT, None, name="json"),
    text("os", 'import os\nconfig = dict(name=os.path.join("o", "s"), schedule=None)\n' + DEFAULT, None, name="o/s"),
    text("jobrunner", 'from jobrunner.schedules import every\nconfig = dict(name="shadow", schedule=every(2).minutes)\n' + DEFAULT, None, name="shadow"),
    text("never-bound", 'if False:\n    config = {"name": "x", "schedule": None}\n' + DEFAULT, "config is a NoneType"),
]  # fmt: skip

NAMES = [
    named("name-of-markup", "[red]x[/red]"),
    named("name-of-escapes", "a\x1b[2Jb"),
    named("name-of-lines", "a\nb"),
    named("name-of-nul", "a\0b"),
    named("name-of-bidi", "a\u202eb"),
    named("name-of-blanks", " "),
    named("name-of-dots", "../../etc/passwd"),
    named("name-of-parts", "a/../b"),
    named("name-too-long", "x" * 10_000),
    named("name-of-digits", "42"),
    named("name-of-ours", "jobrunner.prune"),
    named("name-of-nothing", ""),
    named("name-of-letters", "naïve"),
    named("name-of-zero-width", "a\u200bb"),
    named("name-of-html", "<script>alert(1)</script>"),
    named("name-of-numbers", 3),
]

PLACES = [  # what is no file, or has a name that hopes for a shell
    at("pipe.py", os.mkfifo, "pipe, socket or device"),
    at("socket.py", a_socket, "pipe, socket or device"),
    at("dangling.py", link("/nowhere/at/all"), "leads nowhere"),
    at("round.py", link("round.py"), "leads nowhere"),
    at("outside.py", link("/etc/hostname"), "out of the project"),
    at("device.py", link("/dev/zero"), "no regular file"),
    at("circle", link("."), "not followed"),
    at("line\nbreak.py", lambda path: path.write_text(DEFAULT), "cannot be shown"),
    at("red\x1b[31m.py", lambda path: path.write_text(DEFAULT), "cannot be shown"),
    at("bidi\u202eyp.py", lambda path: path.write_text(DEFAULT), "cannot be shown"),
    at("bytes\udcff.py", lambda path: path.write_text(DEFAULT), "cannot be shown"),
    at("/".join(["deep" * 10] * 30) + "/end.py", lambda path: path.write_text(DEFAULT), "longer than 1,000"),
    Row("folder.py", a_folder, None, name="inside"),
    Row(
        "$(reboot); rm -rf ~.py",
        f'config = {{"name": "shell", "schedule": None}}\n{DEFAULT}',
        None,
        name="shell",
    ),
    Row("%s%n{0}{}.py", f'config = {{"name": "format", "schedule": None}}\n{DEFAULT}', None, name="format"),
    Row("-rf.py", f'config = {{"name": "dash", "schedule": None}}\n{DEFAULT}', None, name="dash"),
    Row("x" * 250 + ".py", f'config = {{"name": "long", "schedule": None}}\n{DEFAULT}', None, name="long"),
]

BESIDE = {"_loop_b.py": "from .loop_a import other\nmissing = 1\n"}
ROWS = {row.file: row for row in [*ENDS, *RAISES, *FORGES, *LIVES, *CONFIGS, *SYNTAX, *NAMES, *PLACES]}
