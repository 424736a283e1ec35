"""Evidence files: one JSON file a chapter, `firsthand/evidence/<chapter>.json`, read, checked and written.

A row keeps the hash of the code that gave it, or by which it was last found again, so that a change to the code makes
stale the rows that reach it and no others.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from importlib import resources
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from firsthand.chapters import PACKAGE, chapter
from firsthand.errors import UserError
from firsthand.kit.files import write_atomically
from firsthand.kit.lab.claims import Claim, Curve, Verdict, verdict
from firsthand.kit.lab.fingerprint import code_hash

SCHEMA_VERSION = 2
#: What a row says of its claim without changing what was measured or how it is judged.
LABELS = ("sentence", "source", "metric", "unit", "paper")
TERMS = ("rule", "target", "tolerance")


def claims_of(key: str) -> list[Claim]:
    """The claims of a chapter."""
    return importlib.import_module(f"firsthand.{chapter(key).key}.lab.claims").CLAIMS


def curves_of(key: str) -> list[Curve]:
    """The curves of a chapter, if it has any."""
    return getattr(importlib.import_module(f"firsthand.{chapter(key).key}.lab.claims"), "CURVES", [])


def current_codes(key: str) -> dict[str, str]:
    """{id of a claim: hash of the code that would measure it now}."""
    return {claim.id: code_hash(claim.measure) for claim in claims_of(key)}


def curve_codes(key: str) -> dict[str, str]:
    """The same for the chapter's curves."""
    return {curve.id: code_hash(curve.measure) for curve in curves_of(key)}


# ---------------------------------------------------------------------------------------------- reading


def evidence_file(key: str) -> Path:
    """Where a chapter's evidence is written."""
    return PACKAGE / "evidence" / f"{chapter(key).key}.json"


def elsewhere_file(key: str) -> Path:
    """Where the same measurement, made by the same code on another kind of processor, is kept."""
    return PACKAGE / "evidence" / "elsewhere" / f"{chapter(key).key}.json"


def elsewhere(key: str) -> dict[str, dict[str, Any]]:
    """{claim: row} of that measurement, of rows that the same code gave; empty where there is none.

    Rounding differs between processors; a search or a training that amplifies it takes another path there, so a value
    counts as found again where it is what either kind gave.
    """
    if not elsewhere_file(key).is_file():
        return {}
    there = parse(elsewhere_file(key).read_text(encoding="utf-8"), f"evidence/elsewhere/{key}.json")
    here = {row["id"]: row["measured"]["code"] for row in load(key)["claims"]}
    return {row["id"]: row for row in there["claims"] if row["measured"]["code"] == here.get(row["id"])}


def load(key: str) -> dict[str, Any]:
    """The chapter's evidence, checked against the schema.

    Raises:
        UserError: no such file, not JSON, or not of the schema; the sentence says where.
    """
    source = resources.files("firsthand.evidence").joinpath(f"{chapter(key).key}.json")
    if not source.is_file():
        raise UserError(f"No evidence for {key} yet: make it with `firsthand evidence {key}`.")
    return parse(source.read_text(encoding="utf-8"), f"evidence/{key}.json")


def parse(text: str, name: str) -> dict[str, Any]:
    """Evidence from text; `name` is used in the error sentence."""
    try:
        content = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise UserError(f"{name} is damaged, it is not JSON ({error}); restore it from the repository.") from None
    schema = json.loads(resources.files("firsthand.evidence").joinpath("schema.json").read_text(encoding="utf-8"))
    problem = next(iter(sorted(Draft202012Validator(schema).iter_errors(content), key=lambda e: list(e.path))), None)
    if problem is not None:
        where = "/".join(str(part) for part in problem.absolute_path) or "the top"
        raise UserError(f"{name} is damaged at {where}: {problem.message[:200]}.")
    return content


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def row_verdict(row: dict[str, Any]) -> Verdict:
    """The verdict of a stored row, computed from its raw values."""
    if row["not_tested"] is not None:
        return Verdict("not tested", math.nan, math.nan, math.nan, 0)
    return verdict(row["method"], row["baseline"], rule=row["rule"], target=row["target"], tolerance=row["tolerance"])


def counts(content: dict[str, Any], *sources: str) -> dict[str, int]:
    """{verdict: number of claims}, all four verdicts present; of sources ("paper", "code", "ours"), or of all."""
    names = [row["verdict"] for row in content["claims"] if not sources or row["source"] in sources]
    return {name: names.count(name) for name in ("holds", "fails", "inconclusive", "not tested")}


def stale_rows(content: dict[str, Any]) -> list[str]:
    """Ids of the rows whose code has changed since they were measured, or were last found again."""
    codes = current_codes(content["chapter"])
    return [row["id"] for row in content["claims"] if row["code"] != codes.get(row["id"])]


def is_stale(content: dict[str, Any]) -> bool:
    """True where any row is stale."""
    return bool(stale_rows(content))


# ---------------------------------------------------------------------------------------------- writing


def reword(content: dict[str, Any]) -> dict[str, Any]:
    """The same evidence with the claims' present wording and labels; refused where more than that has changed."""
    claims = {claim.id: claim for claim in claims_of(content["chapter"])}
    if changed := [row["id"] for row in content["claims"] if not same_terms(row, claims.get(row["id"]))]:
        raise UserError(f"More than the wording of {', '.join(changed)} has changed: measure anew.")
    return {**content, "claims": [relabelled(row, claims[row["id"]]) for row in content["claims"]]}


def same_terms(row: dict[str, Any], claim: Claim | None) -> bool:
    """Is a stored row judged as the claim is now?"""
    return claim is not None and all(row[name] == getattr(claim, name) for name in TERMS)


def relabelled(row: dict[str, Any], claim: Claim) -> dict[str, Any]:
    """A stored row with its claim's present words."""
    return {**row, **{name: getattr(claim, name) for name in LABELS}, "repeats_within": claim.repeats_within}


def save(content: dict[str, Any]) -> Path:
    """Write an evidence file atomically, after checking it."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    parse(text, "the new evidence")
    path = evidence_file(content["chapter"])
    write_atomically(path, _compact_lists(text))
    return path


def _compact_lists(text: str) -> str:
    """Put innermost lists of numbers, and where a row was measured, on one line: values stay readable, files small."""
    text = re.sub(r'"measured": \{[^{}]*\}', lambda match: re.sub(r"\n\s*", " ", match[0]), text)
    lines, buffer = [], ""
    for line in text.splitlines():
        if line.rstrip().endswith("[") and not buffer:
            buffer = line.rstrip()
        elif buffer and line.strip().rstrip(",") in ("]",):
            lines.append(buffer.rstrip(" ") + line.strip())
            buffer = ""
        elif buffer and line.strip()[-1] in "{[":
            lines += [buffer, line]
            buffer = ""
        elif buffer:
            buffer += ("" if buffer.endswith("[") else " ") + line.strip()
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"
