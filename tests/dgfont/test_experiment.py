"""The experiment from end to end: the shipped set, letters, a folder of fonts, and a run that goes on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from firsthand.cli import main
from firsthand.dgfont import PRESETS, run
from firsthand.dgfont.lab.pipeline import glyphs_of, with_data
from firsthand.errors import UserError

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
SMOKE = PRESETS["smoke"]


@pytest.mark.slow
def test_a_smoke_run_scores_kept_characters_in_both_kinds_of_fonts() -> None:
    result = run(SMOKE, seed=1, device="cpu", progress=False)
    assert result.arrays["made"].shape == result.arrays["true"].shape == (5, 40, 32, 32)
    assert {"l1/seen", "l1/unseen", "ssim/seen", "copy/l1/unseen", "retrieval", "move"} <= result.metrics.keys()
    assert all(np.isfinite(value) for value in result.metrics.values())
    assert result.metrics["copy/l1/unseen"] > 0.05
    again = run(SMOKE, seed=1, device="cpu", progress=False)
    assert np.array_equal(again.arrays["made"], result.arrays["made"])


def test_letters_and_any_folder_of_fonts_will_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(with_data(SMOKE, "latin"), device="cpu").arrays["made"].shape[0] == 3
    assert main(["run", "dgfont", "--preset", "smoke", "--data", "latin", "--device", "cpu"]) == 0
    assert main(["run", "dgfont", "--preset", "smoke", "--data", "greek", "--device", "cpu"]) == 2
    for name in ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral"):
        shutil.copy(FONTS / f"{name}.ttf", tmp_path)
    (tmp_path / "broken.ttf").write_bytes(b"")
    config = replace(with_data(SMOKE, str(tmp_path)), characters="ABCDEFGH")
    assert run(config, device="cpu").arrays["made"].shape == (1, 2, 32, 32)
    assert "1 fonts are skipped or incomplete" in capsys.readouterr().out


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a folder of fonts, or latin"):
        with_data(SMOKE, str(tmp_path / "none"))
    with pytest.raises(UserError, match="give --data FOLDER"):
        glyphs_of(PRESETS["paper"])


@pytest.mark.slow
def test_a_run_with_a_folder_for_checkpoints_goes_on(tmp_path: Path) -> None:
    config = replace(SMOKE, out=str(tmp_path))
    first = run(config, device="cpu")
    assert (tmp_path / "seed-0.safetensors").is_file()
    assert np.array_equal(run(config, device="cpu").arrays["made"], first.arrays["made"])
