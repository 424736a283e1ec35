"""The command line: what it prints, how fast it answers, and one sentence for every refusal."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from firsthand.cli import main

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
