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
