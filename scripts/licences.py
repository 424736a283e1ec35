"""The licence of everything that the book installs or carries: python scripts/licences.py

Packages are asked by pip-licenses in this environment; third-party files of the site are those of scripts/vendor.py;
data and fonts have their licences on their cards. Writes book/_licences.md, which the page "Licences" includes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "book" / "_licences.md"
VENDORED = {"mathjax": "Apache-2.0", "reveal.js": "MIT"}  # as their own LICENSE files, carried beside them, say
LONG = 60  # letters of a licence that are shown: some packages put the whole text there


def locked(name: str = "requirements.txt") -> dict[str, str]:
    """{package: version} of a lock file, names as pip normalises them."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return {_normal(m[1]): m[2] for m in re.finditer(r"^([A-Za-z0-9_.\-\[\]]+)==([^\s;\\]+)", text, re.MULTILINE)}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.split("[")[0]).lower()


def installed() -> dict[str, dict[str, str]]:
    """What pip-licenses says of this environment: {package: {"Name", "Version", "License"}}."""
    command = [sys.executable, "-m", "piplicenses", "--format=json", "--from=mixed", "--with-system"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {_normal(row["Name"]): row for row in rows}


def lines() -> list[str]:
    """The tables."""
    from firsthand.data.readers.glyphs import faces

    found, wanted, tests = installed(), locked(), locked("requirements-test.txt")
    text = ["## Packages", "", "| Package | Version | Licence |", "|---|---|---|"]
    for name, version in sorted({**tests, **wanted}.items()):
        row = found.get(name)
        licence = "(of another platform or Python)" if row is None else row["License"].split("\n")[0]
        licence = "(its metadata do not say)" if licence == "UNKNOWN" else licence
        only = "" if name in wanted else " (tests only)"
        text.append(f"| {name}{only} | {version} | {licence[:LONG]} |")
    text += ["", "## Files of others on the site", "", "| File | Version | Licence |", "|---|---|---|"]
    sys.path.insert(0, str(ROOT / "scripts"))
    from vendor import FILES

    versions = {package: version for package, version, *_ in FILES}
    text += [f"| {package} | {version} | {VENDORED[package]} |" for package, version in versions.items()]
    text += ["", "## Fonts whose glyphs ship", "", "| Font | Maker | Licence |", "|---|---|---|"]
    text += [
        f"| {font['name']} | {font['maker']} | {font['licence']} |" for font in faces() if font["side"] != "refused"
    ]
    return text


if __name__ == "__main__":
    TARGET.write_text("\n".join(lines()) + "\n", encoding="utf-8")
    print(TARGET.relative_to(ROOT))
