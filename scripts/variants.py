"""Unit tests and notebooks as other machines would run them: python scripts/variants.py [NAME …]

two-threads   two threads for every operation instead of one
plain         a processor without vector instructions, as far as torch can pretend (ATEN_CPU_CAPABILITY=default)
newest        the newest versions that pyproject.toml admits, in an environment of its own
python3.12, python3.13
              the locked versions under another Python, where the machine has one

What a notebook prints and nbval compares must not depend on any of these. Says at the end what passed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = ("two-threads", "plain", "newest", "python3.12", "python3.13")
SETTINGS = {"two-threads": {"OMP_NUM_THREADS": "2"}, "plain": {"ATEN_CPU_CAPABILITY": "default"}}
EXTRAS = ".[book,coursework,test]"


def environment(name: str, folder: Path) -> Path | None:
    """The interpreter of a variant; None where the machine has none. New ones are made in the folder."""
    if name in SETTINGS:
        return Path(sys.executable)
    other = shutil.which(name) if name.startswith("python") else sys.executable
    if other is None:
        return None
    subprocess.run([other, "-m", "venv", folder / name], check=True)
    python = folder / name / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if name == "newest":
        subprocess.run([*pip, "--editable", EXTRAS], cwd=ROOT, check=True)
    else:
        subprocess.run([*pip, "--require-hashes", "-r", "requirements-test.txt"], cwd=ROOT, check=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--editable", "."], cwd=ROOT, check=True)
    return python


def run(name: str) -> str:
    """Run one variant; what became of it."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        python = environment(name, Path(folder))
        if python is None:
            return "not on this machine"
        variables = {**os.environ, "OMP_NUM_THREADS": "1", **SETTINGS.get(name, {})}
        done = subprocess.run([python, "scripts/test.py", "unit", "notebooks"], cwd=ROOT, env=variables, check=False)
    return f"{'passed' if done.returncode == 0 else 'FAILED'} after {(time.monotonic() - begin) / 60:.0f} minutes"


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
