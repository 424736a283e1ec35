"""Run parts of the checks, one after the other, and say how long each took: python scripts/test.py [--record] PART …

Stops at the first part that fails. pytest's closing line is the last word. With --record, times and the weights of
pages are kept for the book's page of run times if all passed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
RECORD = ROOT / "src" / "firsthand" / "evidence" / "checks.json"

PYTEST = [str(BIN / "python"), "-m", "pytest"]
THREADS = os.environ.setdefault("OMP_NUM_THREADS", "1")
PARALLEL = ["-n", "2" if THREADS == "1" else "1", "--dist", "loadscope"]  # two by two would wait for each other
PARTS: dict[str, list[list[str]]] = {
    "lint": [[str(BIN / "ruff"), "check", "."], [str(BIN / "ruff"), "format", "--check", "."]],
    "types": [[str(BIN / "mypy")]],
    "imports": [[str(BIN / "lint-imports")]],
    "fast": [[*PYTEST, *PARALLEL, "-m", "not slow and not browser and not gpu", "tests"]],
    "unit": [[*PYTEST, *PARALLEL, "-m", "not browser and not gpu", "tests"]],
    "site": [[str(BIN / "jupyter-book"), "build", "--warningiserror", "--keep-going", "--quiet", "--all", "."]],
    "notebooks": [
        [*PYTEST, *PARALLEL, "-p", "no:cacheprovider", "-W", "default", "--nbval", "--nbval-current-env",
         "--nbval-cell-timeout", "300", "notebooks"]
    ],
    "browser": [[*PYTEST, "-m", "browser", "--timeout", "600", "tests/book"]],
    "torture": [[*PYTEST, "--durations", "0", "tests/torture", "tests/scale"]],
    "gpu": [[*PYTEST, "-m", "gpu", "-rs", "tests"]],
}  # fmt: skip


def run(part: str) -> tuple[bool, float, str]:
    """Run one part; return whether it passed, its seconds and its last line."""
    begin, last = time.perf_counter(), ""
    for command in PARTS[part]:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
        code = process.wait()
        if code == 5 and part == "gpu":  # pytest: nothing collected
            last = "no test needs an accelerator"
        elif code != 0:
            return False, time.perf_counter() - begin, last
    return True, time.perf_counter() - begin, last


def weights(site: Path) -> dict[str, float]:
    """Megabytes of each notebook's page with its pictures, by the name of the notebook without its number."""
    found = {}
    for page in sorted(site.glob("notebooks/*.html")):
        sources = re.findall(r'<img[^>]+src="([^":]+)"', page.read_text(encoding="utf-8"))
        pictures = {page.parent.joinpath(source).resolve() for source in sources}
        total = page.stat().st_size + sum(file.stat().st_size for file in pictures if file.is_file())
        found[page.stem.partition("_")[2]] = round(total / 1e6, 2)
    return found


def write(times: list[tuple[str, float]]) -> None:
    """Keep the seconds of each part, where they were measured, and what pages weigh."""
    from firsthand.kit.lab.provenance import processor

    content = {
        "processor": processor(), "cores": os.cpu_count(), "threads": int(THREADS),
        "seconds": {part: round(spent, 1) for part, spent in times}, "pages": weights(ROOT / "_build" / "html"),
    }  # fmt: skip
    RECORD.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main(parts: list[str]) -> int:
    record = "--record" in parts
    parts = [part for part in parts if part != "--record"]
    times, closing, passed = [], "", True
    for part in parts:
        print(f"\n=== {part}", flush=True)
        passed, seconds, last = run(part)
        times.append((part, seconds))
        if " passed" in last or " failed" in last or not passed:
            closing = last
        if not passed:
            break
    print("\n=== seconds by part")
    for part, seconds in times:
        print(f"{part:<10} {seconds:7.1f}")
    print(f"{'in all':<10} {sum(s for _, s in times):7.1f}\n")
    if passed and record:
        write(times)
    print(closing)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
