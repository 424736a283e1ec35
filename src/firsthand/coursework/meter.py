"""What a process and all that descend from it use of the machine: processor time and memory, from Linux's /proc."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

LINUX = sys.platform.startswith("linux")


def tree(root: int) -> dict[int, float]:
    """A process and all that descend from it: the seconds that each, and the children that it waited for, computed."""
    children: dict[int, list[int]] = {}
    seconds: dict[int, float] = {}
    tick = os.sysconf("SC_CLK_TCK")
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                stat = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
                words = stat.rpartition(")")[2].split()
                children.setdefault(int(words[1]), []).append(int(entry.name))
                seconds[int(entry.name)] = sum(map(int, words[11:15])) / tick
    family = [root]
    for process in family:
        family += children.get(process, [])
    return {process: seconds.get(process, 0.0) for process in family}


def memory_of(root: int) -> int:
    """Bytes that a process and all its descendants hold, shared pages counted once; 0 where that cannot be told."""
    total = 0
    for process in tree(root) if LINUX else []:
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
        self.root, self.seconds, self._before = root, 0.0, 0.0
        self._lock = threading.Lock()

    def look(self) -> float:
        """Seconds since the start."""
        with self._lock:
            now = sum(tree(self.root).values()) if LINUX else 0.0
            self.seconds += max(0.0, now - self._before)
            self._before = now
            return self.seconds
