"""Evidence files: measuring a chapter's claims over seeds, storing the raw values, reading them back.

One JSON file a chapter, `firsthand/evidence/<chapter>.json`. While it is measured, every finished cell (a claim
at a seed) is kept in a work folder named after the code that measures it, so that a killed run goes on where it
stopped and values of different code never mix.
"""

from __future__ import annotations

import importlib
import json
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from firsthand.chapters import PACKAGE, chapter
from firsthand.errors import UserError
from firsthand.kit.claims import Claim, Curve, NotTested, Verdict, verdict
from firsthand.kit.fingerprint import code_hash
from firsthand.kit.provenance import commit, environment, processor
from firsthand.kit.results import write_atomically
from firsthand.kit.shared import account
from firsthand.kit.sweep import Task, alone, run

SCHEMA_VERSION = 1
CURVE = "curve:"  # keeps a curve's cells apart from those of a claim of the same name
PROCESSORS = "processors:"  # every kind that a seed's cells were measured on: a resumed run may have moved


def claims_of(key: str) -> list[Claim]:
    """The CLAIMS of a chapter's experiment."""
    return importlib.import_module(f"firsthand.{chapter(key).key}.experiment").CLAIMS


def curves_of(key: str) -> list[Curve]:
    """The CURVES of a chapter's experiment, if it has any."""
    return getattr(importlib.import_module(f"firsthand.{chapter(key).key}.experiment"), "CURVES", [])


def current_hash(key: str) -> str:
    """The hash of the code that would measure the chapter now."""
    return code_hash(f"firsthand.{key}.experiment")


# ---------------------------------------------------------------------------------------------- reading


def evidence_file(key: str) -> Path:
    """Where a chapter's evidence is written."""
    return PACKAGE / "evidence" / f"{chapter(key).key}.json"


def elsewhere_file(key: str) -> Path:
    """Where the same measurement, made by the same code on another kind of processor, is kept."""
    return PACKAGE / "evidence" / "elsewhere" / f"{chapter(key).key}.json"


def elsewhere(key: str) -> dict[str, dict[str, Any]]:
    """{claim: row} of that measurement, empty where there is none.

    Rounding differs between processors; a search or a training that amplifies it takes another path there, so a value
    counts as found again where it is what either kind gave.
    """
    if not elsewhere_file(key).is_file():
        return {}
    there = parse(elsewhere_file(key).read_text(encoding="utf-8"), f"evidence/elsewhere/{key}.json")
    if there["code"] != load(key)["code"]:
        raise UserError(f"evidence/elsewhere/{key}.json was measured with other code; measure it anew or delete it.")
    return {row["id"]: row for row in there["claims"]}


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


def is_stale(content: dict[str, Any]) -> bool:
    """True where the code has changed since the values were measured, or were last found again."""
    return [content, *content.get("confirmed", [])][-1]["code"] != current_hash(content["chapter"])


# -------------------------------------------------------------------------------------------- measuring


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


def _kept(file: Path) -> dict[str, Any]:
    """The finished cells of a seed."""
    if not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise UserError(
            f"{file.name} in {file.parent.name} is damaged: delete it, and its seed is measured anew."
        ) from None


def measure_seed(
    key: str, seed: int, claim_ids: list[str], folder: str, known: dict[str, Any] | None = None
) -> dict[str, Any]:
    """All named claims at one seed, in one process so that they share what is costly; kept after each claim.

    Args:
        key, seed, claim_ids: what. folder: where cells are kept. known: cells that are finished elsewhere.
    """
    import torch

    torch.set_num_threads(1)
    file = _work_file(Path(folder), seed)
    cells: dict[str, Any] = {**(known or {}), **_kept(file)}
    if set(claim_ids) - set(cells):
        cells[PROCESSORS] = sorted({processor(), *cells.get(PROCESSORS, [])})
    by_id: dict[str, Claim | Curve] = {}
    by_id.update({claim.id: claim for claim in claims_of(key)})
    by_id.update({CURVE + curve.id: curve for curve in curves_of(key)})
    for name in claim_ids:
        if name not in cells:
            item = by_id[name]
            cells[name] = measure_cell(item, seed) if isinstance(item, Claim) else list(item.measure(seed))
            write_atomically(file, json.dumps(cells, allow_nan=False))
    return cells


def _seeds(needed: int, seeds: int) -> range:
    return range(1 if needed == 1 else max(needed, seeds))


def measure(
    key: str, *, seeds: int = 5, workers: int = 1, scheduler: str | None = None, progress: bool = True
) -> dict[str, Any]:
    """Measure all claims of a chapter; return the content of its evidence file, not yet written.

    Args:
        key: chapter. seeds, workers, scheduler, progress: as `measure_all`.
    """
    (content,) = measure_all([key], seeds=seeds, workers=workers, scheduler=scheduler, progress=progress)
    return content


def measure_all(
    keys: list[str], *, seeds: int = 5, workers: int = 1, scheduler: str | None = None, progress: bool = True
) -> Iterator[dict[str, Any]]:
    """Measure all claims of chapters; the content of each evidence file as soon as it is whole.

    Args:
        keys: chapters.
        seeds: at least so many seeds a claim; a claim may ask for more, and for 1 if nothing in it is random.
        workers: processes on this machine.
        scheduler: address of a Dask scheduler that does the work instead.
        progress: show a progress bar.
    """
    if seeds < 5:
        raise UserError(f"Evidence needs at least 5 seeds; got {seeds}.")
    codes, at = {key: current_hash(key) for key in keys}, commit()  # before: files may change while it goes on
    tasks = {key: _tasks(key, codes[key], seeds) for key in keys}
    done = run([task for key in keys for task in tasks[key]], workers=workers, scheduler=scheduler, progress=progress)
    with ExitStack() as locks:
        for key in keys:
            sentence = f"Another sweep measures {key} here: wait for it."
            locks.enter_context(alone(Path(tasks[key][0].folder), sentence))
        for key in keys:
            cells = {}
            for task in tasks[key]:
                cells[task.seed] = next(done)
                kept = json.dumps(cells[task.seed], allow_nan=False)
                write_atomically(_work_file(Path(task.folder), task.seed), kept)
            yield _content(key, cells, seeds=seeds, code=codes[key], commit=at, workers=workers)
        next(done, None)  # closes the bar


def _tasks(key: str, code: str, seeds: int) -> list[Task]:
    """A task a seed; what it costs is guessed from the stored evidence, where there is one."""
    folder = (Path(".firsthand") / "evidence" / f"{key}-{code}").resolve()
    plan: dict[int, list[str]] = {}
    items = [(claim.id, claim.seeds) for claim in claims_of(key)]
    items += [(CURVE + curve.id, curve.seeds) for curve in curves_of(key)]
    for name, needed in items:
        for seed in _seeds(needed, seeds):
            plan.setdefault(seed, []).append(name)
    usual = 60 * load(key)["minutes"] / len(plan) if evidence_file(key).is_file() else 60.0
    found = []
    for seed, names in plan.items():
        known = _kept(_work_file(folder, seed))
        left = sum(name not in known for name in names) / len(names)
        found.append(Task(key, seed, names, str(folder), known, usual * left))
    return found


def _content(
    key: str, cells: dict[int, dict[str, Any]], *, seeds: int, code: str, commit: str | None, workers: int
) -> dict[str, Any]:
    """An evidence file's content from the cells of each seed."""
    claims, curves = claims_of(key), curves_of(key)
    rows = [_row(claim, [cells[s][claim.id] for s in _seeds(claim.seeds, seeds)]) for claim in claims]
    return {
        "schema": SCHEMA_VERSION,
        "chapter": key,
        "command": f"firsthand evidence {key} --seeds {seeds}",
        "commit": commit,
        "code": code,
        "environment": environment(workers, {name for one in cells.values() for name in one.get(PROCESSORS, [])}),
        "minutes": round(sum(row["seconds"] for row in rows) / 60, 1),
        "claims": rows,
        "curves": [curve_row(c, [cells[s][CURVE + c.id] for s in _seeds(c.seeds, seeds)]) for c in curves],
    }


def curve_row(curve: Curve, values: list[list[float | None]]) -> dict[str, Any]:
    """The stored form of a curve with its values, a list a seed."""
    return {"id": curve.id, "xlabel": curve.xlabel, "x": curve.x, "values": values}


def _row(claim: Claim, cells: list[dict[str, Any]]) -> dict[str, Any]:
    """The stored form of a claim with its raw values and the verdict they give."""
    reasons = sorted({cell["not_tested"] for cell in cells if cell["not_tested"]})
    baselines = [cell["baseline"] for cell in cells]
    row = {
        "id": claim.id,
        "sentence": claim.sentence,
        "source": claim.source,
        "metric": claim.metric,
        "unit": claim.unit,
        "paper": claim.paper,
        "rule": claim.rule,
        "target": claim.target,
        "tolerance": claim.tolerance,
        "repeats_within": claim.repeats_within,
        "seeds": list(range(len(cells))),
        "method": [cell["method"] for cell in cells],
        "baseline": None if baselines[0] is None else baselines,
        "not_tested": "; ".join(reasons) or None,
        "seconds": round(sum(cell["seconds"] for cell in cells), 3),
        "slowest": max(cell.get("alone", cell["seconds"]) for cell in cells),
    }
    found = row_verdict(row)
    numbers = {"estimate": found.estimate, "low": found.low, "high": found.high}
    return {**row, **{k: v if math.isfinite(v) else None for k, v in numbers.items()}, "verdict": found.name}


def reword(content: dict[str, Any]) -> dict[str, Any]:
    """The same evidence with the claims' present wording and labels; refused where more than that has changed."""
    if is_stale(content):
        raise UserError(f"The code of {content['chapter']} has changed since the evidence was measured: measure anew.")
    labels = {
        c.id: {"sentence": c.sentence, "source": c.source, "metric": c.metric, "unit": c.unit}
        for c in claims_of(content["chapter"])
    }
    return {**content, "claims": [{**row, **labels[row["id"]]} for row in content["claims"]]}


def save(content: dict[str, Any]) -> Path:
    """Write an evidence file atomically, after checking it."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    parse(text, "the new evidence")
    path = evidence_file(content["chapter"])
    write_atomically(path, _compact_lists(text))
    return path


def _compact_lists(text: str) -> str:
    """Put innermost lists of numbers on one line: raw values stay readable, files stay small."""
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
