"""The command line: what it prints, how fast it answers, and one sentence for every refusal."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from firsthand.chapters import PACKAGE, chapters
from firsthand.cli import main
from firsthand.cli.run import EXAMPLE, LARGEST_SEED

ROOT = Path(__file__).parents[2]

REFUSALS = [
    (["run", "nothing"], "Unknown chapter 'nothing': choose one of hcvi"),
    (["run", "hcvi", "--preset", "huge"], "Unknown preset 'huge'"),
    (["run", "hcvi", "--device", "tpu"], "Unknown device 'tpu'"),
    (["run", "hcvi", "--seed", "-1"], "--seed must be 0 or more"),
    (["run", "hcvi", "--seed", "x"], "invalid int value: 'x'"),
    (["run", "hcvi", "--data", "no/where.csv"], "No file or folder 'no/where.csv'"),
    (["run", "hcvi", "--json", "no/where/out.json"], "No folder 'no/where'"),
    (["run", "hcvi", "--preset", "paper"], "clustering-data-v1"),
    (["run", "hcvi", "--preset", "paper-finetune"], "hcvi has no preset 'paper-finetune': choose one of smoke"),
    (["run", "hcvi", "--out", "somewhere"], "hcvi takes no --out"),
    (["run", "hcvi", "--weights", "no.safetensors"], "No file 'no.safetensors' for --weights"),
    (["run", "convnextv2", "--preset", "paper"], "has no folder 'train'"),
    (["run", "convnextv2", "--preset", "paper-finetune"], "has no folder 'train'"),
    (["evidence", "hcvi", "--workers", "0"], "--workers must be at least 1"),
    (["evidence", "hcvi", "--seeds", "3"], "at least 5 seeds"),
    (["evidence", "nothing"], "Unknown chapter"),
    (["evidence", "hcvi", "--claim", "levels"], "--claim names a row of one chapter that --verify recomputes"),
    (["evidence", "hcvi", "--verify", "--claim", "nothing"], "hcvi has no claim 'nothing'"),
    (["evidence", "hcvi", "--seeds", "1000000000000"], "at most 1,000; got 1000000000000."),
    (["evidence", "hcvi", "--workers", "1000000000000"], "--workers must be at most 1,000"),
    (["evidence", "hcvi", "--confirm", "--minutes", "nan"], "--minutes must be a number from 0 on; got nan."),
    (["evidence", "hcvi", "--confirm", "--minutes", "inf"], "--minutes must be a number from 0 on; got inf."),
    (["evidence", "hcvi", "--minutes", "3"], "--minutes goes with --confirm."),
    (["evidence", "hcvi", "--since", "HEAD~1"], "--since goes with --renamed."),
    (["evidence", "hcvi", "--renamed", "a"], "--renamed takes names as OLD=NEW; got a."),
    (["evidence", "hcvi", "--verify", "--seeds", "9"], "--seeds is for measuring; it goes with no other work."),
    (["evidence", "hcvi", "--reword", "--scheduler", "tcp://a:1"], "--scheduler is for measuring"),
    (["coursework", "grade", "tests", "--workers", "1000000000000"], "--workers must be at most 1,000"),
    (["run", "hcvi", "--device", "cuda:99999999999999999999"], "Unknown device 'cuda:99999999999999999999'"),
    (["run", "hcvi", "--device", "cuda:²"], "Unknown device 'cuda:²'"),
    (["run", "hcvi", "--data", ""], "No file or folder '' for --data."),
    (["run", "hcvi", "--json", "tests"], "'tests' is a folder; name a file to write."),
    (["run", "drgnet", "--out", "pyproject.toml"], "pyproject.toml is a file; --out must be a folder."),
    (["run", "hcvi", "--notebook", "a.ipynb", "--out", "b"], "--out cannot be combined with --notebook"),
    (["run", "hcvi", "--notebook", "a.ipynb", "--json", "b"], "--json cannot be combined with --notebook"),
    (["run", "dmjd", "--notebook", "a.ipynb", "--weights", "pyproject.toml"], "--weights cannot be combined with"),
    (["run", "convnextv2", "--weights", "pyproject.toml"], "preset smoke of convnextv2 pre-trains from fresh weights"),
    (["run", "dmjd", "--weights", "pyproject.toml"], "preset smoke of dmjd pre-trains from fresh weights"),
    (["run", "nerfgaze", "--out", "somewhere"], "preset smoke of nerfgaze keeps no checkpoints."),
    (["run", "hcvi", "--set", "k_max"], "--set takes NAME=VALUE; got 'k_max'."),
    (["run", "hcvi", "--set", "=3"], "--set takes NAME=VALUE; got '=3'."),
    (["run", "hcvi", "--set", "kmax=3"], "Unknown setting 'kmax': the nearest are k_max."),
    (["run", "hcvi", "--set", "k_max=x"], "k_max must be a whole number below 2^63; got 'x'."),
    (["run", "hcvi", "--set", "k_max=3", "--set", "k_max=4"], "--set k_max is given twice"),
    (["run", "hcvi", "--set", "data=a.csv"], "data has an option of its own: give --data a.csv."),
    (["run", "hcvi", "--set", "shapes=circle"], "The run stopped with shapes=circle: KeyError: 'circle'."),
    (["run", "hcvi", "--set", "preset=book"], "preset is no setting"),
    (["run", "drgnet", "--set", "lesion.steps=3"], "Unknown setting 'lesion.steps': the nearest are lesions.steps"),
    (["run", "drgnet", "--set", "attention=all"], "The run stopped with attention=all: Unknown attention 'all'"),
    (["run", "dmjd", "--set", "precision=fp8"], "Unknown precision 'fp8': choose auto, fp32 or bf16."),
    (["run", "convnextv2", "--set", "precision=fp8"], "Unknown precision 'fp8': choose auto, fp32 or bf16."),
    (["run", "dgfont", "--set", "recipe.optimizer=sgd"], "recipe: Unknown optimizer 'sgd': choose adam or rmsprop."),
    (["run", "dgfont", "--set", "recipe.steps=0"], "recipe: warmup must lie between 0 and steps; got 1 of 0."),
    (["dance"], "invalid choice: 'dance'"),
    ([], "required: COMMAND"),
]


@pytest.mark.parametrize(("argv", "words"), REFUSALS)
def test_refusals_are_one_sentence(argv, words, capsys):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("seed", [2**31, 2**32, 10**16, 10**17, 2**63, 10**30])
@pytest.mark.parametrize("key", chapters())
def test_a_seed_is_too_large_for_every_chapter_alike(key, seed, capsys):
    assert main(["run", key, "--preset", "smoke", "--seed", str(seed)]) == 2
    assert capsys.readouterr() == ("", f"--seed must be at most {LARGEST_SEED}; got {seed}.\n")


@pytest.mark.slow
@pytest.mark.parametrize("key", chapters())
def test_the_largest_seed_runs_in_every_chapter(key, capsys):
    assert main(["run", key, "--preset", "smoke", "--seed", str(LARGEST_SEED)]) == 0
    assert f"{key}, preset smoke, seed {LARGEST_SEED}" in capsys.readouterr().out


def test_damaged_data_are_refused(tmp_path, capsys):
    file = tmp_path / "bad.csv"
    file.write_text("1,2\n3,x\n")
    target = tmp_path / "out.json"
    assert main(["run", "hcvi", "--data", str(file), "--json", str(target)]) == 2
    assert "row 2, column 2" in capsys.readouterr().err
    assert not target.exists()


def test_run_prints_the_same_result_twice(capsys, tmp_path):
    texts = []
    for i in range(2):
        assert main(["run", "hcvi", "--seed", "5", "--json", str(tmp_path / f"{i}.json")]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert "bars4/HCVI-R/k" in texts[0]
    first, second = ((tmp_path / f"{i}.json").read_bytes() for i in range(2))
    assert first == second
    assert json.loads(first)["seed"] == 5


def test_list_names_chapters_and_verdicts(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "01  hcvi" in out
    assert "holds" in out


def test_doctor_reports(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "torch" in out
    assert "evidence of hcvi" in out
    assert "FAIL" not in out


@pytest.mark.parametrize("argv", [["--help"], ["list"], ["run", "hcvi", "--preset", "huge"]])
def test_light_commands_import_nothing_heavy(argv):
    code = (
        "import sys\nfrom firsthand.cli import main\n"
        f"try:\n    main({argv!r})\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', sorted({'torch', 'numpy', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip().endswith("HEAVY []")


@pytest.mark.parametrize("page", ["book/how_to_use.md", "help"])
def test_settings_from_the_command_line_as_documented(page, capsys, tmp_path):
    text = EXAMPLE if page == "help" else (ROOT / page).read_text(encoding="utf-8")
    (command,) = (line.split("#")[0].strip() for line in text.splitlines() if line.strip().startswith("firsthand run")
                  and "--set" in line)  # fmt: skip
    _, *words = shlex.split(command)
    assert main([*words, "--json", str(tmp_path / "out.json")]) == 0
    assert "drgnet, preset smoke with attention=none, lesions.steps=3, seed 0" in capsys.readouterr().out
    content = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert content["settings"] == {"lesions.steps": 3, "attention": "none"}
    assert len(content["arrays"]["loss/lesions"]) == 3


def test_settings_go_with_data_and_the_help_tells_them(capsys, tmp_path):
    file, target = tmp_path / "points.csv", tmp_path / "out.json"
    file.write_text("\n".join(f"{i % 3 * 9 + i / 40},{i % 7}" for i in range(40)), encoding="utf-8")
    words = ["run", "hcvi", "--preset", "book", "--data", str(file), "--json", str(target)]
    assert main([*words, "--set", "k_max=3"]) == 0
    out = capsys.readouterr().out
    assert "hcvi, preset book with k_max=3, seed 0" in out
    assert json.loads(target.read_text(encoding="utf-8"))["settings"] == {"k_max": 3}
    assert main([*words, "--set", "k_max=10"]) == 0  # the preset's own
    assert "settings" not in json.loads(target.read_text(encoding="utf-8"))
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert EXAMPLE in capsys.readouterr().out


@pytest.fixture
def small_notebook(tmp_path, monkeypatch):
    """A notebook of two cells in the place of hcvi's, in a folder with braces in its name."""
    folder = tmp_path / "{preset}{0}"
    folder.mkdir()
    cells = [nbformat.v4.new_code_cell("preset = 'book'\nseed = 0\ndevice = 'cpu'\nsettings = {}")]
    cells[0].metadata["tags"] = ["parameters"]
    cells.append(nbformat.v4.new_code_cell("print([preset, settings])"))
    file = folder / "01_hcvi.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), file)
    for module in ("firsthand.kit.page.notebooks", "firsthand.cli.run"):
        monkeypatch.setattr(f"{module}.notebook_path", lambda key: file)
    return file


def test_braces_in_paths_are_braces_and_a_notebook_gets_settings(small_notebook, tmp_path):
    target = tmp_path / "{seed} {x.ipynb"
    words = ["run", "hcvi", "--preset", "smoke", "--notebook", str(target)]
    assert main([*words, "--set", "k_max=3", "--set", "shapes=bars4,rings", "--set", "noise=0.25"]) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"{seed} {x.ipynb", "{preset}{0}"}
    said = nbformat.read(target, as_version=4).cells[-1].outputs[0].text
    expected = {"shapes": ["bars4", "rings"], "noise": 0.25, "k_max": 3}
    assert ast.literal_eval(said) == ["smoke", expected]


def test_a_notebook_without_settings_refuses_them(small_notebook, tmp_path, capsys):
    book = nbformat.read(small_notebook, as_version=4)
    words = ["run", "hcvi", "--notebook", str(tmp_path / "out.ipynb"), "--set"]
    assert main([*words, "k_max=x"]) == 2
    assert "k_max must be a whole number" in capsys.readouterr().err
    book.cells[0].source = "preset = 'book'  # no settings"
    nbformat.write(book, small_notebook)
    assert main([*words, "k_max=3"]) == 2
    assert "The notebook of hcvi takes no settings" in capsys.readouterr().err
    assert not (tmp_path / "out.ipynb").exists()


def test_a_folder_named_like_a_librarys_data_is_told_apart(tmp_path, monkeypatch, capsys):
    from firsthand.dgfont.lab import pipeline

    asked = []
    monkeypatch.setattr(pipeline, "run", lambda config, **_: asked.append(config.data) or 1 / 0)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZeroDivisionError):
        main(["run", "dgfont", "--data", "latin"])
    (tmp_path / "latin").mkdir()
    assert main(["run", "dgfont", "--data", "latin"]) == 2
    assert f"give .{os.sep}latin for what is there" in capsys.readouterr().err
    for given in ("./latin", "latin/", str(tmp_path / "latin")):
        with pytest.raises(ZeroDivisionError):
            main(["run", "dgfont", "--data", given])
    assert asked == ["latin", "./latin", "latin/", str(tmp_path / "latin")]


def test_weights_reach_fine_tuning(tmp_path, monkeypatch):
    from firsthand.convnextv2.lab import pipeline

    asked = []
    monkeypatch.setattr(pipeline, "run", lambda config, **_: asked.append(config.weights) or 1 / 0)
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"")
    for words in (["--preset", "paper-finetune"], ["--set", "task=finetune"]):
        with pytest.raises((ZeroDivisionError, SystemExit)):
            raise SystemExit(main(["run", "convnextv2", *words, "--weights", str(file)]))
    assert asked == [str(file)] * 2


def test_the_command_line_speaks_the_fields_words():
    banned = re.compile(r"\b(judge|rival|deal|room|share|chance|film|nought)(s|d|ed)?\b", re.IGNORECASE)
    for source in (*(PACKAGE / "cli").glob("*.py"), PACKAGE / "doctor.py", PACKAGE / "kit" / "lab" / "settings.py"):
        assert not banned.findall(source.read_text(encoding="utf-8")), source.name


def test_a_notebook_run_refuses_data(tmp_path, capsys):
    target = tmp_path / "out.ipynb"
    assert main(["run", "hcvi", "--notebook", str(target), "--data", "pyproject.toml"]) == 2
    assert "cannot be combined" in capsys.readouterr().err
    assert not target.exists()


@pytest.mark.parametrize("chapter", ["hcvi", "grnn"])
def test_a_launcher_of_processes_is_told_where_there_is_one(chapter, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["run", chapter, "--preset", "smoke"]) == 2
    assert "runs in one process; the launcher started 2." in capsys.readouterr().err


def test_evidence_of_all_is_one_sweep(monkeypatch, capsys):
    from firsthand.chapters import chapters
    from firsthand.kit.lab import measuring

    asked = []
    monkeypatch.setattr(measuring, "measure_all", lambda keys, **options: asked.append((keys, options)) or [])
    assert main(["evidence", "all", "--workers", "3"]) == 0
    assert asked == [(list(chapters()), {"seeds": 5, "workers": 3, "scheduler": None, "anew": False})]
