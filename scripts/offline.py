"""The built site as _build/firsthand.zip, which opens from a folder without a server: python scripts/offline.py"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SITE, TARGET = ROOT / "_build" / "html", ROOT / "_build" / "firsthand.zip"
MOMENT = (2026, 1, 1, 0, 0, 0)  # the same site gives the same file


def main() -> int:
    """Write the archive."""
    if not (SITE / "index.html").is_file():
        print("The site is not built: run `make book`.", file=sys.stderr)
        return 2
    with zipfile.ZipFile(TARGET, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(f for f in SITE.rglob("*") if f.is_file()):
            info = zipfile.ZipInfo(f"firsthand/{file.relative_to(SITE)}", MOMENT)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, file.read_bytes())
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
