"""A room for student code: no network, nothing to read but Python and the book, nothing to write but a scratch folder.

On Linux it is bubblewrap's: own namespaces for users, processes, network and files, a small memory disk to write on,
and limits on memory, processes and time. Where it is missing nothing is run, unless the caller says that it may be.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firsthand.coursework.wire import REPLY, WireError, pack, parse, unpack, write
from firsthand.errors import UserError

PACKAGE = Path(__file__).parents[1]
FIRST_USER, USERS = 2_000_000_000, 1_000_000  # numbers of users that no system gives to anybody
SCRATCH, SHARED = "/scratch", "/dev/shm"  # noqa: S108
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin", "HOME": SCRATCH, "TMPDIR": SCRATCH, "PYTHONPATH": "/book", "OMP_NUM_THREADS": "1",
    "MPLCONFIGDIR": SCRATCH, "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8",
}  # fmt: skip
OUT_OF_TIME = "Out of time"
ENDED = "The process of the submission ended: out of memory, or it ended itself."
WATCH = 0.25  # seconds between looks at a room's memory
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


class Stopped(BaseException):
    """The submission ran out of time, or its process died; the message says which.

    No `Exception`, so that a hidden test that catches those does not take it for an answer.
    """


def sandbox_problem() -> str | None:
    """Why there is no sandbox here, or None."""
    if not sys.platform.startswith("linux"):
        return "bubblewrap needs Linux"
    found = shutil.which("bwrap")
    if found is None:
        return "bubblewrap is not installed (Debian and Ubuntu: apt install bubblewrap)"
    try:
        trial = subprocess.run(
            [*_room(Limits()), "/usr/bin/true"],
            capture_output=True,
            timeout=20,
            check=False,
            env={"PATH": os.environ.get("PATH", os.defpath)},
        )
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
    inner: list[str] = []
    if os.geteuid() == 0:
        # Root is exempt from the limit on processes: in the room it becomes somebody whom nobody else is, and an inner
        # room forbids further namespaces, in which somebody could mount a disk of any size.
        user = str(FIRST_USER + secrets.randbelow(USERS))
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--dir", "/tmp"]  # noqa: S108
        inner = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
        inner += ["bwrap", "--unshare-user", "--disable-userns", "--dev-bind", "/", "/", "--die-with-parent"]
    else:
        command += ["--unshare-user", "--disable-userns"]
    command += ["--die-with-parent", "--new-session", "--clearenv"]
    places = {place: place for place in (*SYSTEM, *_python_places()) if Path(place).exists()}
    places[str(PACKAGE)] = "/book/firsthand"
    for parent in sorted({str(parent) for place in places.values() for parent in Path(place).parents} - {"/"}):
        command += ["--perms", "0755", "--dir", parent]  # else they could not be passed through
    for outside, inside in places.items():
        command += ["--ro-bind", outside, inside]
    command += ["--proc", "/proc", "--dev", "/dev"]
    disk = ["--size", str(limits.disk), "--perms", "1777", "--tmpfs"]
    command += [*disk, SHARED, "--remount-ro", "/dev", *disk, SCRATCH, "--chdir", SCRATCH, "--remount-ro", "/"]
    for name, value in ENVIRONMENT.items():
        command += ["--setenv", name, value]
    return ["nice", "-n", "5", *command, *inner]


def container_tool() -> str:
    """Docker or Podman.

    Raises:
        UserError: neither is installed.
    """
    tool = shutil.which("docker") or shutil.which("podman")
    if tool is None:
        raise UserError("Neither docker nor podman is installed; a room from an image needs one of them.")
    return tool


def container_room(limits: Limits, image: str, name: str) -> list[str]:
    """The same as a container, from an image that has this book's environment (page *For instructors*)."""
    command = [
        container_tool(),
        "run",
        "--rm",
        "--interactive",
        f"--name={name}",
        "--network=none",
        "--read-only",
        "--user=65534:65534",
    ]
    command += ["--cap-drop=ALL", "--security-opt=no-new-privileges", f"--memory={limits.memory}"]
    command += [f"--memory-swap={limits.memory}", f"--pids-limit={limits.processes}"]
    command += [f"--tmpfs={SCRATCH}:size={limits.disk},mode=1777", f"--workdir={SCRATCH}"]
    command += [f"--volume={PACKAGE}:/book/firsthand:ro"]
    command += [f"--env={name}={value}" for name, value in ENVIRONMENT.items() if name != "PATH"]
    return [*command, image, "python"]


def _tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                stat = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
                parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found = [root]
    for process in found:
        found += parents.get(process, [])
    return found


def memory_of(root: int) -> int:
    """Bytes that a process and all its descendants hold, shared pages counted once; 0 where that cannot be told."""
    total = 0
    for process in _tree(root) if sys.platform.startswith("linux") else []:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines():
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += 1024 * int(line.split()[1])
    return total


class Room:
    """A submission's process, talked to by messages. Use it in a `with` statement: it is killed at the end.

    Args:
        limits: of the submission.
        unsafe: without a sandbox, with the limits on time, memory and processes only.
        image: of a container that takes bubblewrap's place.
    """

    def __init__(self, limits: Limits | None = None, *, unsafe: bool = False, image: str | None = None) -> None:
        self.limits = limits or Limits()
        self.began = time.monotonic()
        self.deadline = self.began + self.limits.seconds
        numbers = self.limits.memory, self.limits.processes, self.limits.disk, math.ceil(self.limits.seconds) + 1
        worker = ["-m", "firsthand.coursework.worker", *map(str, numbers)]
        environment: dict[str, str] | None = {
            "PATH": os.environ.get("PATH", os.defpath)
        }  # /proc/1 shows it to the room
        self.container = None if image is None else f"firsthand-{secrets.token_hex(8)}"
        if image is not None and self.container is not None:
            command, environment = [*container_room(self.limits, image, self.container), *worker], None
        elif unsafe:
            command, environment = [sys.executable, *worker], None
        else:
            command = [*_room(self.limits), sys.executable, *worker]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            env=environment,
        )  # fmt: skip
        self.buffer = b""
        self.why: str | None = None  # it was killed
        self.closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def seconds(self) -> float:
        """How long it has existed."""
        return time.monotonic() - self.began

    def _watch(self) -> None:
        """Kill the room when its time is over or its processes together hold too much; writing to it then fails."""
        while not self.closed.wait(WATCH):
            if time.monotonic() > self.deadline:
                self.why = f"{OUT_OF_TIME}: more than {self.limits.seconds:g} seconds."
            elif memory_of(self.process.pid) > self.limits.memory:
                self.why = f"Out of memory: its processes together hold more than {self.limits.memory:,} bytes."
            if self.why is not None:
                self._kill()
                return

    def _kill(self) -> None:
        if self.container is not None:  # killing the client leaves the container alive
            subprocess.run([container_tool(), "kill", self.container], capture_output=True, check=False)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # with bubblewrap's own process all others in the room go

    def __enter__(self) -> Room:
        try:
            self._read()  # it is ready
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.set()
        self._kill()
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
            raise Stopped(self.why or ENDED) from None
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        handle = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([handle], [], [], left)[0]:
                raise Stopped(self.why or f"{OUT_OF_TIME}: more than {self.limits.seconds:g} seconds.")
            part = os.read(handle, 1 << 20)
            if not part:
                raise Stopped(self.why or ENDED)
            self.buffer += part
            if len(self.buffer) > REPLY:
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


def need_sandbox(unsafe: bool, image: str | None = None) -> None:
    """Refuse where there is no sandbox.

    Raises:
        UserError: there is none and the caller did not say that student code may run without.
    """
    if os.name == "nt":
        raise UserError("Grading needs Linux or macOS; on Windows run it inside WSL.")
    problem = None if unsafe else sandbox_problem()
    if image is not None:
        container_tool()
    elif problem is not None:
        raise UserError(
            f"No sandbox for student code: {problem}. With --image NAME it runs in a container of that image; with "
            "--unsafe it runs as you, with your files in reach."
        )
