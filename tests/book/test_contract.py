"""The contract of a chapter holds for every notebook, and each of its rules bites."""

from __future__ import annotations

import copy
import importlib
import inspect
import re
import subprocess
import tomllib
import warnings
from pathlib import Path

import pytest
import yaml

from firsthand.chapters import PACKAGE, chapters, notebook_path
from firsthand.kit.lab import evidence
from firsthand.kit.page import pages
from tests.book import contract
from tests.book.contract import code_cells, tagged, text

ROOT = Path(__file__).parents[2]
TEXT = (".py", ".md", ".ipynb", ".json", ".toml", ".yml", ".js", ".css", ".bib")
NAMES = sorted((ROOT / "tests" / "names").glob("*.toml"))


@pytest.mark.parametrize("key", chapters())
def test_the_chapter_keeps_its_contract(key):
    notebook = contract.read(notebook_path(key))
    assert contract.problems(notebook, key) == []
    seconds = pages.run_seconds(key)
    if seconds > contract.WARN_SECONDS:
        warnings.warn(f"{key} takes {seconds} s", UserWarning, stacklevel=1)


@pytest.mark.parametrize("key", chapters())
def test_the_card_says_what_the_files_say(key):
    notebook = contract.read(notebook_path(key))
    cards = [c for c in code_cells(notebook) if text(c).startswith("card(")]
    assert contract.outputs(cards[0], "text/markdown") == [pages.card(key).data]


def test_the_primer_keeps_what_applies_to_it():
    notebook = contract.read(ROOT / "notebooks" / "00_before_you_start.ipynb")
    rules = (contract.executed, contract.moving, contract.no_widgets, contract.exercises, contract.no_paths)
    found = [problem for rule in rules for problem in rule(notebook, "primer")]
    found += [p for p in contract.figures(notebook, "primer") if "card-picture" not in p]
    found += contract.run_time(notebook, "before_you_start")
    assert found == []


# ------------------------------------------------------------------------------------- spoiled notebooks


def _first(notebook, kind):
    return next(c for c in code_cells(notebook) if contract.outputs(c, kind))


def _swap_headings(n):
    for cell in n["cells"]:
        if text(cell).startswith("## In one minute"):
            cell["source"] = ["## In a minute"]


def _long_cell(n):
    code_cells(n)[3]["source"] = ["x = 1\n"] * 31


def _typed(sentence):
    return lambda n: n["cells"].append({"cell_type": "markdown", "metadata": {}, "source": [sentence]})


def _retag(old, new):
    def change(n):
        for cell in tagged(n, old):
            cell["metadata"]["tags"] = [new if tag == old else tag for tag in cell["metadata"]["tags"]]

    return change


def _strip_alt(n):
    for cell in n["cells"]:
        cell["metadata"].pop("mystnb", None)


def _replace_html(old, new):
    def change(n):
        for cell in code_cells(n):
            for output in cell["outputs"]:
                html = output.get("data", {}).get("text/html")
                if html is not None:
                    output["data"]["text/html"] = "".join(html).replace(old, new)

    return change


def _answer(tag, said):
    def change(n):
        tagged(n, tag)[0]["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": said}}]

    return change


def _error(n):
    code_cells(n)[4]["outputs"] = [{"output_type": "error", "ename": "E", "evalue": "", "traceback": []}]


SPOILED = {
    "headings": _swap_headings,
    "executed: not": lambda n: code_cells(n)[5].update(execution_count=99),
    "executed: a stored error": _error,
    "parameters: no": _retag("parameters", "other"),
    "parameters: settings": lambda n: [
        c.update(source=[text(c).replace("with_settings(", "(")]) for c in code_cells(n)
    ],
    "lengths: a cell of 31": _long_cell,
    "lengths: 0 words": lambda n: [c.update(source=[]) for c in n["cells"] if c["cell_type"] == "markdown"],
    "figures: a figure without": _strip_alt,
    "figures: a figure cell that": lambda n: _first(n, "image/png").update(source=["fig;"]),
    "figures: not exactly one": _retag("card-picture", "other"),
    "moving: no moving": _replace_html("fh-explore", "other"),
    "moving: a moving figure without": _replace_html("<figcaption>", ""),
    "bands": lambda n: [c.update(source=[text(c).replace("expected_band", "other")]) for c in code_cells(n)],
    "no_widgets": lambda n: _first(n, "image/png")["outputs"][0]["data"].update(
        {"application/vnd.jupyter.widget-view+json": {}}
    ),
    "exercises: exercise 2 has no stub": _retag("exercise-2", "other"),
    "exercises: the stub of exercise 1": _answer("exercise-1", "Correct."),
    "exercises: the solution of exercise 1 does": _answer("solution-1", "Not yet."),
    "exercises: the solution of exercise 1 is": _retag("hide-cell", "other"),
    "exercises: an exercise without a hint": lambda n: [
        c.update(source=[text(c).replace("Hint", "Tip")]) for c in n["cells"] if c["cell_type"] == "markdown"
    ],
    "claims: claims shown": _replace_html('data-claim="', 'data-claim="un'),
    "claims: claims of the evidence": _replace_html("data-claim=", "data-other="),
    "computed_numbers: a typed number: 0.93": _typed("It was right in 0.93 of all cases."),
    "computed_numbers: a typed number: 7 %": _typed("It was right in 7 % of all cases."),
    "computed_numbers: a typed number: 4711": _typed("It took 4711 steps."),
    "no_paths": _typed("See " + "/home" + "/someone/notes."),
}


@pytest.mark.parametrize("problem", SPOILED)
def test_every_rule_bites(problem):
    key = next(iter(chapters()))
    notebook = copy.deepcopy(contract.read(notebook_path(key)))
    SPOILED[problem](notebook)
    assert any(found.startswith(problem) for found in contract.problems(notebook, key))


def test_a_slow_notebook_fails(monkeypatch, tmp_path):
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "runs.json").write_text('{"hcvi": {"seconds": 301}}')
    monkeypatch.setattr(contract, "PACKAGE", tmp_path)
    assert list(contract.run_time({}, "hcvi")) == ["it takes 301 s"]
    assert list(contract.run_time({}, "other")) != []


# ------------------------------------------------------------------------------------------ the package


@pytest.mark.parametrize("file", NAMES, ids=lambda f: f.stem)
def test_public_names_exist_with_their_parameters(file):
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    module = importlib.import_module(table["package"])
    for name in table["names"]:
        assert name in module.__all__, name
        assert name.isupper() or inspect.getdoc(getattr(module, name)), f"{name} has no docstring"
    for name, parameters in table.get("parameters", {}).items():
        assert list(inspect.signature(getattr(module, name)).parameters) == parameters, name


@pytest.mark.parametrize("key", chapters())
def test_every_chapter_has_names_presets_and_a_page(key):
    assert (ROOT / "tests" / "names" / f"{key}.toml").is_file()
    assert {"smoke", "book", "paper"} <= set(importlib.import_module(f"firsthand.{key}").PRESETS)
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [c["file"] for part in toc["parts"] for c in part["chapters"]]
    assert f"notebooks/{chapters()[key].stem}" in files


def test_every_public_function_is_documented():
    for package in (PACKAGE / "kit", PACKAGE / "data", PACKAGE / "primer", *(PACKAGE / key for key in chapters())):
        for file in package.glob("*.py"):
            name = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
            module = importlib.import_module(name)
            assert module.__doc__, name
            for attribute, value in vars(module).items():
                public = inspect.isclass(value) or (inspect.isfunction(value) and file.stem != "measures")
                if public and not attribute.startswith("_") and value.__module__ == name:
                    assert inspect.getdoc(value), f"{name}.{attribute} has no docstring"


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


def test_no_tracked_file_names_a_machine():
    machine = re.compile(r"/(?:home|root|Users|work)/\w[\w.-]*/|@[\w-]+\.local\b")
    for file in _tracked():
        if (
            file.suffix in (".py", ".md", ".ipynb", ".json", ".toml", ".yml", ".js", ".css", ".bib")
            and "lib" not in file.parts
        ):
            found = machine.search(file.read_text(encoding="utf-8"))
            assert not found, f"{file.relative_to(ROOT)}: {found[0]}"


def test_nothing_is_unpickled_or_evaluated():
    forbidden = re.compile(r"\bpickle\b|torch\.load\(|(?<![\w.])eval\(|(?<![\w.])exec\(|yaml\.load\(|allow_pickle=True")
    for file in (ROOT / "src").rglob("*.py"):
        code = "\n".join(line.split("#")[0] for line in file.read_text(encoding="utf-8").splitlines())
        assert not forbidden.search(code), file


def test_files_are_of_a_readable_length():
    for file in (ROOT / "src").rglob("*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file


@pytest.mark.parametrize("key", chapters())
def test_the_ledger_has_every_verdict_word_in_its_summary(key):
    content, words = evidence.load(key), pages.verdict_words(key)
    of_paper, others = evidence.counts(content, "paper"), evidence.counts(content, "code", "ours")
    assert f"{of_paper['holds']} of {sum(of_paper.values())} of the paper's claims hold" in words
    assert f"{others['holds']} of {sum(others.values())} of its code's and ours" in words
    both = {name: of_paper[name] + others[name] for name in of_paper}
    assert both == evidence.counts(content)
