"""A full disk, two runs in one folder, damaged and foreign files, Ctrl-C: one sentence, and nothing is lost."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from firsthand.cli import main
from firsthand.errors import UserError
from firsthand.kit.lab.sweep import alone
from firsthand.kit.train.loop import load_tensors, save_tensors

#: Saves ever larger files through the command line's own entry.
GROWING = """
import sys, torch
from pathlib import Path
import firsthand.cli as cli
from firsthand.kit.train.loop import save_tensors

def grow(arguments):
    for number in range(1, 100):
        save_tensors(Path(sys.argv[1]) / "run.safetensors", {"a": torch.ones(20_000)}, {"number": number})
        save_tensors(Path(sys.argv[1]) / f"part-{number}.safetensors", {"a": torch.ones(20_000)}, {})

cli._list = grow
sys.exit(cli.main(["list"]))
"""


def _grow(folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GROWING, str(folder)], check=False, capture_output=True, text=True, timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, **options,
    )  # type: ignore[call-overload]  # fmt: skip


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_whole(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        shutil.which("mount")
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(disk)], check=False, capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("this user cannot mount a small disk; the next test cuts files instead")
    try:
        done = _grow(disk)
        assert done.returncode == 2, done.stderr
        assert done.stderr == "No space left on device. What was written before is whole.\n"
        assert load_tensors(disk / "run.safetensors")[1]["number"] >= 1
        assert not [name for name in os.listdir(disk) if name.startswith(".")]  # nothing half written is left
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_file_that_may_not_grow_leaves_the_one_before_it(tmp_path: Path) -> None:
    save_tensors(tmp_path / "run.safetensors", {"a": torch.ones(4)}, {"number": 0})

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    done = _grow(tmp_path, preexec_fn=small)
    assert (done.returncode, done.stderr) == (2, "File too large. What was written before is whole.\n")
    assert load_tensors(tmp_path / "run.safetensors")[1] == {"number": 0}
    assert os.listdir(tmp_path) == ["run.safetensors"]


def test_the_second_run_in_a_folder_is_refused_while_the_first_lives(tmp_path, monkeypatch, capsys):
    from firsthand.convnextv2.lab import pipeline as experiment

    folder = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, time; from pathlib import Path; from firsthand.kit.lab.sweep import alone\n"
         "with alone(Path(sys.argv[1]), 'no'):\n print('held', flush=True); time.sleep(600)", str(folder)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    monkeypatch.setattr(experiment, "run", lambda *_, **__: pytest.fail("it began all the same"))
    assert main(["run", "convnextv2", "--preset", "smoke", "--out", str(folder)]) == 2
    assert capsys.readouterr().err.startswith("Another run writes to ")
    holder.kill()
    holder.communicate()
    with alone(folder, "no"):  # a lock does not outlive its process
        pass


def test_a_refused_run_leaves_no_folder(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["run", "convnextv2", "--preset", "paper", "--out", str(folder)]) == 2
    assert "has no folder 'train'" in capsys.readouterr().err
    assert not folder.exists()
    folder.mkdir()  # one that was there stays
    assert main(["run", "convnextv2", "--preset", "paper", "--out", str(folder)]) == 2
    assert folder.is_dir()


def test_the_second_sweep_of_a_chapter_is_refused(tmp_path, monkeypatch):
    from firsthand.kit.lab import measuring

    monkeypatch.chdir(tmp_path)
    folder = Path(".firsthand") / "evidence" / "hcvi"
    with alone(folder, "no"), pytest.raises(UserError, match="Another sweep measures hcvi here"):
        measuring.measure("hcvi", progress=False, anew=True)


def test_half_a_finished_cell_is_named(tmp_path, monkeypatch):
    from firsthand.kit.lab import measuring

    monkeypatch.chdir(tmp_path)
    folder = Path(".firsthand") / "evidence" / "hcvi"
    folder.mkdir(parents=True)
    (folder / "seed-002.json").write_text('{"a": {"method": 1.0, "base')
    with pytest.raises(UserError, match=r"seed-002\.json .* is damaged: delete it"):
        measuring.measure("hcvi", progress=False, anew=True)


@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    script = (
        "import signal, sys; import firsthand.cli as cli; from pathlib import Path; from tests.torture import victims\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job would ignore it
        "cli._list = lambda _: victims.training(Path(sys.argv[1]), 0.05)\nsys.exit(cli.main(['list']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2], env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    for _ in range(600):
        if (tmp_path / "run.safetensors").is_file():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=600)
    assert process.returncode == 130
    assert error.splitlines()[-1] == "Stopped; the same command goes on where it was."
    assert "Traceback" not in error
    assert 0 < len(load_tensors(tmp_path / "run.safetensors")[1]["losses"]) < 80


@pytest.mark.parametrize("kind", ["truncated", "foreign", "no text", "another key"])
@pytest.mark.parametrize(
    "command", [["run", "hcvi", "--notebook", "{}/out.ipynb"], ["coursework", "build", "hcvi", "--to", "{}/made"],
                ["coursework", "slides", "hcvi", "--to", "{}/decks"]],
    ids=["run", "editions", "slides"],
)  # fmt: skip
def test_a_damaged_notebook_is_named(kind, command, tmp_path, monkeypatch, capsys):
    from firsthand.cli import main
    from firsthand.kit.page import notebooks

    whole = notebooks.notebook_path("hcvi").read_bytes()
    spoiled = tmp_path / "01_hcvi.ipynb"
    content = {"truncated": whole[: len(whole) // 2], "foreign": b"[1, 2]", "no text": b"\xff\xfe\x00"}
    spoiled.write_bytes(content.get(kind, whole.replace(b'"cell_type"', b'"cel_type"')))
    monkeypatch.setattr(notebooks, "notebook_path", lambda key: spoiled)
    if command[0] == "run":
        monkeypatch.setattr("firsthand.cli.run.notebook_path", lambda key: spoiled)
    assert main([word.format(tmp_path) for word in command]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("01_hcvi.ipynb is no notebook: ")
    assert said.endswith("`git checkout notebooks/01_hcvi.ipynb` brings the book's own back.")
    assert "\n" not in said
    assert {f.name for f in tmp_path.rglob("*") if f.is_file()} == {"01_hcvi.ipynb"}
