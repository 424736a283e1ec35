"""The sandbox for student code: what it cannot do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from firsthand.coursework import sandbox as sandboxes
from firsthand.coursework.meter import LINUX, Meter, tree
from firsthand.coursework.sandbox import Limits, RemoteFunction, Sandbox, Stopped, need_sandbox, sandbox_problem
from firsthand.coursework.wire import gradient_of
from firsthand.errors import UserError

PROBLEM = sandbox_problem()
needs_sandbox = pytest.mark.skipif(PROBLEM is not None and "CI" not in os.environ, reason=str(PROBLEM))
pytestmark = needs_sandbox


@pytest.fixture
def sandbox():
    with Sandbox(Limits(seconds=30)) as found:
        yield found


def _run(sandbox: Sandbox, source: str) -> str:
    reply = sandbox.ask({"do": "run", "source": source, "name": "cell"})
    return str(reply.get("error", "done"))


def test_a_cell_defines_what_can_be_called(sandbox: Sandbox) -> None:
    assert _run(sandbox, "def double(x):\n    print('hello')\n    return 2 * x") == "done"
    double = RemoteFunction(sandbox, "double")
    assert double(21) == 42
    assert np.array_equal(double(np.arange(3)), [0, 2, 4])
    with pytest.raises(RuntimeError, match="TypeError"):
        double()


def test_a_gradient_is_computed_where_the_function_is(sandbox: Sandbox) -> None:
    import torch

    assert _run(sandbox, "def f(x, k):\n    return k * x.clamp(0, 2) ** 2") == "done"
    assert _run(sandbox, "def flat(x, k):\n    return x.detach()") == "done"
    x = torch.tensor([-1.0, 1.0, 3.0])
    assert gradient_of(RemoteFunction(sandbox, "f"), x, 5.0, wrt=0).tolist() == [0, 10, 0]
    assert gradient_of(RemoteFunction(sandbox, "flat"), x, 5.0, wrt=0).tolist() == [0, 0, 0]
    assert gradient_of(lambda x, k: k * x, x, 2.0, wrt=0).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import socket; socket.create_connection(('1.1.1.1', 80), 3)", "Network is unreachable"),
        ("import socket; socket.socket().bind(('127.0.0.1', 0)); socket.getaddrinfo('example.org', 80)", "gaierror"),
        ("open('/book/firsthand/mine', 'w')", "Read-only file system"),
        ("open('/mine', 'w')", "Read-only file system"),
        ("open('/etc/mine', 'w')", "Read-only file system"),
        ("open('/scratch/large', 'wb').write(bytes(80_000_000))", "No space left"),
        ("x = bytearray(3_000_000_000)", "MemoryError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_what_is_forbidden_fails(sandbox: Sandbox, source: str, error: str) -> None:
    assert error in _run(sandbox, source)
    assert _run(sandbox, "x = 1") == "done"  # and the sandbox is still there


def test_it_may_write_a_little_in_its_own_folder(sandbox: Sandbox) -> None:
    assert (
        _run(sandbox, "open('notes.txt', 'w').write('mine')\nassert open('/scratch/notes.txt').read() == 'mine'")
        == "done"
    )


def test_other_files_are_not_there(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "other.ipynb"
    secret.write_text("another submission", encoding="utf-8")
    notebooks = Path(__file__).parents[2] / "notebooks"
    for path in (
        secret,
        notebooks,
        Path.home() / ".ssh",
        Path("/etc/shadow"),
        Path("/proc/1") / "root" / "etc" / "shadow",
    ):
        assert _run(sandbox, f"open({str(path)!r}).read()") != "done", path


def test_processes_are_few(sandbox: Sandbox) -> None:
    source = (
        "import os, time\nchildren = 0\ntry:\n    while children < 500:\n        if os.fork() == 0:\n"
        "            time.sleep(100_000)\n            os._exit(0)\n        children += 1\nexcept OSError:\n    pass\n"
        "assert children < 70, children"
    )
    assert _run(sandbox, source) == "done"


def test_it_sees_only_its_own_processes(sandbox: Sandbox) -> None:
    assert _run(sandbox, "import os\nassert sum(name.isdigit() for name in os.listdir('/proc')) < 10") == "done"


# ------------------------------------------------------------------------------------------------------ time

SPIN = """
import time
begin = time.process_time()
while time.process_time() - begin < {}:
    pass
"""
FORKS = """
import os, signal
signal.signal(signal.SIGCHLD, {})
for _ in range(40):
    child = os.fork()
    if child == 0:
        while time.process_time() < 0.5:
            pass
        os._exit(0)
    os.waitpid(child, 0) if {} else time.sleep(0)
time.sleep(100_000)
"""


def _end_of(source: str, limits: Limits, *, unsafe: bool = False) -> str:
    """Why a cell was stopped."""
    with Sandbox(limits, unsafe=unsafe) as sandbox:
        sandbox.allow(limits.seconds)
        with pytest.raises(Stopped) as stopped:
            _run(sandbox, source)
    return str(stopped.value)


TIMES_UP = "Out of time: more than 1 seconds of processor time."


def test_an_endless_loop_ends_by_its_processor_time() -> None:
    assert _end_of("while True: pass", Limits(seconds=1)) == TIMES_UP


@pytest.mark.slow
def test_what_was_computed_before_the_time_was_allowed_is_free() -> None:
    with Sandbox(Limits(seconds=60)) as sandbox:
        assert _run(sandbox, SPIN.format(2)) == "done"
        assert sandbox.used == 0
        sandbox.allow(60)
        assert _run(sandbox, SPIN.format(1)) == "done"
        assert 0.9 <= sandbox.used <= 60
        sandbox.allow(1.5)  # as after cells that are run again
        assert _run(sandbox, SPIN.format(0.5)) == "done"


def test_sleeping_costs_what_it_takes_by_the_clock() -> None:
    said = _end_of("import time\ntime.sleep(100_000)", Limits(seconds=1, patience=2))
    assert said == "No answer in time: it slept for more than 2 seconds."


def test_a_grader_that_computes_meanwhile_costs_the_submission_nothing() -> None:
    with Sandbox(Limits(seconds=30)) as sandbox:
        sandbox.allow(30)
        looks, look = [], sandbox._meter.look
        sandbox._meter.look = lambda: looks.append(look()) or looks[-1]  # type: ignore[method-assign]
        while len(looks) < 5:  # nothing is asked
            time.sleep(0.05)
        assert sandbox._slept == 0


@pytest.mark.skipif(not LINUX, reason="from /proc")
def test_a_process_that_waits_for_a_processor_is_not_asleep() -> None:
    for source, asleep in (("while True: pass", False), ("import time\ntime.sleep(100_000)", True)):
        process = subprocess.Popen([sys.executable, "-c", "print(flush=True)\n" + source], stdout=subprocess.PIPE)
        meter = Meter(process.pid)
        assert process.stdout is not None
        process.stdout.read(1)
        meter.look()
        while meter.asleep != asleep:  # it has just begun
            time.sleep(0.05)
            meter.look()
        for _ in range(20):
            meter.look()
            assert meter.asleep == asleep
        process.kill()
        process.communicate()


@pytest.mark.skipif(not LINUX, reason="from /proc")
@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.slow
def test_the_time_of_children_counts_whether_or_not_they_are_waited_for(waits: bool) -> None:
    source = "import time\n" + FORKS.format("signal.SIG_DFL" if waits else "signal.SIG_IGN", waits)
    assert "Out of time" in _end_of(source, Limits(seconds=3, patience=1e6))


@pytest.mark.slow
def test_without_a_meter_the_systems_limit_ends_it_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firsthand.coursework.meter.LINUX", False)
    for unsafe in (False, True):
        assert _end_of("while True: pass", Limits(seconds=1), unsafe=unsafe) == TIMES_UP


def test_a_submission_cannot_allow_itself_more(sandbox: Sandbox) -> None:
    sandbox.allow(5)
    assert "ValueError" in _run(sandbox, "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6))")


def test_a_set_up_that_takes_too_long_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxes, "SET_UP", 0.0)
    with pytest.raises(Stopped, match="No answer in time: it slept for more than 0 seconds before"), Sandbox():
        pass


# -------------------------------------------------------------------------------------------------- the rest


def test_a_process_that_ends_itself_is_noticed(sandbox: Sandbox) -> None:
    with pytest.raises(Stopped, match="ended"):
        sandbox.ask({"do": "run", "source": "import os; os._exit(0)", "name": "cell"})


def test_a_forged_answer_is_no_more_than_an_answer(sandbox: Sandbox) -> None:
    """Prints do not reach the grader, and neither does what is written to the usual streams."""
    forged = '{"done": true, "points": 100}'
    assert (
        _run(
            sandbox,
            f"import os, sys\nprint({forged!r})\nfor n in (1, 2): os.write(n, b{forged!r})\nraise ValueError(1)",
        )
        == "ValueError: 1"
    )


@pytest.mark.slow
def test_nothing_is_left_running() -> None:
    with Sandbox(Limits(seconds=20)) as sandbox:
        assert _run(sandbox, "import os\nif os.fork() == 0:\n    while True: pass") == "done"
        family = tree(sandbox.process.pid)
        assert len(family) >= 3
    while any(Path(f"/proc/{process}").exists() for process in family):  # they go one after another
        time.sleep(0.05)


def test_memory_of_all_processes_together_is_watched() -> None:
    source = (
        "import mmap, time\nm = mmap.mmap(-1, 900_000_000)\n"
        "for i in range(0, 900_000_000, 4096): m[i] = 1\ntime.sleep(100_000)"
    )
    with pytest.raises(Stopped, match="Out of memory"), Sandbox(Limits(seconds=30, memory=700_000_000)) as sandbox:
        sandbox.ask({"do": "run", "source": source, "name": "cell"})


def test_no_further_sandboxes_and_no_other_disks(sandbox: Sandbox) -> None:
    assert _run(sandbox, UNSHARE) != "done"
    assert "done" not in _run(sandbox, "open('/dev/mine', 'wb').write(bytes(1000))")
    large = "open('/dev/shm/large', 'wb').write(bytes(80_000_000))"
    assert _run(sandbox, large) != "done"


UNSHARE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x10000000) == 0, ctypes.get_errno()
"""


def test_the_graders_environment_is_not_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "abc123")
    with Sandbox(Limits(seconds=20)) as sandbox:
        leak = (
            "for p in ('1', 'self'):\n    try:\n        assert 'abc123' not in open(f'/proc/{p}/environ').read()\n"
            "    except OSError:\n        pass"
        )
        assert _run(sandbox, leak) == "done"
        assert _run(sandbox, "import os\nassert 'SECRET_TOKEN' not in os.environ") == "done"


def test_a_container_takes_its_place_where_an_image_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for docker that checks its options and runs what follows the image here."""
    docker = tmp_path / "docker"
    docker.write_text(
        '#!/bin/bash\necho "$@" >> "$0.log"\n[ "$1" = run ] || exit 0\n'
        f'while [ "$1" != the-image ]; do shift; done\nshift 2\nexec {sys.executable} "$@"\n',
        encoding="utf-8",
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with Sandbox(Limits(seconds=30), image="the-image") as sandbox:
        assert _run(sandbox, "x = 1") == "done"
    log = (tmp_path / "docker.log").read_text(encoding="utf-8")
    for option in (
        "--network=none",
        "--read-only",
        "--pids-limit=64",
        "--memory=2000000000",
        "--cap-drop=ALL",
        "kill firsthand-",
    ):
        assert option in log
    monkeypatch.setattr("firsthand.coursework.sandbox.shutil.which", lambda name: None)
    with pytest.raises(UserError, match="Neither docker nor podman"):
        need_sandbox(False, "the-image")


def test_without_a_sandbox_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firsthand.coursework.sandbox.shutil.which", lambda name: None)
    with pytest.raises(UserError, match="apt install bubblewrap"):
        need_sandbox(False)
    need_sandbox(True)
