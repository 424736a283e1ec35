"""A room for student code: no network, nothing to read but Python and the book, nothing to write but a scratch folder.

On Linux it is bubblewrap's: own namespaces for users, processes, network and files, a small memory disk to write on,
and limits on memory, processes and time. Where it is missing nothing is run, unless the caller says that it may be.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firsthand.coursework.wire import LARGEST, WireError, pack, parse, unpack, write
from firsthand.errors import UserError

PACKAGE = Path(__file__).parents[1]
FIRST_USER, USERS = 200_000, 1_000_000  # numbers of users that no system gives to anybody
SCRATCH = "/scratch"
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts")


@dataclass(frozen=True)
class Limits:
    """Of one submission.

    Attributes:
        seconds: in all. memory, disk: bytes. processes: at once.
    """

    seconds: float = 60.0
    memory: int = 2_000_000_000
    disk: int = 50_000_000
    processes: int = 64


class Stopped(Exception):
    """The submission ran out of time, or its process died; the message says which."""


def sandbox_problem() -> str | None:
    """Why there is no sandbox here, or None."""
    if not sys.platform.startswith("linux"):
        return "bubblewrap needs Linux; on another system run the grader inside a Linux container"
    found = shutil.which("bwrap")
    if found is None:
        return "bubblewrap is not installed (Debian and Ubuntu: apt install bubblewrap)"
    try:
        trial = subprocess.run([*_room(Limits()), "/usr/bin/true"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not start ({error})"
    return None if trial.returncode == 0 else f"the kernel refuses a sandbox ({trial.stderr.decode()[-120:].strip()})"


def _python_places() -> list[str]:
    """Folders that Python itself needs: the environment and what it was made from."""
    paths = sysconfig.get_paths()
    found = {
        sys.prefix,
        sys.base_prefix,
        paths["purelib"],
        paths["platlib"],
        str(Path(sys.executable).resolve().parents[1]),
    }
    return sorted(place for place in found if not place.startswith(("/usr", "/lib")) and Path(place).is_dir())


def _room(limits: Limits) -> list[str]:
    """The command that makes the room; what runs in it follows."""
    command = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    become: list[str] = []
    if os.geteuid() == 0:
        # Root is exempt from the limit on processes: in the room it becomes somebody whom nobody else is.
        user = str(FIRST_USER + secrets.randbelow(USERS))
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
    else:
        command += ["--unshare-user"]
    command += ["--die-with-parent", "--new-session", "--clearenv"]
    places = {place: place for place in (*SYSTEM, *_python_places()) if Path(place).exists()}
    places[str(PACKAGE)] = "/book/firsthand"
    for parent in sorted({str(parent) for place in places.values() for parent in Path(place).parents} - {"/"}):
        command += ["--perms", "0755", "--dir", parent]  # else they could not be passed through
    for outside, inside in places.items():
        command += ["--ro-bind", outside, inside]
    command += ["--proc", "/proc", "--dev", "/dev"]
    command += ["--size", str(limits.disk), "--perms", "1777", "--tmpfs", SCRATCH, "--chdir", SCRATCH]
    command += ["--remount-ro", "/"]
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": SCRATCH, "TMPDIR": SCRATCH, "PYTHONPATH": "/book", "OMP_NUM_THREADS": "1",
        "MPLCONFIGDIR": SCRATCH, "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8",
    }  # fmt: skip
    for name, value in environment.items():
        command += ["--setenv", name, value]
    return [*command, *become]


class Room:
    """A submission's process, talked to by messages. Use it in a `with` statement: it is killed at the end.

    Args:
        limits: of the submission.
        unsafe: without a sandbox, with the limits on time, memory and processes only.
    """

    def __init__(self, limits: Limits | None = None, *, unsafe: bool = False) -> None:
        self.limits = limits or Limits()
        self.began = time.monotonic()
        self.deadline = self.began + self.limits.seconds
        worker = ["-m", "firsthand.coursework.worker", str(self.limits.memory), str(self.limits.processes)]
        command = [sys.executable, *worker] if unsafe else [*_room(self.limits), sys.executable, *worker]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.buffer = b""

    @property
    def seconds(self) -> float:
        """How long it has existed."""
        return time.monotonic() - self.began

    def __enter__(self) -> Room:
        try:
            self._read()  # it is ready
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # with bubblewrap's own process all others in the room go
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self.process.wait(10)

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and wait for its answer.

        Raises:
            Stopped: out of time, or the process is gone, or it answers with nonsense.
        """
        try:
            write(self.process.stdin, message)
        except (BrokenPipeError, OSError):
            raise Stopped("The process of the submission ended: out of memory, or it ended itself.") from None
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        handle = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([handle], [], [], left)[0]:
                raise Stopped(f"Out of time: more than {self.limits.seconds:g} seconds.")
            part = os.read(handle, 1 << 20)
            if not part:
                raise Stopped("The process of the submission ended: out of memory, or it ended itself.")
            self.buffer += part
            if len(self.buffer) > LARGEST:
                raise Stopped("The submission answered with too much.")
        line, _, self.buffer = self.buffer.partition(b"\n")
        try:
            return parse(line)
        except WireError as error:
            raise Stopped(f"The submission's process answered with nonsense. {error}") from None


class RemoteFunction:
    """A submission's function: called here, run in its room. A judge can use it like any function."""

    remote = True  # models go there as recipes, see `wire.made_for`

    def __init__(self, room: Room, variable: str) -> None:
        self.room, self.variable = room, variable

    def __call__(self, *args: Any) -> Any:
        """Call it.

        Raises:
            RuntimeError: what it raised there, in a sentence.
        """
        return self._answer({"do": "call", "args": pack(args)})

    def gradient(self, args: tuple[Any, ...], wrt: int) -> Any:
        """As `wire.gradient_of`, there."""
        return self._answer({"do": "gradient", "args": pack(args), "wrt": wrt})

    def _answer(self, message: dict[str, Any]) -> Any:
        reply = self.room.ask({**message, "variable": self.variable})
        if "error" in reply:
            raise RuntimeError(str(reply["error"])[:400])
        return unpack(reply.get("value"))


def need_sandbox(unsafe: bool) -> None:
    """Refuse where there is no sandbox.

    Raises:
        UserError: there is none and the caller did not say that student code may run without.
    """
    problem = sandbox_problem()
    if problem is not None and not unsafe:
        raise UserError(
            f"No sandbox for student code: {problem}. With --unsafe it runs as you, with your files in reach."
        )
