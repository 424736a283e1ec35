"""Measuring a chapter's claims over seeds, and keeping what is finished.

Every finished cell (a claim at a seed) is kept in a work folder with the hash of the code that measured it, so that a
killed run goes on where it stopped and values of different code never mix. Stored rows that the present code would
measure in the same way stay as they are.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from firsthand.errors import UserError
from firsthand.kit.files import write_atomically
from firsthand.kit.lab import evidence
from firsthand.kit.lab.cached import account
from firsthand.kit.lab.claims import Claim, Curve, NotTested
from firsthand.kit.lab.fingerprint import code_hash
from firsthand.kit.lab.provenance import commit, environment, processor
from firsthand.kit.lab.sweep import Task, alone, run

CURVE = "curve:"  # keeps a curve's cells apart from those of a claim of the same name
Cells = dict[str, Any]


def _work_file(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed:03d}.json"


def measure_cell(claim: Claim, seed: int) -> dict[str, Any]:
    """One claim at one seed: {"method", "baseline", "not_tested", "seconds", "alone"}.

    "seconds" is what it took here; "alone" adds what it took over from claims measured before it.
    """
    begin = time.perf_counter()
    with account() as cost:
        try:
            method, baseline = claim.measure(seed)
            cell: dict[str, Any] = {"method": method, "baseline": baseline, "not_tested": None}
        except NotTested as reason:
            cell = {"method": None, "baseline": None, "not_tested": str(reason)}
        seconds = time.perf_counter() - begin
        return {**cell, "seconds": round(seconds, 3), "alone": round(seconds + cost.saved, 3)}


def _items(key: str) -> dict[str, Claim | Curve]:
    """Claims and curves of a chapter by the names of their cells."""
    claims: dict[str, Claim | Curve] = {claim.id: claim for claim in evidence.claims_of(key)}
    return claims | {CURVE + curve.id: curve for curve in evidence.curves_of(key)}


def _kept(file: Path, codes: dict[str, str]) -> Cells:
    """The finished cells of a seed that the present code measured."""
    if not file.is_file():
        return {}
    try:
        cells = json.loads(file.read_text(encoding="utf-8"))
        return {name: cell for name, cell in cells.items() if cell["code"] == codes.get(name)}
    except (ValueError, TypeError, AttributeError, KeyError):
        raise UserError(
            f"{file.name} in {file.parent.name} is damaged: delete it, and its seed is measured anew."
        ) from None


def measure_seed(key: str, seed: int, names: list[str], folder: str, known: Cells | None = None) -> Cells:
    """All named claims at one seed, in one process so that they share what is costly; kept after each claim.

    Args:
        key, seed, names: what. folder: where cells are kept. known: cells that are finished elsewhere.
    """
    import torch

    torch.set_num_threads(1)
    file, items = _work_file(Path(folder), seed), _items(key)
    codes = {name: code_hash(items[name].measure) for name in names}
    cells: Cells = {**(known or {}), **_kept(file, codes)}
    for name in names:
        if name not in cells:
            item = items[name]
            values = measure_cell(item, seed) if isinstance(item, Claim) else {"values": list(item.measure(seed))}
            cells[name] = {**values, "code": codes[name], "processor": processor()}
            write_atomically(file, json.dumps(cells, allow_nan=False))
    return cells


def _measure_task(task: Task) -> Cells:
    return measure_seed(task.key, task.seed, task.names, task.folder, known=task.known)


def _seeds(needed: int, seeds: int) -> range:
    return range(1 if needed == 1 else max(needed, seeds))


def measure(
    key: str, *, seeds: int = 5, workers: int = 1, scheduler: str | None = None, progress: bool = True,
    anew: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Measure the claims of a chapter; return the content of its evidence file, not yet written.

    Args:
        key: chapter. seeds, workers, scheduler, progress, anew: as `measure_all`.
    """
    (content,) = measure_all([key], seeds=seeds, workers=workers, scheduler=scheduler, progress=progress, anew=anew)
    return content


def measure_all(
    keys: list[str], *, seeds: int = 5, workers: int = 1, scheduler: str | None = None, progress: bool = True,
    anew: bool = False,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Measure the claims of chapters; the content of each evidence file as soon as it is whole.

    Args:
        keys: chapters.
        seeds: at least so many seeds a claim; a claim may ask for more, and for 1 if nothing in it is random.
        workers: processes on this machine.
        scheduler: address of a Dask scheduler that does the work instead.
        progress: show a progress bar.
        anew: measure also the rows that the present code has measured already.
    """
    if seeds < 5:
        raise UserError(f"Evidence needs at least 5 seeds; got {seeds}.")
    at = commit()  # before: files may change while it goes on
    plans = {key: Plan(key, seeds, {} if anew else _valid_rows(key, seeds), at, workers) for key in keys}
    tasks = [task for plan in plans.values() for task in plan.tasks]
    done = run(tasks, _measure_task, workers=workers, scheduler=scheduler, progress=progress)
    with ExitStack() as locks:
        for key, plan in plans.items():
            locks.enter_context(alone(plan.folder, f"Another sweep measures {key} here: wait for it."))
        for plan in plans.values():
            cells = {}
            for task in plan.tasks:
                cells[task.seed] = next(done)
                kept = json.dumps(cells[task.seed], allow_nan=False)
                write_atomically(_work_file(plan.folder, task.seed), kept)
            yield plan.content(cells)
        next(done, None)  # closes the bar


def _valid_rows(key: str, seeds: int) -> dict[str, dict[str, Any]]:
    """Stored rows, of claims and of curves, that the present code would measure in the same way."""
    if not evidence.evidence_file(key).is_file():
        return {}
    content, items = evidence.load(key), _items(key)
    stored = {row["id"]: row for row in content["claims"]} | {CURVE + row["id"]: row for row in content["curves"]}
    return {name: row for name, row in stored.items() if name in items and _is_valid(row, items[name], seeds)}


def _is_valid(row: dict[str, Any], item: Claim | Curve, seeds: int) -> bool:
    if row["code"] != code_hash(item.measure):
        return False
    if isinstance(item, Curve):
        return row["x"] == list(item.x) and len(row["values"]) >= item.seeds
    return evidence.same_terms(row, item) and len(row["seeds"]) >= len(_seeds(item.seeds, seeds))


class Plan:
    """What is to be measured of a chapter, and its evidence file from that and from the rows that stay.

    Args:
        key: chapter. seeds: at least so many a claim. valid: rows that stay, by the names of their cells.
        at: the commit. workers: processes, for the file's account of the machine.
    """

    def __init__(self, key: str, seeds: int, valid: dict[str, dict[str, Any]], at: str | None, workers: int) -> None:
        self.key, self.seeds, self.valid, self.at, self.workers = key, seeds, valid, at, workers
        self.folder = (Path(".firsthand") / "evidence" / key).resolve()
        self.items = _items(key)
        self.codes = {name: code_hash(item.measure) for name, item in self.items.items()}
        self.tasks = self._tasks()

    def _tasks(self) -> list[Task]:
        """A task a seed; what it costs is guessed from the stored evidence, where there is one."""
        plan: dict[int, list[str]] = {}
        for name, item in self.items.items():
            for seed in _seeds(item.seeds, self.seeds) if name not in self.valid else ():
                plan.setdefault(seed, []).append(name)
        file = evidence.evidence_file(self.key)
        usual = 60 * evidence.load(self.key)["minutes"] / max(self.seeds, len(plan)) if file.is_file() else 60.0
        tasks = []
        for seed, names in plan.items():
            known = _kept(_work_file(self.folder, seed), self.codes)
            left = sum(name not in known for name in names) / len(self.items)
            tasks.append(Task(self.key, seed, names, str(self.folder), known, usual * left))
        return tasks

    def content(self, cells: dict[int, Cells]) -> dict[str, Any]:
        """The evidence file's content from the cells of each seed."""
        rows: list[dict[str, Any]] = []
        curves: list[dict[str, Any]] = []
        processors: set[str] = set()
        for name, item in self.items.items():
            if name in self.valid:
                row = self.valid[name]
                (rows if isinstance(item, Claim) else curves).append(
                    evidence.relabelled(row, item) if isinstance(item, Claim) else row
                )
                continue
            own = [cells[seed][name] for seed in _seeds(item.seeds, self.seeds)]
            kinds = {cell["processor"] for cell in own}
            processors |= kinds
            if isinstance(item, Claim):
                rows.append(_row(item, own, {"commit": self.at, "code": self.codes[name], "processor": _named(kinds)}))
            else:
                curves.append(curve_row(item, [cell["values"] for cell in own], self.codes[name]))
        stored = evidence.load(self.key) if self.valid else {}
        return {
            "schema": evidence.SCHEMA_VERSION,
            "chapter": self.key,
            "command": f"firsthand evidence {self.key} --seeds {self.seeds}" if processors else stored["command"],
            "commit": self.at if processors else stored["commit"],
            "environment": environment(self.workers, processors) if processors else stored["environment"],
            "minutes": round(sum(row["seconds"] for row in rows) / 60, 1),
            "claims": rows,
            "curves": curves,
        } | {name: stored[name] for name in ("confirmed",) if name in stored}


def _named(processors: set[str]) -> str:
    return ", ".join(sorted(processors))


def curve_row(curve: Curve, values: list[list[float | None]], code: str) -> dict[str, Any]:
    """The stored form of a curve with its values, a list a seed, and the hash of the code that gave them."""
    return {"id": curve.id, "xlabel": curve.xlabel, "x": curve.x, "values": values, "code": code}


def _row(claim: Claim, cells: list[dict[str, Any]], measured: dict[str, Any]) -> dict[str, Any]:
    """The stored form of a claim with its raw values and the verdict they give."""
    reasons = sorted({cell["not_tested"] for cell in cells if cell["not_tested"]})
    baselines = [cell["baseline"] for cell in cells]
    row = {
        "id": claim.id,
        **{name: getattr(claim, name) for name in (*evidence.LABELS, *evidence.TERMS)},
        "repeats_within": claim.repeats_within,
        "seeds": list(range(len(cells))),
        "method": [cell["method"] for cell in cells],
        "baseline": None if baselines[0] is None else baselines,
        "not_tested": "; ".join(reasons) or None,
        "seconds": round(sum(cell["seconds"] for cell in cells), 3),
        "slowest": max(cell.get("alone", cell["seconds"]) for cell in cells),
        "code": measured["code"],
        "measured": measured,
    }
    result = evidence.row_verdict(row)
    numbers = {"estimate": result.estimate, "low": result.low, "high": result.high}
    return {**row, **{k: v if math.isfinite(v) else None for k, v in numbers.items()}, "verdict": result.name}
