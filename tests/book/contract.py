"""The contract of a chapter: each rule is a function that yields what is wrong with a notebook.

`test_contract.py` applies the rules to every notebook, and to spoiled copies to see that each rule bites.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from firsthand.chapters import PACKAGE
from firsthand.kit.lab import evidence
from firsthand.kit.page.exercises import exercises_of

Notebook = dict
Rule = Callable[[Notebook, str], Iterator[str]]

HEADINGS = [
    "In one minute", "The problem", "The idea", "The method", "By hand", "Experiment", "Paper, code, here",
    "Where it breaks", "Explore", "Exercises", "Scale up", "Further reading",
]  # fmt: skip
WORDS = (2000, 3500)
CODE_LINES = (150, 300)
LONGEST_CELL = 30
WARN_SECONDS, FAIL_SECONDS = 150, 300
MAX_FIGURE_BYTES = 3_000_000


def text(cell: dict) -> str:
    return "".join(cell["source"])


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def markdown(notebook: Notebook) -> list[str]:
    return [text(c) for c in notebook["cells"] if c["cell_type"] == "markdown"]


def code_cells(notebook: Notebook) -> list[dict]:
    return [c for c in notebook["cells"] if c["cell_type"] == "code" and text(c).strip()]


def outputs(cell: dict, kind: str) -> list[str]:
    """The cell's outputs of one MIME type, as text."""
    found = (output.get("data", {}).get(kind) for output in cell["outputs"])
    return ["".join(value) for value in found if value is not None]


def tagged(notebook: Notebook, tag: str) -> list[dict]:
    return [c for c in notebook["cells"] if tag in tags(c)]


def headings(notebook: Notebook, key: str) -> Iterator[str]:
    found = re.findall(r"^## (.+)$", "\n".join(markdown(notebook)), re.M)
    if found != HEADINGS:
        yield f"headings are {found}"


def executed(notebook: Notebook, key: str) -> Iterator[str]:
    counts = [c["execution_count"] for c in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield "not executed from top to bottom in one go"
    for cell in code_cells(notebook):
        if any(output["output_type"] == "error" for output in cell["outputs"]):
            yield f"a stored error: {text(cell)[:40]}"


def parameters(notebook: Notebook, key: str) -> Iterator[str]:
    cells = tagged(notebook, "parameters")
    names = set()
    if len(cells) == 1:
        names = {t.id for n in ast.parse(text(cells[0])).body if isinstance(n, ast.Assign) for t in n.targets}  # type: ignore[attr-defined]
    if not {"preset", "seed", "device", "settings"} <= names:
        yield "no parameters cell with preset, seed, device and settings"
    if not any("with_settings(book.PRESETS[preset]" in text(cell) for cell in code_cells(notebook)):
        yield "settings change no run"


def lengths(notebook: Notebook, key: str) -> Iterator[str]:
    words = len(re.findall(r"\w+", " ".join(markdown(notebook))))
    shown = [c for c in code_cells(notebook) if not {"remove-input", "remove-cell"} & set(tags(c))]
    lines = [len([line for line in text(c).splitlines() if line.strip()]) for c in shown]
    if not WORDS[0] <= words <= WORDS[1]:
        yield f"{words} words"
    if not CODE_LINES[0] <= sum(lines) <= CODE_LINES[1]:
        yield f"{sum(lines)} lines of code"
    if max(lines) > LONGEST_CELL:
        yield f"a cell of {max(lines)} lines"


def figures(notebook: Notebook, key: str) -> Iterator[str]:
    for cell in code_cells(notebook):
        if outputs(cell, "image/png") or outputs(cell, "image/svg+xml"):
            about = cell["metadata"].get("mystnb", {})
            if not about.get("image", {}).get("alt") or not about.get("figure", {}).get("caption"):
                yield f"a figure without alt text or caption: {text(cell)[:40]}"
            if not text(cell).rstrip().endswith("plt.show()"):
                yield f"a figure cell that does not end in plt.show(): {text(cell)[:40]}"
    if len(tagged(notebook, "card-picture")) != 1:
        yield "not exactly one cell tagged card-picture"


def moving(notebook: Notebook, key: str) -> Iterator[str]:
    found = [html for c in code_cells(notebook) for html in outputs(c, "text/html") if "fh-explore" in html]
    if not found:
        yield "no moving figure"
    if sum(map(len, found)) > MAX_FIGURE_BYTES:
        yield "moving figures of more than 3 MB"
    for html in found:
        if 'alt=""' in html or "<figcaption>" not in html:
            yield "a moving figure without alt text or caption"


def bands(notebook: Notebook, key: str) -> Iterator[str]:
    """A reader's run is drawn upon the range of the stored seeds."""
    if not any("expected_band(" in text(c) for c in code_cells(notebook)):
        yield "no band for the reader's run"


def no_widgets(notebook: Notebook, key: str) -> Iterator[str]:
    if any("widget-view" in kind for c in code_cells(notebook) for o in c["outputs"] for kind in o.get("data", {})):
        yield "a stored ipywidgets view"


def exercises(notebook: Notebook, key: str) -> Iterator[str]:
    known = exercises_of(key)
    if not 5 <= len(known) <= 8:
        yield f"{len(known)} exercises"
    source = "\n".join(markdown(notebook))
    for number, exercise in known.items():
        stub, solution = tagged(notebook, f"exercise-{number}"), tagged(notebook, f"solution-{number}")
        if len(stub) != 1 or len(solution) != 1:
            yield f"exercise {number} has no stub or no solution"
            continue
        if f"### Exercise {number}: {exercise.title}" not in source:
            yield f"exercise {number} has no heading"
        if "Not yet" not in "".join(outputs(stub[0], "text/plain")):
            yield f"the stub of exercise {number} passes its checker"
        if "Correct" not in "".join(outputs(solution[0], "text/plain")):
            yield f"the solution of exercise {number} does not pass"
        if "hide-cell" not in tags(solution[0]):
            yield f"the solution of exercise {number} is not folded"
    if source.count("<summary>Hint</summary>") < len(known):
        yield "an exercise without a hint"


def claims(notebook: Notebook, key: str) -> Iterator[str]:
    stored = {row["id"] for row in evidence.load(key)["claims"]}
    shown: set[str] = set()
    for cell in code_cells(notebook):
        for html in outputs(cell, "text/html"):
            shown |= set(re.findall(r'data-claim="([^"]+)"', html))
    if shown - stored:
        yield f"claims shown but not in the evidence: {sorted(shown - stored)}"
    if stored - shown:
        yield f"claims of the evidence not shown: {sorted(stored - shown)}"


# What may hold digits in a sentence: mathematics, code, links, addresses, headings, tables of sources, years,
# identifiers of papers, numbered lists, exercise numbers and their minutes.
_EXEMPT = re.compile(
    r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\[[^\]]*\]\([^)]*\)|<[^>]*>|^#+ .*$|^\|.*\|$|^\d+\. |arXiv \d+\.\d+"
    r"|\b(19|20)\d\d\b|\*\d+ minutes, \d points?\.\*|[Ee]xercise \d+|\(\d\)|\bSciences \d+",
    re.M | re.S,
)


def computed_numbers(notebook: Notebook, key: str) -> Iterator[str]:
    """Results in sentences come from `say`: no decimals, percentages or numbers above nine are typed.

    The statement of an exercise is exempt: its numbers are settings.
    """
    for source in markdown(notebook):
        if source.startswith("### Exercise"):
            continue
        for found in re.findall(r"\d+[.,]\d+|\d+\s?%|\b\d{2,}\b", _EXEMPT.sub(" ", source)):
            yield f"a typed number: {found}"


_PATHS = re.compile(r"/(?:home|root|Users|tmp|work|mnt|var)/[\w.-]+|[A-Z]:\\\\?Users")


def no_paths(notebook: Notebook, key: str) -> Iterator[str]:
    for found in _PATHS.findall(json.dumps(notebook)):
        yield f"an absolute path: {found}"


def run_time(notebook: Notebook, key: str) -> Iterator[str]:
    runs = json.loads((PACKAGE / "evidence" / "runs.json").read_text(encoding="utf-8"))
    seconds = runs.get(key, {}).get("seconds")
    if seconds is None:
        yield "no run time: execute it with scripts/execute.py"
    elif seconds > FAIL_SECONDS:
        yield f"it takes {seconds} s"


RULES: list[Rule] = [
    headings, executed, parameters, lengths, figures, moving, bands, no_widgets, exercises, claims, computed_numbers,
    no_paths, run_time,
]  # fmt: skip


def problems(notebook: Notebook, key: str) -> list[str]:
    """Everything that is wrong with a notebook."""
    return [f"{rule.__name__}: {problem}" for rule in RULES for problem in rule(notebook, key)]


def read(path: Path) -> Notebook:
    return json.loads(path.read_text(encoding="utf-8"))
