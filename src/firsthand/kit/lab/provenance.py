"""Where values were measured: the commit, the machine's kind, the versions."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from firsthand.chapters import PACKAGE

LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "hdbscan")


def commit() -> str | None:
    """The commit of the repository around this package, or None outside one."""
    found = subprocess.run(
        ["git", "-C", str(PACKAGE), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or None


def environment(workers: int, processors: set[str]) -> dict[str, Any]:
    """What evidence says of the machine; `processors` are the kinds that its cells were measured on."""
    return {
        "processor": ", ".join(sorted(processors)) or processor(),
        "cores": os.cpu_count(),
        "threads": 1,
        "workers": workers,
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in LIBRARIES},
    }


def processor() -> str:
    """The processor's model name; never the machine's own name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
