"""What a process and all that descend from it use of the machine: processor time and memory, from Linux's /proc."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

LINUX = sys.platform.startswith("linux")
AT_WORK = "RD"  # states of a process that computes, waits for a processor, or for a disk


class Use(NamedTuple):
    """Of a process: seconds that it, and the children that it waited for, computed; and its state, one letter."""

    seconds: float
    state: str


def tree(root: int) -> dict[int, Use]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    uses: dict[int, Use] = {}
    tick = os.sysconf("SC_CLK_TCK")
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                stat = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
                words = stat.rpartition(")")[2].split()
                children.setdefault(int(words[1]), []).append(int(entry.name))
                uses[int(entry.name)] = Use(sum(map(int, words[11:15])) / tick, words[0])
    family = [root]
    for process in family:
        family += children.get(process, [])
    return {process: uses[process] for process in family if process in uses}


def memory_of(processes: Iterable[int]) -> int:
    """Bytes that processes hold together, shared pages counted once; what cannot be told counts as 0."""
    total = 0
    for process in processes:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines():
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += 1024 * int(line.split()[1])
    return total


class Meter:
    """Processor seconds of a process and all that descend from it, looked at again and again.

    Only what is added from one look to the next counts: a child whose parent did not wait for it leaves the sum.
    Where there is no /proc it stays 0, and the system's limit on each process does the work.
    """

    def __init__(self, root: int) -> None:
        self.root, self.seconds = root, 0.0
        self.family: dict[int, Use] = {}
        self._before = 0.0
        self._lock = threading.Lock()

    def look(self) -> float:
        """Seconds since the start."""
        with self._lock:
            self.family = tree(self.root) if LINUX else {}
            now = sum(use.seconds for use in self.family.values())
            self.seconds += max(0.0, now - self._before)
            self._before = now
            return self.seconds

    @property
    def asleep(self) -> bool:
        """Whether none was at work when last looked at: neither computing nor waiting for a processor."""
        return not any(use.state in AT_WORK for use in self.family.values())
