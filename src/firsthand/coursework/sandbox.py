"""A sandbox for student code: no network, only Python and the book to read, only a scratch folder to write.

On Linux it is bubblewrap's: own namespaces for users, processes, network and files, a small memory disk to write on,
and limits on memory, processes and processor time. Where it is missing nothing is run, unless the caller says that it
may be. Processor time is what a submission's processes compute, so other work beside them costs it nothing; and the
clock, which ends one that sleeps, stands while they wait for a processor.
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

from firsthand.children import module_command, module_environment
from firsthand.coursework.meter import LINUX, Meter, memory_of
from firsthand.coursework.wire import REPLY, WireError, pack, parse, unpack, write
from firsthand.errors import UserError

PACKAGE = Path(__file__).parents[1]
FIRST_USER, USERS = 2_000_000_000, 1_000_000  # numbers of users that no system gives to anybody
SCRATCH, SHARED = "/scratch", "/dev/shm"  # noqa: S108
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin", "HOME": SCRATCH, "TMPDIR": SCRATCH, "PYTHONPATH": "/book", "OMP_NUM_THREADS": "1",
    "MPLCONFIGDIR": SCRATCH, "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8",
}  # fmt: skip
OUT_OF_TIME, NO_ANSWER = "Out of time", "No answer in time"
ENDED = "The process of the submission ended: out of memory, or it ended itself."
WATCH, MOST = 0.25, 1.0  # seconds between looks at a sandbox's time and memory, and that one look counts for at most
TRIAL = 120.0  # seconds by the clock for a first look whether bubblewrap works
SET_UP = 600.0  # and that it may sleep until it has run the set-up cell, which no submission pays
WORKER = "firsthand.coursework.worker"
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts")


@dataclass(frozen=True)
class Limits:
    """Of one submission.

    Attributes:
        seconds: of processor time in all, from the first answer on. memory, disk: bytes. processes: at once.
        patience: times `seconds` that it may sleep over its answers, by the clock.
    """

    seconds: float = 60.0
    memory: int = 2_000_000_000
    disk: int = 50_000_000
    processes: int = 64
    patience: float = 10.0


class Stopped(BaseException):
    """The submission ran out of time, or its process died; the message says which.

    No `Exception`, so that a hidden test that catches those does not take it for an answer.
    """


def sandbox_problem() -> str | None:
    """Why there is no sandbox here, or None."""
    if not LINUX:
        return "bubblewrap needs Linux"
    found = shutil.which("bwrap")
    if found is None:
        return "bubblewrap is not installed (Debian and Ubuntu: apt install bubblewrap)"
    try:
        trial = subprocess.run(
            [*bubblewrap(Limits()), "/usr/bin/true"],
            capture_output=True,
            timeout=TRIAL,
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


def bubblewrap(limits: Limits) -> list[str]:
    """The command that makes the sandbox; what runs in it follows."""
    command = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    inner: list[str] = []
    if os.geteuid() == 0:
        # Root is exempt from the limit on processes: in the sandbox it becomes somebody whom nobody else is, and an
        # inner one forbids further namespaces, in which somebody could mount a disk of any size.
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
        raise UserError("Neither docker nor podman is installed; a sandbox from an image needs one of them.")
    return tool


def container(limits: Limits, image: str, name: str) -> list[str]:
    """The same as a container, from an image that has this book's environment (page *For instructors*)."""
    command = [
        container_tool(),
        "run",
        "--rm",
        "--init",  # else the worker is process 1, which the signal at the end of its time does not end
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


class Sandbox:
    """A submission's process, talked to by messages. Use it in a `with` statement: it is killed at the end.

    What it does before `allow` is set-up and costs nothing.

    Args:
        limits: of the submission.
        unsafe: without a sandbox, with the limits on time, memory and processes only.
        image: of a container that takes bubblewrap's place.
    """

    def __init__(self, limits: Limits | None = None, *, unsafe: bool = False, image: str | None = None) -> None:
        self.limits = limits or Limits()
        self.container = None if image is None else f"firsthand-{secrets.token_hex(8)}"
        command, environment = self._command(unsafe, image)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            env=environment,
        )  # fmt: skip
        self.buffer = b""
        self.why: str | None = None  # it was killed
        self.closed = threading.Event()
        self._meter = Meter(self.process.pid)
        self._free = 0.0  # seconds of the meter that were set-up
        self._seconds: float | None = None  # of processor time that are allowed; None: during set-up
        self._slept = 0.0  # seconds by the clock that it was asked for an answer and did not work on it
        self._asked = True  # for an answer that has not come
        threading.Thread(target=self._watch, daemon=True).start()

    def _command(self, unsafe: bool, image: str | None) -> tuple[list[str], dict[str, str] | None]:
        """What is run, and its environment; nothing is imported from where a process starts."""
        numbers = [str(number) for number in (self.limits.memory, self.limits.processes, self.limits.disk)]
        worker = ["-P", "-m", WORKER, *numbers]
        if image is not None and self.container is not None:
            return [*container(self.limits, image, self.container), *worker], None
        if unsafe:
            return module_command(WORKER, *numbers), module_environment()
        environment = {"PATH": os.environ.get("PATH", os.defpath)}  # /proc/1 shows it to the sandbox
        return [*bubblewrap(self.limits), sys.executable, *worker], environment

    # ----------------------------------------------------------------------------------------------- its time

    def allow(self, seconds: float) -> None:
        """From now on so many seconds of processor time, and `patience` times as many of sleep; before was free.

        Raises:
            Stopped: the process is gone.
        """
        self.ask({"do": "limit", "seconds": math.ceil(seconds)})
        self._slept, self._free, self._seconds = 0.0, self._meter.look(), seconds

    @property
    def used(self) -> float:
        """Seconds of its allowance that are gone: of processor time, or of sleep where that is much more."""
        if self._seconds is None:
            return 0.0
        return max(self._meter.look() - self._free, self._slept / self.limits.patience)

    def _reason(self) -> str | None:
        """Why it must end now, or None."""
        if self._seconds is None:
            if self._slept >= SET_UP:
                return f"{NO_ANSWER}: it slept for more than {SET_UP:g} seconds before it was set up."
        elif self._meter.seconds - self._free > self._seconds:
            return f"{OUT_OF_TIME}: more than {self.limits.seconds:g} seconds of processor time."
        elif self._slept >= self._seconds * self.limits.patience:
            return f"{NO_ANSWER}: it slept for more than {self.limits.seconds * self.limits.patience:g} seconds."
        if memory_of(self._meter.family) > self.limits.memory:
            return f"Out of memory: its processes together hold more than {self.limits.memory:,} bytes."
        return None

    def _watch(self) -> None:
        """Kill it when its time is over or its processes together hold too much; writing to it then fails."""
        before = time.monotonic()
        while not self.closed.wait(WATCH):
            self._meter.look()
            now = time.monotonic()
            if self._asked and self._meter.asleep:
                self._slept += min(now - before, MOST)  # the grader itself may not have been let to work
            before = now
            self.why = self._reason()
            if self.why is not None:
                self._kill()
                return

    # ------------------------------------------------------------------------------------------------ its end

    def _kill(self) -> None:
        if self.container is not None:  # killing the client leaves the container alive
            subprocess.run([container_tool(), "kill", self.container], capture_output=True, check=False)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter on macOS, of one that has ended
            os.killpg(self.process.pid, signal.SIGKILL)  # with bubblewrap's own process all others in it go

    def _ended(self) -> str:
        """Why its process is gone: the watch knows, or how it ended tells that the system's limit on time did it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.process.wait(10) in (-signal.SIGXCPU, 128 + signal.SIGXCPU) and self.why is None:
                return f"{OUT_OF_TIME}: more than {self.limits.seconds:g} seconds of processor time."
        return self.why or ENDED

    def __enter__(self) -> Sandbox:
        try:
            self._answer()  # it is ready
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
        self.process.wait()

    # ------------------------------------------------------------------------------------------------ messages

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and wait for its answer.

        Raises:
            Stopped: out of time, or the process is gone, or it answers with nonsense.
        """
        self._asked = True
        try:
            write(self.process.stdin, message)
        except (BrokenPipeError, OSError):
            raise Stopped(self._ended()) from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        handle = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            if not select.select([handle], [], [], WATCH)[0]:
                if self.why is not None:
                    raise Stopped(self.why)
                continue
            part = os.read(handle, 1 << 20)
            if not part:
                raise Stopped(self._ended())
            self.buffer += part
            if len(self.buffer) > REPLY:
                raise Stopped("The submission answered with too much.")
        self._asked = False
        line, _, self.buffer = self.buffer.partition(b"\n")
        try:
            return parse(line)
        except WireError as error:
            raise Stopped(f"The submission's process answered with nonsense. {error}") from None


class RemoteFunction:
    """A submission's function: called here, run in its sandbox. A hidden test can use it like any function."""

    remote = True  # models go there as recipes, see `wire.made_for`

    def __init__(self, sandbox: Sandbox, variable: str) -> None:
        self.sandbox, self.variable = sandbox, variable

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
        reply = self.sandbox.ask({**message, "variable": self.variable})
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
