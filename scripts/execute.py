"""Execute notebooks as the book stores them: python scripts/execute.py [--status] [notebooks/01_hcvi.ipynb …]

Outputs are stored in place, timings and machine details are removed. Seconds, memory and versions go to
src/firsthand/evidence/runs.json, where cards and the page Run status read them. If that changes what the card says, the
notebook runs again. With --status outputs stay as they are, but for what the card says.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as nbval runs them

import nbformat
from nbclient import NotebookClient

from firsthand.chapters import chapters, notebook_path
from firsthand.kit.files import write_atomically
from firsthand.kit.lab.provenance import processor
from firsthand.kit.page.pages import card, run_time

ROOT = Path(__file__).parents[1]
PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
KILO = 1e-6 if sys.platform == "darwin" else 1024 / 1e6  # macOS counts bytes, Linux units of 1,024
RUNS = ROOT / "src" / "firsthand" / "evidence" / "runs.json"


def execute(path: Path, *, store: bool = True) -> dict:
    """Run all cells in a fresh kernel, and store the outputs; return seconds and megabytes taken."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    begin = time.perf_counter()
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": path.parent}}, record_timing=False).execute()
    seconds = time.perf_counter() - begin
    said = notebook.cells.pop().outputs[-1].text.split()[-1]
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        cell.metadata.pop("execution", None)
    if store:
        write_atomically(path, nbformat.writes(notebook) + "\n")
    return {"seconds": round(seconds, 1), "megabytes": round(int(said) * KILO)}


def record(key: str, taken: dict) -> None:
    """Keep what a notebook took, where, and with which versions."""
    runs = json.loads(RUNS.read_text(encoding="utf-8")) if RUNS.is_file() else {}
    where = {"processor": processor(), "threads": 1, "python": platform.python_version()}
    versions = {name: metadata.version(name) for name in ("torch", "numpy")}
    runs[key] = {**taken, **where, **versions, "day": time.strftime("%Y-%m-%d")}
    write_atomically(RUNS, json.dumps(dict(sorted(runs.items())), indent=1) + "\n")


def refresh_card(path: Path, key: str) -> None:
    """Only what the card of a chapter says."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.source.startswith("card("):
            cell.outputs[0].data["text/markdown"] = card(key).data
    write_atomically(path, nbformat.writes(notebook) + "\n")


def picture_for_readme() -> None:
    """The first chapter's picture, as its notebook has it, for README.md."""
    notebook = nbformat.read(notebook_path(next(iter(chapters()))), as_version=4)
    cell = next(c for c in notebook.cells if "card-picture" in c.metadata.get("tags", []))
    png = next(o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {}))
    (ROOT / "book" / "_static" / "readme.png").write_bytes(base64.b64decode(png))


def main(words: list[str]) -> None:
    """Execute the notebooks that are named, or all."""
    store = "--status" not in words
    paths = [Path(w) for w in words if w != "--status"] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    for path in paths:
        key = path.stem.split("_", 1)[1]
        for _ in range(3):
            said = run_time(key)
            taken = execute(path, store=store)
            record(key, taken)
            if not store:
                refresh_card(path, key)
            if not store or run_time(key) == said:
                break
        print(f"{path.name}: {taken['seconds']:.1f} s, {taken['megabytes']} MB", flush=True)
    picture_for_readme()


if __name__ == "__main__":
    main(sys.argv[1:])
