"""The whole procedure on tiny pictures: it runs, repeats, reads folders, and refuses what it cannot use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from firsthand.data.drawn.fundus import fundus
from firsthand.drgnet.feedback import Expert
from firsthand.drgnet.interaction import interact
from firsthand.drgnet.lab import pipeline
from firsthand.drgnet.lab.pipeline import PRESETS, run, with_data
from firsthand.drgnet.system import DRGNet, gathered
from firsthand.errors import UserError
from tests.writers.retinas import write_fgadr

SMOKE = PRESETS["smoke"]


def test_one_run_does_everything_and_repeats() -> None:
    first, again = (run(SMOKE, progress=False, device="cpu") for _ in range(2))
    assert {"precision/EX", "kappa", "precision/pool/before", "precision/pool/after", "moved"} <= set(first.metrics)
    assert first.arrays["loss/lesions"].shape == (2,)
    assert np.array_equal(first.arrays["loss/grades"], again.arrays["loss/grades"])
    known = {name: value for name, value in first.metrics.items() if value == value}
    assert known == {name: value for name, value in again.metrics.items() if value == value}


def test_a_folder_of_real_pictures_is_trained_on(tmp_path: Path) -> None:
    write_fgadr(tmp_path, [fundus(seed, size=64, grade=2) for seed in range(12)])
    found = run(replace(with_data(SMOKE, str(tmp_path)), chosen=1), progress=False, device="cpu")
    assert found.metrics["moved"] >= 0


def test_no_folder_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be a folder in FGADR's layout"):
        with_data(SMOKE, str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="give --data FOLDER"):
        run(PRESETS["paper"], progress=False)


def test_a_run_goes_on_from_the_checkpoints_of_its_stages(tmp_path):
    config = replace(PRESETS["smoke"], out=str(tmp_path / "run"))
    whole = run(config, device="cpu", progress=False)
    names = ["grades", "lesions", "together", "union"]
    assert sorted(file.stem for file in (tmp_path / "run").glob("*.safetensors")) == names
    (tmp_path / "run" / "together.safetensors").unlink()  # as if it had been killed before
    again = run(config, device="cpu", progress=False)
    assert again.to_json() == whole.to_json()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chosen": 3}, "1 rounds of 3 pictures leave none of the pool's 3 uncorrected"),
        ({"rounds": 2, "chosen": 2}, "2 rounds of 2 pictures leave none"),
        ({"together": replace(SMOKE.together, batch=7)}, "There are 6 pictures to train on, fewer than a batch"),
        ({"update": replace(SMOKE.update, batch=14)}, "fewer than a round replays"),
    ],
)
def test_sizes_that_do_not_fit_are_said_before_training(change, words, monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "train_segmenter", lambda *_, **__: pytest.fail("it trained"))
    with pytest.raises(UserError, match=words):
        run(replace(SMOKE, **change), progress=False, device="cpu")


def test_the_paper_on_as_few_pictures_as_idrid_has_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "train_segmenter", lambda *_, **__: pytest.fail("it trained"))
    write_fgadr(tmp_path, [fundus(seed, size=64, grade=2) for seed in range(54)])
    config = replace(with_data(PRESETS["paper"], str(tmp_path)), size=64)
    with pytest.raises(UserError, match="4 rounds of 5 pictures leave none of the pool's 11 uncorrected"):
        run(config, progress=False, device="cpu")


def test_rounds_need_as_many_pictures_as_they_take() -> None:
    data = gathered([fundus(seed, size=32) for seed in range(3)])
    with pytest.raises(ValueError, match="2 rounds of 2 pictures need as many; the pool has 3"):
        interact(DRGNet(width=2), data, data, Expert(), rounds=2, pictures=2)
