"""Unit tests and notebooks as other machines would run them: python scripts/variants.py [NAME …]

two-threads   two threads for every operation instead of one
plain         a processor without vector instructions, as far as torch can pretend (ATEN_CPU_CAPABILITY=default)
newest        the newest versions that pyproject.toml admits, in an environment of its own
python3.12, python3.13
              the locked versions under another Python, where the machine has one

What a notebook prints and nbval compares must not depend on any of these. Says at the end what passed. Environments of
their own are kept in `.variants`, several gigabytes each; remove that folder to be rid of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = ("two-threads", "plain", "newest", "python3.12", "python3.13")
SETTINGS = {"two-threads": {"OMP_NUM_THREADS": "2"}, "plain": {"ATEN_CPU_CAPABILITY": "default"}}
EXTRAS = ".[book,coursework,test]"
KEPT = ROOT / ".variants"


def runs(python: str | None) -> bool:
    """Whether an interpreter starts; what a version manager leaves in the path may not."""
    return (
        python is not None and subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0
    )


def environment(name: str) -> Path | None:
    """The interpreter of a variant; None where the machine has none. New environments are made in KEPT."""
    if name in SETTINGS:
        return Path(sys.executable)
    other = shutil.which(name) if name.startswith("python") else sys.executable
    if not runs(other):
        return None
    subprocess.run([str(other), "-m", "venv", KEPT / name], check=True)
    python = KEPT / name / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if name == "newest":
        subprocess.run([*pip, "--upgrade", "--upgrade-strategy", "eager", "--editable", EXTRAS], cwd=ROOT, check=True)
    else:
        subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", "requirements-test.txt"], cwd=ROOT, check=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--editable", "."], cwd=ROOT, check=True)
    return python


def run(name: str) -> str:
    """Run one variant; what became of it."""
    begin = time.monotonic()
    python = environment(name)
    if python is None:
        return "not on this machine"
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **SETTINGS.get(name, {})}
    failed = [
        part
        for part in ("unit", "notebooks")
        if subprocess.run([python, "scripts/test.py", part], cwd=ROOT, env=variables, check=False).returncode
    ]
    return (
        f"{'FAILED: ' + ', '.join(failed) if failed else 'passed'} after {(time.monotonic() - begin) / 60:.0f} minutes"
    )


def main(names: list[str]) -> int:
    unknown = set(names) - set(NAMES)
    if unknown:
        print(f"Unknown variant {min(unknown)!r}: choose of {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    found = {name: run(name) for name in names or NAMES}
    print("\n=== variants", *(f"{name:<12} {words}" for name, words in found.items()), sep="\n")
    return int(any(words.startswith("FAILED") for words in found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
