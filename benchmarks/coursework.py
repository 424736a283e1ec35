"""How long grading takes: thirty right submissions in sandboxes, and nbgrader on some of the same.

    python benchmarks/coursework.py [--workers 2]

Thirty submissions, dealt out evenly over the book's chapters, are marked by `firsthand.coursework`; then nbgrader's
autograde marks three of the first chapter, one after another, as it does. Seconds a submission, and their ratio.
Writes benchmarks/results/coursework.json and prints a table. Needs bubblewrap and nbgrader.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "coursework.json"
SUBMISSIONS, PEERS = 30, 3


def hand_in(key: str, file: Path) -> None:
    """A submission with the book's own solutions."""
    import nbformat

    from firsthand.coursework import editions

    book = editions.student_edition(key)
    solutions = {task.number: task.solution for task in editions.tasks(key)}
    for cell in book.cells:
        about = cell.metadata.get("firsthand")
        if about:
            cell.source = solutions[about["exercise"]]
    file.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, file)


def ours(course: Path, workers: int) -> dict[str, float]:
    """Seconds for all, seconds a submission, and the share of points they got."""
    from firsthand.chapters import chapters
    from firsthand.coursework import build, grade

    build([], course)
    keys = list(chapters())
    for number in range(SUBMISSIONS):
        key = keys[number % len(keys)]
        hand_in(key, course / "submissions" / f"student-{number:02d}" / f"{chapters()[key].stem}.ipynb")
    begin = time.perf_counter()
    reports = grade(course / "submissions", course / "instructor", workers=workers)
    seconds = time.perf_counter() - begin
    points = sum(report.points for report in reports) / sum(report.possible for report in reports)
    return {"seconds": seconds, "a submission": seconds / len(reports), "points": points}


def nbgrader(course: Path) -> float:
    """Seconds a submission of the first chapter."""
    from firsthand.chapters import chapters

    first = next(iter(chapters().values()))
    shutil.copytree(course / "instructor" / first.stem, course / "source" / first.stem)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "MPLBACKEND": "Agg"}

    def run(action: str) -> None:
        command = [sys.executable, "-m", "nbgrader", action, first.stem, "--create", f"--CourseDirectory.root={course}"]
        subprocess.run(command, cwd=course, env=environment, check=True, capture_output=True)

    run("generate_assignment")
    for number in range(PEERS):
        file = course / "submitted" / f"student-{number}" / first.stem / f"{first.stem}.ipynb"
        file.parent.mkdir(parents=True)
        shutil.copy(course / "release" / first.stem / file.name, file)
    begin = time.perf_counter()
    run("autograde")
    return (time.perf_counter() - begin) / PEERS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    workers = parser.parse_args().workers
    with tempfile.TemporaryDirectory() as folder:
        found = ours(Path(folder), workers)
        peer = nbgrader(Path(folder))
    from firsthand.kit.lab.provenance import processor

    result = {
        "processor": processor(), "workers": workers, "submissions": SUBMISSIONS, "seconds": round(found["seconds"], 1),
        "points": found["points"], "seconds a submission": round(found["a submission"], 2),
        "nbgrader, seconds a submission": round(peer, 2), "ratio": round(found["a submission"] / peer, 2),
    }  # fmt: skip
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, value in result.items():
        print(f"{name:<34} {value}")


if __name__ == "__main__":
    main()
