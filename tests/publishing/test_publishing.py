"""What is published with the book says what the book says, and the workflows call what exists."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from jupyter_book.config import get_final_config

ROOT = Path(__file__).parents[2]


def load(path: str):
    spec = importlib.util.spec_from_file_location(f"loaded_{Path(path).stem}", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def test_the_citation_says_the_version_and_the_licence():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cited["version"] == project["version"]
    assert project["license"] in cited["license"]
    assert cited["authors"] == project["authors"]
    assert cited["title"].startswith("Firsthand: machine-learning papers that you read, run, check and break")


@pytest.mark.parametrize("file", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda f: f.stem)
def test_workflows_call_what_there_is(file):
    text = file.read_text(encoding="utf-8")
    flow = yaml.safe_load(text)
    assert flow["permissions"]["contents"] == "read"
    targets = set(re.findall(r"^([\w./$()-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for target in re.findall(r"\bmake ([\w.-]+)(?![\w/.])", text):
        assert target in targets, target
    for script in re.findall(r"(scripts/\w+\.py|\.ci/run|notebooks/\w+\.ipynb)", text):
        assert (ROOT / script).is_file(), script
    for job in flow["jobs"].values():
        assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", s["uses"]) for s in job["steps"] if "uses" in s)


def test_the_key_that_publishing_fills_is_there():
    assert '\n  url: ""  #' in (ROOT / "_config.yml").read_text(encoding="utf-8")


def test_copies_for_colab_install_first_and_tell_no_hidden_test(tmp_path):
    source = ROOT / "notebooks" / "01_hcvi.ipynb"
    load("scripts/colab.py").copy(source, tmp_path / "made" / "01.ipynb", "https://example.org/book", "v1")
    made, book = nbformat.read(tmp_path / "made" / "01.ipynb", 4), nbformat.read(source, 4)
    nbformat.validate(made)
    assert '"firsthand @ git+https://example.org/book@v1"' in made.cells[0].source
    kept = [c.source for c in book.cells if not any(t.startswith("hidden-") for t in c.metadata.get("tags", []))]
    assert [c.source for c in made.cells[1:]] == kept
    assert len(kept) < len(book.cells)
    assert not any(c.get("outputs") for c in made.cells)


def test_versions_of_colab_are_those_of_our_dependencies():
    freeze = """# a list
absl-py==1.4.0
Pillow==11.3.0
scikit_image==0.25.2
torch @ https://download.pytorch.org/whl/cu118/torch-2.1.0%2Bcu118-cp310-cp310-linux_x86_64.whl#sha256=a81b
torchvision==0.24.0+cu126
torchaudio==2.9.0
ipykernel==6.17.1
"""
    wanted = ["Pillow==11.3.0", "scikit_image==0.25.2", "torch==2.1.0", "torchvision==0.24.0", "ipykernel==6.17.1"]
    assert load("scripts/colab.py").pins(freeze) == wanted


def test_speeds_come_from_the_results():
    module = load("book/_ext/speed.py")
    found = module.rows()
    assert {row["file"] for row, _, _ in found} == {file.stem for file in (ROOT / "benchmarks" / "results").glob("*")}
    assert all(0.005 < ratio < 500 for _, ratio, _ in found)
    content = {"rows": [{"n": 1, "form": "a b", "s": 2.0}, {"n": 2, "form": "a b", "s": 4.0}]}
    one, two = (["rows", f"n={n} form=a_b", "s"] for n in (1, 2))
    assert module.at(content, two) == 4
    assert module.speed({"seconds": [one, two]}, content) == 2
    assert module.speed({"rates": [one, two]}, content) == 0.5
    assert module.speed({"slower": two}, content) == 0.25
    assert module.speed({"faster": two}, content) == 4


def test_seconds_of_the_checks_are_kept(tmp_path, monkeypatch):
    module = load("scripts/test.py")
    monkeypatch.setattr(module, "RECORD", tmp_path / "checks.json")
    monkeypatch.setattr(module, "run", lambda part: (part != "types", 2.0, "3 passed"))
    assert module.main(["--record", "lint", "types"]) == 1
    assert not module.RECORD.exists()
    assert module.main(["lint", "imports"]) == 0
    assert not module.RECORD.exists()
    assert module.main(["--record", "lint", "imports"]) == 0
    assert json.loads(module.RECORD.read_text(encoding="utf-8"))["seconds"] == {"lint": 2.0, "imports": 2.0}


def test_a_page_weighs_what_a_browser_loads_for_it(tmp_path):
    pages, pictures = tmp_path / "notebooks", tmp_path / "_images"
    pages.mkdir()
    pictures.mkdir()
    (pictures / "a.png").write_bytes(bytes(40_000))
    text = '<img alt="a" src="../_images/a.png"/><img src="../_images/a.png"/><img src="data:image/png;base64,AA"/>'
    (pages / "01_hcvi.html").write_text(text + " " * (60_000 - len(text)), encoding="utf-8")
    assert load("scripts/test.py").weights(tmp_path) == {"hcvi": 0.1}


def test_links_elsewhere_hang_on_one_key():
    module = load("book/_ext/elsewhere.py")
    for url, count in (("", 0), ("https://github.com/some/book/", 2), ("https://example.org/book", 0)):
        app = SimpleNamespace(config=SimpleNamespace(html_theme_options={"repository_url": url}))
        context = {"body": "text"}
        module._above(app, "notebooks/01_hcvi", "", context, None)
        module._buttons(app, app.config)
        assert context["body"].endswith("text")
        assert context["body"].count("<a href=") == count
        assert app.config.html_theme_options.get("use_edit_page_button", False) is bool(url)
    assert "some/book/blob/colab/colab/01_hcvi.ipynb" in module.links("https://github.com/some/book", "01_hcvi")


def test_the_address_reaches_the_theme():
    user = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    user["repository"]["url"] = "https://github.com/some/book"
    options = get_final_config(user_yaml=user, cli_config={"latex_individualpages": False})[0]["html_theme_options"]
    assert options["repository_url"] == "https://github.com/some/book"
    assert options["repository_branch"] == "main"
    assert options["logo"] == {"text": "Firsthand"}


def test_a_card_leads_on_where_there_is_a_site():
    rows = "".join(
        f"<tr><td><p><strong>{name}</strong></p></td>\n<td><p>words</p></td></tr>" for name in ("You need", "Verdicts")
    )
    context = {"body": rows}
    load("book/_ext/firsthand_book.py")._card_links(None, "notebooks/01_hcvi", "", context, None)
    assert context["body"].count("words (<a href=") == 2
    assert '(<a href="../book/evidence.html">every row</a>)</p></td></tr>' in context["body"]


def test_the_archive_opens_from_a_folder(tmp_path, monkeypatch, capsys):
    module = load("scripts/offline.py")
    site = tmp_path / "html"
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "SITE", site)
    monkeypatch.setattr(module, "TARGET", tmp_path / "book.zip")
    assert module.main() == 2
    (site / "a").mkdir(parents=True)
    (site / "index.html").write_text("<p>", encoding="utf-8")
    (site / "a" / "b.js").write_text("1", encoding="utf-8")
    assert module.main() == 0
    first = module.TARGET.read_bytes()
    assert module.main() == 0
    assert module.TARGET.read_bytes() == first
    with zipfile.ZipFile(module.TARGET) as archive:
        assert archive.namelist() == ["firsthand/a/b.js", "firsthand/index.html"]
