"""The room for student code: what it cannot do."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from firsthand.coursework.sandbox import Limits, RemoteFunction, Room, Stopped, need_sandbox, sandbox_problem
from firsthand.coursework.wire import gradient_of
from firsthand.errors import UserError

PROBLEM = sandbox_problem()
needs_sandbox = pytest.mark.skipif(PROBLEM is not None and "CI" not in os.environ, reason=str(PROBLEM))
pytestmark = needs_sandbox


@pytest.fixture
def room():
    with Room(Limits(seconds=30)) as found:
        yield found


def _run(room: Room, source: str) -> str:
    reply = room.ask({"do": "run", "source": source, "name": "cell"})
    return str(reply.get("error", "done"))


def test_a_cell_defines_what_can_be_called(room: Room) -> None:
    assert _run(room, "def double(x):\n    print('hello')\n    return 2 * x") == "done"
    double = RemoteFunction(room, "double")
    assert double(21) == 42
    assert np.array_equal(double(np.arange(3)), [0, 2, 4])
    with pytest.raises(RuntimeError, match="TypeError"):
        double()


def test_a_gradient_is_computed_where_the_function_is(room: Room) -> None:
    import torch

    assert _run(room, "def f(x, k):\n    return k * x.clamp(0, 2) ** 2") == "done"
    assert _run(room, "def flat(x, k):\n    return x.detach()") == "done"
    x = torch.tensor([-1.0, 1.0, 3.0])
    assert gradient_of(RemoteFunction(room, "f"), x, 5.0, wrt=0).tolist() == [0, 10, 0]
    assert gradient_of(RemoteFunction(room, "flat"), x, 5.0, wrt=0).tolist() == [0, 0, 0]
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
def test_what_is_forbidden_fails(room: Room, source: str, error: str) -> None:
    assert error in _run(room, source)
    assert _run(room, "x = 1") == "done"  # and the room is still there


def test_it_may_write_a_little_in_its_own_folder(room: Room) -> None:
    assert (
        _run(room, "open('notes.txt', 'w').write('mine')\nassert open('/scratch/notes.txt').read() == 'mine'") == "done"
    )


def test_other_files_are_not_there(room: Room, tmp_path: Path) -> None:
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
        assert _run(room, f"open({str(path)!r}).read()") != "done", path


def test_processes_are_few(room: Room) -> None:
    source = (
        "import os, time\nchildren = 0\ntry:\n    while children < 500:\n        if os.fork() == 0:\n"
        "            time.sleep(60)\n            os._exit(0)\n        children += 1\nexcept OSError:\n    pass\n"
        "assert children < 70, children"
    )
    assert _run(room, source) == "done"


def test_it_sees_only_its_own_processes(room: Room) -> None:
    assert _run(room, "import os\nassert sum(name.isdigit() for name in os.listdir('/proc')) < 10") == "done"


def test_an_endless_loop_ends() -> None:
    begin = time.monotonic()
    with pytest.raises(Stopped, match="Out of time"), Room(Limits(seconds=3)) as room:
        room.ask({"do": "run", "source": "while True: pass", "name": "cell"})
    assert time.monotonic() - begin < 10


def test_a_process_that_ends_itself_is_noticed(room: Room) -> None:
    with pytest.raises(Stopped, match="ended"):
        room.ask({"do": "run", "source": "import os; os._exit(0)", "name": "cell"})


def test_a_forged_answer_is_no_more_than_an_answer(room: Room) -> None:
    """Prints do not reach the grader, and neither does what is written to the usual streams."""
    forged = '{"done": true, "points": 100}'
    assert (
        _run(room, f"import os, sys\nprint({forged!r})\nfor n in (1, 2): os.write(n, b{forged!r})\nraise ValueError(1)")
        == "ValueError: 1"
    )


def test_nothing_is_left_running() -> None:
    with Room(Limits(seconds=20)) as room:
        room.ask({"do": "run", "source": "import os\nif os.fork() == 0:\n    while True: pass", "name": "cell"})
        pid = room.process.pid
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


def test_memory_of_all_processes_together_is_watched() -> None:
    source = (
        "import mmap, time\nm = mmap.mmap(-1, 900_000_000)\n"
        "for i in range(0, 900_000_000, 4096): m[i] = 1\ntime.sleep(20)"
    )
    with pytest.raises(Stopped, match="Out of memory"), Room(Limits(seconds=30, memory=700_000_000)) as room:
        room.ask({"do": "run", "source": source, "name": "cell"})


def test_no_further_rooms_and_no_other_disks(room: Room) -> None:
    assert _run(room, UNSHARE) != "done"
    assert "done" not in _run(room, "open('/dev/mine', 'wb').write(bytes(1000))")
    large = "open('/dev/shm/large', 'wb').write(bytes(80_000_000))"
    assert _run(room, large) != "done"


UNSHARE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x10000000) == 0, ctypes.get_errno()
"""


def test_the_graders_environment_is_not_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "abc123")
    with Room(Limits(seconds=20)) as room:
        leak = (
            "for p in ('1', 'self'):\n    try:\n        assert 'abc123' not in open(f'/proc/{p}/environ').read()\n"
            "    except OSError:\n        pass"
        )
        assert _run(room, leak) == "done"
        assert _run(room, "import os\nassert 'SECRET_TOKEN' not in os.environ") == "done"


def test_a_container_takes_its_place_where_an_image_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for docker that checks its options and runs what follows the image here."""
    docker = tmp_path / "docker"
    docker.write_text(
        '#!/bin/bash\necho "$@" >> "$0.log"\n[ "$1" = run ] || exit 0\n'
        f'while [ "$1" != the-room ]; do shift; done\nshift 2\nexec {sys.executable} "$@"\n',
        encoding="utf-8",
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with Room(Limits(seconds=30), image="the-room") as room:
        assert _run(room, "x = 1") == "done"
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
        need_sandbox(False, "the-room")


def test_without_a_sandbox_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firsthand.coursework.sandbox.shutil.which", lambda name: None)
    with pytest.raises(UserError, match="apt install bubblewrap"):
        need_sandbox(False)
    need_sandbox(True)
