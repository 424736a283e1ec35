"""Fetch the site's third-party files: exact npm versions, checked against the checksums below.

    python scripts/vendor.py

The files are committed; run this only to change a version. Needs npm.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

LIB = Path(__file__).parents[1] / "book" / "_static" / "lib"

#: package, version, file in the package, file in book/_static/lib, SHA-256
FILES = [
    (
        "mathjax",
        "3.2.2",
        "es5/tex-svg.js",
        "mathjax/tex-svg.js",
        "d4295dc33744836935c1399feece5159577b34c5c8ffb9f1c6324cd82e03a882",
    ),
    (
        "mathjax",
        "3.2.2",
        "LICENSE",
        "mathjax/LICENSE",
        "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
    ),
    (
        "reveal.js",
        "5.2.1",
        "dist/reveal.js",
        "reveal/dist/reveal.js",
        "46538b52db48724192f59bf46f5e851a18e302777c46f4a34c32709d010d6a29",
    ),
    (
        "reveal.js",
        "5.2.1",
        "dist/reveal.css",
        "reveal/dist/reveal.css",
        "68f915a11ebf7203c0446576b7e952ff61c5dd02134a8a226ffaf62ed42136d2",
    ),
    (
        "reveal.js",
        "5.2.1",
        "plugin/notes/notes.js",
        "reveal/plugin/notes/notes.js",
        "df1201d19d03241a2897d39c3d38768177df1cbd4bde06327b321cb83461ae89",
    ),
    (
        "reveal.js",
        "5.2.1",
        "LICENSE",
        "reveal/LICENSE",
        "34014800f4126ac2525e224166f099f26628612e95c41f76d70841b63138c989",
    ),
]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        for package, version, source, target, checksum in FILES:
            packed = subprocess.run(
                ["npm", "pack", f"{package}@{version}", "--silent", "--pack-destination", folder],
                capture_output=True,
                text=True,
                check=True,
            )
            with tarfile.open(Path(folder) / packed.stdout.strip().splitlines()[-1]) as archive:
                member = archive.extractfile(f"package/{source}")
                if member is None:
                    raise SystemExit(f"{package} {version} has no {source}")
                content = member.read()
            found = hashlib.sha256(content).hexdigest()
            if found != checksum:
                print(f"{target}: expected {checksum}, got {found}", file=sys.stderr)
                return 1
            (LIB / target).parent.mkdir(parents=True, exist_ok=True)
            (LIB / target).write_bytes(content)
            print(f"{target}: {len(content)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
