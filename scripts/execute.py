"""Execute notebooks as the book stores them: python scripts/execute.py [notebooks/01_hcvi.ipynb …]

Outputs are stored in place, timings and machine details are removed, and the seconds a notebook took go to
src/firsthand/evidence/runs.json, where its card reads them. If that changes what the card says, it runs again.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as nbval runs them

import nbformat
from nbclient import NotebookClient

from firsthand.chapters import chapters, notebook_path
from firsthand.kit.evidence import processor
from firsthand.kit.pages import run_time
from firsthand.kit.results import write_atomically

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "src" / "firsthand" / "evidence" / "runs.json"


def execute(path: Path) -> float:
    """Run all cells in a fresh kernel and store the outputs; return the seconds taken."""
    notebook = nbformat.read(path, as_version=4)
    begin = time.perf_counter()
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": path.parent}}, record_timing=False).execute()
    seconds = time.perf_counter() - begin
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        cell.metadata.pop("execution", None)
    write_atomically(path, nbformat.writes(notebook) + "\n")
    return seconds


def record(key: str, seconds: float) -> None:
    """Keep the seconds of a chapter's notebook."""
    runs = json.loads(RUNS.read_text(encoding="utf-8")) if RUNS.is_file() else {}
    runs[key] = {"seconds": round(seconds, 1), "processor": processor(), "threads": 1}
    write_atomically(RUNS, json.dumps(dict(sorted(runs.items())), indent=1) + "\n")


def picture_for_readme() -> None:
    """The first chapter's picture, as its notebook has it, for README.md."""
    notebook = nbformat.read(notebook_path(next(iter(chapters()))), as_version=4)
    cell = next(c for c in notebook.cells if "card-picture" in c.metadata.get("tags", []))
    png = next(o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {}))
    (ROOT / "book" / "_static" / "readme.png").write_bytes(base64.b64decode(png))


def main(names: list[str]) -> None:
    paths = [Path(name) for name in names] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    for path in paths:
        key = path.stem.split("_", 1)[1]
        for _ in range(3):
            said = run_time(key)
            seconds = execute(path)
            record(key, seconds)
            if run_time(key) == said:
                break
        print(f"{path.name}: {seconds:.1f} s")
    picture_for_readme()


if __name__ == "__main__":
    main(sys.argv[1:])
