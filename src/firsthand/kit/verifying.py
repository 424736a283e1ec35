"""Measuring stored evidence again, and saying where it differs; code that changes no value is confirmed so."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import joblib

from firsthand.errors import UserError
from firsthand.kit.claims import Claim
from firsthand.kit.evidence import claims_of, current_hash, elsewhere, is_stale, load, measure_cell, processor
from firsthand.kit.provenance import commit


def differs(claim: Claim, row: dict[str, Any], seed: int, other: dict[str, Any] | None = None) -> str | None:
    """Recompute one cell and say how it differs from the stored one, or None.

    Args:
        claim: what to measure. row: what is stored of it. seed: which cell.
        other: the row as another kind of processor gave it, from `elsewhere`; its value is as good.
    """
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


def verify(key: str, *, workers: int = 1) -> list[str]:
    """Recompute every stored cell of a chapter; return the differences, one sentence each."""
    content = load(key)
    by_id = {claim.id: claim for claim in claims_of(key)}
    unknown = [row["id"] for row in content["claims"] if row["id"] not in by_id]
    if unknown:
        return [f"{name}: stored, but no longer a claim" for name in unknown]
    there = elsewhere(key)
    jobs: Iterable[Any] = (
        joblib.delayed(_differs_by_name)(key, row, seed, there.get(row["id"]))
        for row in content["claims"]
        for seed in row["seeds"]
    )
    return [line for line in joblib.Parallel(n_jobs=workers)(jobs) if line]


def _differs_by_name(key: str, row: dict[str, Any], seed: int, other: dict[str, Any] | None) -> str | None:
    claim = next(claim for claim in claims_of(key) if claim.id == row["id"])
    return differs(claim, row, seed, other)


def confirm(key: str, *, minutes: float = 30.0) -> dict[str, Any]:
    """The same evidence, said to be of the present code too, after a part of it was found again.

    For changes that should change no value, such as a clearer refusal in a loader. A seed is drawn by lot from the new
    code's hash, and its claims are measured again, in their order since they share what is costly, until time is up. On
    the processor that measured them, values must be the same to the last digit.

    Args:
        key: chapter. minutes: after which no further claim is begun.

    Raises:
        UserError: nothing has changed, claims have, or a value was not found again.
    """
    content, by_id = load(key), {claim.id: claim for claim in claims_of(key)}
    if not is_stale(content):
        raise UserError(f"The evidence of {key} is of the present code: there is nothing to confirm.")
    for row in content["claims"]:
        claim = by_id.get(row["id"])
        same = claim and all(getattr(claim, name) == row[name] for name in ("rule", "target", "tolerance"))
        if not same or len(by_id) != len(content["claims"]):
            raise UserError(f"The claims of {key} have changed: measure anew.")
    code, begin = current_hash(key), time.monotonic()
    there = processor() == content["environment"]["processor"]
    seed = random.Random(code).randrange(5)
    rows = [row for row in content["claims"] if seed in row["seeds"] and row["not_tested"] is None]
    found = 0
    for row in rows:
        if time.monotonic() - begin > 60 * minutes:
            break
        claim = by_id[row["id"]]
        wrong = differs(replace(claim, repeats_within=0.0) if there else claim, row, seed)
        if wrong:
            raise UserError(f"The present code gives other values, so measure anew: {wrong}.")
        found += 1
    entry = {"code": code, "commit": commit(), "seed": seed, "claims": found}
    return {**content, "confirmed": [*content.get("confirmed", []), entry]}
