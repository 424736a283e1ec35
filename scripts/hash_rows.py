"""Once: give every stored row its own hash, while the hash of the whole chapter shows that it is of the present code.

python scripts/hash_rows.py. The chapter's hash is computed as commit 704e170 computes it, over the files that a
chapter's experiment imports.
"""

import json
import subprocess
import sys
import types
from pathlib import Path

from firsthand.chapters import PACKAGE, chapters
from firsthand.errors import UserError
from firsthand.kit import evidence

BEFORE = "704e170"


def whole_hash(key: str) -> str:
    """The chapter's hash as it was defined before."""
    code = subprocess.run(
        ["git", "show", f"{BEFORE}:src/firsthand/kit/fingerprint.py"], capture_output=True, text=True, check=True
    ).stdout
    module = types.ModuleType("before")
    exec(compile(code, "before", "exec"), module.__dict__)  # noqa: S102, the repository's own code
    return module.code_hash(f"firsthand.{key}.experiment")


def main() -> None:
    for key in chapters():
        for file in (evidence.evidence_file(key), evidence.elsewhere_file(key)):
            if not file.is_file():
                continue
            content = json.loads(file.read_text(encoding="utf-8"))
            last, now = [content, *content.get("confirmed", [])][-1]["code"], whole_hash(key)
            if file.parent.name != "elsewhere" and last != now:
                sys.exit(f"{key}: stored {last}, present code {now}")
            print(f"{file.relative_to(PACKAGE)}: of the present code ({last})")
            store(key, content, file)


def store(key: str, content: dict, file: Path) -> None:
    rows, curves = evidence.current_codes(key), evidence.curve_codes(key)
    measured = {
        "commit": content["commit"], "code": content.pop("code"), "processor": content["environment"]["processor"],
    }  # fmt: skip
    content["schema"] = evidence.SCHEMA_VERSION
    for row in content["claims"]:
        numbers = {name: row.pop(name) for name in ("estimate", "low", "high", "verdict")}
        row.update(code=rows[row["id"]], measured=measured, **numbers)
    for row in content["curves"]:
        row["code"] = curves.get(row["id"], "0" * 16)
    for entry in content.get("confirmed", []):
        entry.pop("code")
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    try:
        evidence.parse(text, file.name)
    except UserError as error:
        sys.exit(str(error))
    file.write_text(evidence._compact_lists(text), encoding="utf-8")


if __name__ == "__main__":
    main()
