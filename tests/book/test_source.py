"""Nothing that is read is ever run: a walk through the source for what would unpickle or evaluate."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(file for folder in ("src", "scripts", "benchmarks", "book") for file in (ROOT / folder).rglob("*.py"))
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle"}
BARE = {"eval", "exec", "__import__"}
#: Functions by their dotted name.
DOTTED = {
    "torch.load", "joblib.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle",
    "pd.read_pickle",
}  # fmt: skip
FORBIDDEN = {"allow_pickle", "shell"}  # keywords that may only be False


def dangers(source: str) -> list[str]:
    """What in a source text could run what it reads, with lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            names = [node.module] if (node.module or "").split(".")[0] in MODULES else sorted(named & DOTTED)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in BARE or name in DOTTED:
                names = [name]
            names += [
                word.arg for word in node.keywords if word.arg in FORBIDDEN and ast.unparse(word.value) != "False"
            ]
        found += [f"line {node.lineno}: {name}" for name in names]
    return found


def test_nothing_in_the_book_unpickles_or_evaluates() -> None:
    assert len(FILES) > 150
    bad = {str(file.relative_to(ROOT)): dangers(file.read_text(encoding="utf-8")) for file in FILES}
    assert not {name: what for name, what in bad.items() if what}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from dill import loads", "import torch\ntorch.load(f)", "from torch import load",
        "np.load(f, allow_pickle=True)", "eval(text)", "yaml.load(text)", "subprocess.run(text, shell=True)",
    ],
)  # fmt: skip
def test_the_walk_finds_what_it_looks_for(line: str) -> None:
    assert dangers(line)


def test_it_leaves_harmless_lines_alone() -> None:
    assert not dangers("model.eval()\nnp.load(f, allow_pickle=False)\nre.compile('a')\nsafetensors.torch.load_file(f)")
