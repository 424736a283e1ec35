"""The list of licences names what the lock files install, at their versions."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
locked = runpy.run_path(str(ROOT / "scripts" / "licences.py"))["locked"]


def test_every_locked_package_is_listed_with_its_version() -> None:
    text = (ROOT / "book" / "_licences.md").read_text(encoding="utf-8")
    listed = {m[1]: m[2] for m in re.finditer(r"^\| (\S+?)(?: \(tests only\))? \| (\S+) \|", text, re.MULTILINE)}
    wanted = {**locked("requirements-test.txt"), **locked()}
    assert len(wanted) > 200
    assert {name: listed.get(name) for name in wanted} == wanted, "run scripts/licences.py"


def test_what_is_under_the_gpl_alone_serves_the_tests_only() -> None:
    lines = (ROOT / "book" / "_licences.md").read_text(encoding="utf-8").splitlines()
    packages = lines[: lines.index("## Files of others on the site")]
    strict = [line for line in packages if re.search(r"\bA?GPL|GNU General", line) and "LGPL" not in line]
    assert [line.split("|")[1].strip() for line in strict if "BSD" not in line] == ["phe (tests only)"]
