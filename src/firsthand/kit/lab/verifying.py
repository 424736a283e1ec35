"""Measuring stored evidence again, and saying where it differs; code that changes no value is confirmed so."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import torch

from firsthand.chapters import PACKAGE
from firsthand.errors import UserError
from firsthand.kit.lab.claims import Claim
from firsthand.kit.lab.evidence import (
    claims_of,
    current_codes,
    curve_codes,
    curves_of,
    elsewhere,
    load,
    same_terms,
)
from firsthand.kit.lab.measuring import curve_row, measure_cell
from firsthand.kit.lab.provenance import commit, processor


def differs(claim: Claim, row: dict[str, Any], seed: int, other: dict[str, Any] | None = None) -> str | None:
    """Recompute one cell and say how it differs from the stored one, or None.

    Args:
        claim: what to measure. row: what is stored of it. seed: which cell.
        other: the row as another kind of processor gave it, from `elsewhere`; its value is as good.
    """
    torch.set_num_threads(1)  # as evidence is measured
    cell = measure_cell(claim, seed)
    if cell["not_tested"] is not None:
        return None if row["not_tested"] else f"{claim.id}, seed {seed}: {cell['not_tested']}"
    found = [_difference(claim, kind, seed, cell) for kind in (row, other) if kind and seed in kind["seeds"]]
    return None if None in found else found[0]


def _difference(claim: Claim, row: dict[str, Any], seed: int, cell: dict[str, Any]) -> str | None:
    index = row["seeds"].index(seed)
    stored = [row["method"][index], None if row["baseline"] is None else row["baseline"][index]]
    for what, old, new in zip(("method", "baseline"), stored, (cell["method"], cell["baseline"]), strict=True):
        if not _same(old, new, claim.repeats_within):
            return f"{claim.id}, seed {seed}, {what}: stored {old}, recomputed {new}"
    return None


def _same(old: Any, new: Any, tolerance: float) -> bool:
    if old is None or new is None:
        return old is new
    pairs = zip(old, new, strict=True) if isinstance(old, list) else [(old, new)]
    # A last-digit difference between processors is not a different result.
    return all(math.isclose(a, b, rel_tol=1e-9, abs_tol=max(tolerance, 1e-12)) for a, b in pairs)


def verify(key: str, *, workers: int = 1, only: str | None = None) -> list[str]:
    """Recompute every stored cell of a chapter, or of one claim; return the differences, one sentence each.

    Raises:
        UserError: no such claim.
    """
    content = load(key)
    rows = [row for row in content["claims"] if only in (None, row["id"])]
    if not rows:
        raise UserError(f"{key} has no claim {only!r}; its rows are in the book's evidence.")
    by_id = {claim.id: claim for claim in claims_of(key)}
    unknown = [row["id"] for row in content["claims"] if row["id"] not in by_id]
    if unknown:
        return [f"{name}: stored, but no longer a claim" for name in unknown]
    there = elsewhere(key)
    jobs: Iterable[Any] = (
        joblib.delayed(_differs_by_name)(key, row, seed, there.get(row["id"])) for row in rows for seed in row["seeds"]
    )
    return [line for line in joblib.Parallel(n_jobs=workers)(jobs) if line]


def _differs_by_name(key: str, row: dict[str, Any], seed: int, other: dict[str, Any] | None) -> str | None:
    claim = next(claim for claim in claims_of(key) if claim.id == row["id"])
    return differs(claim, row, seed, other)


#: Measures a cell by the code that PYTHONPATH leads to, and says which code that was.
ELSEWHERE = """
import json, sys
import torch
try:
    from firsthand.kit.lab import evidence
    from firsthand.kit.lab.measuring import measure_cell
except ImportError:  # a commit older than these rooms
    from firsthand.kit import evidence
    try:
        from firsthand.kit.measuring import measure_cell
    except ImportError:
        from firsthand.kit.evidence import measure_cell
torch.set_num_threads(1)
key, name, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
claim = next(claim for claim in evidence.claims_of(key) if claim.id == name)
code = evidence.current_codes(key)[name] if hasattr(evidence, "current_codes") else evidence.current_hash(key)
cell = measure_cell(claim, seed)
print(json.dumps([code, {"method": cell["method"], "baseline": cell["baseline"]}]))
"""

#: The hashes of all rows by the code that PYTHONPATH leads to: as it is, and as if names were others.
RENAMED = """
import json, sys
try:
    from firsthand.kit.lab.evidence import claims_of, curves_of
    from firsthand.kit.lab.fingerprint import code_hash, identifiers
except ImportError:  # a commit older than these rooms
    from firsthand.kit.evidence import claims_of, curves_of
    from firsthand.kit.fingerprint import code_hash, identifiers
key, renames = sys.argv[1], json.loads(sys.argv[2])
items = [("", c) for c in claims_of(key)] + [("curve:", c) for c in curves_of(key)]
new = {".".join([*old.split(".")[:-1], name]) for old, name in renames.items()}
taken = sorted(new & set().union(*(identifiers(c.measure) for _, c in items)))
print(json.dumps([{k + c.id: [code_hash(c.measure), code_hash(c.measure, renames)] for k, c in items}, taken]))
"""


def _run(script: str, source: Path, *arguments: str) -> Any:
    """What a script prints last, as JSON, with the package from `source`; in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-P", "-c", script, *arguments], check=True, capture_output=True, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(source)},
        )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def _measured_by(source: Path, key: str, claim: str, seed: int) -> tuple[str, dict[str, Any]]:
    """The code's hash and {"method", "baseline"} of a cell, in a process of its own."""
    code, cell = _run(ELSEWHERE, source, key, claim, str(seed))
    return code, cell


def differs_from_itself(key: str, claim: str, seed: int) -> bool:
    """Whether a cell has another value in every process, as a time has, or an encryption's error."""
    first, second = (_measured_by(PACKAGE.parent, key, claim, seed)[1] for _ in range(2))
    return any(not _same(first[what], second[what], 0.0) for what in ("method", "baseline"))


@contextmanager
def _at_commit(name: str) -> Iterator[Path]:
    """The sources of an earlier commit, for as long as they are needed.

    Raises:
        UserError: there is no such commit here, or its code does not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", str(PACKAGE), "worktree"]
        place = Path(folder) / "earlier"
        try:
            subprocess.run([*git, "add", "--detach", place, name], check=True, capture_output=True)
            yield place / "src"
        except (OSError, subprocess.CalledProcessError):
            raise UserError(f"The code of commit {name}, which measured the evidence, does not run here.") from None
        finally:
            subprocess.run([*git, "remove", "--force", place], check=False, capture_output=True)


def _by_earlier_code(key: str, row: dict[str, Any], seed: int) -> dict[str, Any]:
    """{"method", "baseline"} of a cell by the commit that measured its row, on this machine."""
    measured = row["measured"]
    with _at_commit(str(measured["commit"])) as source:
        code, cell = _measured_by(source, key, row["id"], seed)
    if code != measured["code"]:
        raise UserError(f"Commit {measured['commit']} is not the code that measured {row['id']}.")
    return cell


def confirm(key: str, *, minutes: float = 30.0) -> dict[str, Any]:
    """The same evidence, its stale rows said to be of the present code too, after a part of them was found again.

    For changes that should change no value. A seed is drawn by lot from the new code's hashes, and the stale rows are
    measured again at that seed, in their order since they share what is costly, until time is up. On the processor that
    measured them, values must be the same to the last digit, but for times and the like, which are not the same twice.
    On another, where rounding may have changed a value, the code that measured it is run here as well, and must give
    the new code's value. Curves, which no verdict rests on, may be added: a new one is measured then, at all seeds, and
    named.

    Args:
        key: chapter. minutes: after which no further claim is begun.

    Raises:
        UserError: nothing has changed, claims have, or a value was not found again.
    """
    content, codes, begin = load(key), current_codes(key), time.monotonic()
    by_id = _unchanged_claims(content)
    stale = [row for row in content["claims"] if row["code"] != codes[row["id"]]]
    curves, new = _with_new_curves(content)
    if not stale and curves == content["curves"]:
        raise UserError(f"The evidence of {key} is of the present code: there is nothing to confirm.")
    seed = random.Random("".join(codes.values())).randrange(5)
    again = 0
    for row in stale:
        if seed not in row["seeds"] or row["not_tested"] is not None:
            continue
        if time.monotonic() - begin > 60 * minutes:
            break
        if wrong := _not_found_again(key, by_id[row["id"]], row, seed):
            raise UserError(f"The present code gives other values, so measure anew: {wrong}.")
        again += 1
    entry = {"commit": commit(), "seed": seed, "claims": again, "rows": [row["id"] for row in stale]}
    return _confirmed(content, codes, curves, {**entry, **({"curves": new} if new else {})})


def confirm_renamed(key: str, renames: dict[str, str], earlier: str) -> dict[str, Any]:
    """The same evidence, its stale rows said to be of the present code too, since only names differ: this is proved.

    The code of an earlier commit, by which the rows are current, must become the present code, statement by statement,
    when the names are replaced; and no new name may have stood in it for anything else.

    Args:
        key: chapter. renames: {old: new} identifiers, "definition.old" for a name in one definition only.
        earlier: the commit before them.

    Raises:
        UserError: a new name was taken, or rows differ in more than names.
    """
    content, codes, of_curves = load(key), current_codes(key), curve_codes(key)
    with _at_commit(earlier) as source:
        before, taken = _run(RENAMED, source, key, json.dumps(renames))
    if taken:
        raise UserError(f"{', '.join(taken)} stood in the code before: a new name must be a new one.")
    rows = [row["id"] for row in content["claims"] if row["code"] != codes[row["id"]]]
    curves = [row["id"] for row in content["curves"] if row["code"] != of_curves[row["id"]]]
    stored = {row["id"]: row["code"] for row in content["claims"]}
    stored |= {"curve:" + row["id"]: row["code"] for row in content["curves"]}
    now = codes | {"curve:" + name: code for name, code in of_curves.items()}
    changed = [
        name for name in [*rows, *("curve:" + c for c in curves)] if before.get(name) != [stored[name], now[name]]
    ]
    if changed:
        raise UserError(f"More than names has changed in {', '.join(changed)}: use --confirm, or measure anew.")
    fresh = [{**row, "code": of_curves[row["id"]]} for row in content["curves"]]
    return _confirmed(content, codes, fresh, {"commit": commit(), "rows": rows, "renamed": renames})


def _confirmed(
    content: dict[str, Any], codes: dict[str, str], curves: list[dict[str, Any]], entry: dict[str, Any]
) -> dict[str, Any]:
    rows = [{**row, "code": codes[row["id"]]} for row in content["claims"]]
    return {**content, "claims": rows, "curves": curves, "confirmed": [*content.get("confirmed", []), entry]}


def _unchanged_claims(content: dict[str, Any]) -> dict[str, Claim]:
    """The present claims by id, if they judge every stored row as it was judged."""
    by_id = {claim.id: claim for claim in claims_of(content["chapter"])}
    if not all(same_terms(row, by_id.get(row["id"])) for row in content["claims"]):
        raise UserError(f"The claims of {content['chapter']} have changed: measure anew.")
    return by_id


def _not_found_again(key: str, claim: Claim, row: dict[str, Any], seed: int) -> str | None:
    """How a cell by the present code differs from the stored one, as `confirm` compares them, or None."""
    exact = replace(claim, repeats_within=0.0)
    if processor() == row["measured"]["processor"]:
        wrong = differs(exact, row, seed)
        return differs(claim, row, seed) if wrong and differs_from_itself(key, row["id"], seed) else wrong
    wrong = differs(claim, row, seed)
    if not wrong:
        return None
    before = _by_earlier_code(key, row, seed)
    refused = "by the earlier code, here" if before["method"] is None else None
    stored = {what: [value] for what, value in before.items()}
    return differs(exact, {**row, **stored, "seeds": [seed], "not_tested": refused}, seed)


def _with_new_curves(content: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Every curve that the present code has, and the ids of those that were measured just now."""
    torch.set_num_threads(1)  # as evidence is measured
    stored, codes = {row["id"]: row for row in content["curves"]}, curve_codes(content["chapter"])
    rows, new = [], []
    for curve in curves_of(content["chapter"]):
        row = stored.get(curve.id)
        if row is None or row["x"] != curve.x:
            row = curve_row(curve, [list(curve.measure(seed)) for seed in range(curve.seeds)], codes[curve.id])
            new.append(curve.id)
        rows.append({**row, "code": codes[curve.id]})
    return rows, new
