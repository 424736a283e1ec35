"""An eleventh paper, walked through: `firsthand new`, a run, evidence, a notebook, and what is still missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from firsthand.chapters import PACKAGE
from firsthand.errors import UserError
from firsthand.scaffold import scaffold

ROOT = Path(__file__).parents[2]
HEAVY = shutil.ignore_patterns("__pycache__", "weights", "embedded", "*.safetensors")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The package's code and the scripts of a clone, without data and weights."""
    root = tmp_path_factory.mktemp("clone")
    shutil.copytree(PACKAGE, root / "src" / "firsthand", ignore=HEAVY)
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=HEAVY)
    for name in ("_toc.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    (root / "notebooks").mkdir()
    (root / "book" / "_static").mkdir(parents=True)
    shutil.copy(ROOT / "notebooks" / "01_hcvi.ipynb", root / "notebooks")
    return root


def said(clone, *command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(clone / "src"), str(ROOT)])
    return subprocess.run(
        [sys.executable, *command], cwd=clone, env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def firsthand(clone, *words: str) -> str:
    done = said(clone, "-m", "firsthand.cli", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


PROBLEMS = """
import json
from tests.book import contract
from firsthand.chapters import notebook_path
print(json.dumps(contract.problems(contract.read(notebook_path("toy")), "toy")))
"""


@pytest.mark.slow
def test_an_eleventh_paper(clone):
    written = firsthand(clone, "new", "toy", "--number", "11", "--title", "Toy: the mean of measurements")
    assert "src/firsthand/toy/method.py" in written
    assert "make check" in written
    for tool in (("check",), ("format", "--check")):
        linted = said(clone, "-m", "ruff", *tool, "src/firsthand/toy", "tests/toy")
        assert linted.returncode == 0, linted.stdout
    assert "11  toy" in firsthand(clone, "list")
    assert "error of one" in firsthand(clone, "run", "toy", "--preset", "smoke")
    (clone / "values.txt").write_text("1\n2\n4\n", encoding="utf-8")
    assert "error of one" in firsthand(clone, "run", "toy", "--preset", "smoke", "--data", "values.txt")
    (clone / "values.txt").write_text("one\n", encoding="utf-8")
    refused = said(clone, "-m", "firsthand.cli", "run", "toy", "--preset", "smoke", "--data", "values.txt")
    assert refused.returncode == 2, refused.stderr
    assert "must be a file with a number on each line; values.txt is not." in refused.stderr
    assert "toy.json: 2 holds" in firsthand(clone, "evidence", "toy").replace(
        ", 0 fails, 0 inconclusive, 0 not tested", ""
    )
    tested = said(clone, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/toy")
    assert tested.returncode == 0, tested.stdout
    made = said(clone, "scripts/notebook_text.py", "notebooks", "11_toy")
    assert made.returncode == 0, made.stderr
    executed = said(clone, "scripts/execute.py", "notebooks/11_toy.ipynb")
    assert executed.returncode == 0, executed.stderr
    missing = json.loads(said(clone, "-c", PROBLEMS).stdout)
    assert [p.split(":")[0] for p in missing] == ["lengths", "lengths", "exercises"], missing
    firsthand(clone, "coursework", "build", "toy", "--to", "editions")
    student = (clone / "editions" / "student" / "11_toy.ipynb").read_text(encoding="utf-8")
    assert "def mean(values)" in student
    assert "hidden_1" not in student


def test_a_second_time_is_refused(clone, tmp_path):
    (tmp_path / "_toc.yml").write_text("", encoding="utf-8")
    files, _ = scaffold("other", 98, "Other: a title", tmp_path)
    before = [file.read_bytes() for file in files]
    with pytest.raises(UserError, match="src/firsthand/other is there already"):
        scaffold("other", 98, "Other: another", tmp_path)
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize(
    ("key", "number", "title", "sentence"),
    [
        ("../x", 98, "T", "lower-case letters"),
        ("Upper", 98, "T", "lower-case letters"),
        ("new1", 1, "T", "1 is hcvi"),
        ("new1", 100, "T", "between 1 and 99"),
        ("new1", 98, 'a "T"', "quotation marks"),
    ],
)
def test_refusals_write_nothing(tmp_path, key, number, title, sentence):
    (tmp_path / "_toc.yml").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=sentence):
        scaffold(key, number, title, tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["_toc.yml"]


def test_outside_a_clone_it_says_so(tmp_path):
    with pytest.raises(UserError, match="not in one"):
        scaffold("toy", 98, "T", tmp_path)
