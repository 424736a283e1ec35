"""Every loader of files that readers bring, on files that are damaged or meant ill: a sentence, or a result.

Each is tried TRIES times, the same ones everywhere; `FIRSTHAND_TORTURE=seconds` goes on for as long.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from firsthand.data.fundus import fundus
from firsthand.data.gaze_sets import mpii_faces, read_mpii, read_xgaze, xgaze_files
from firsthand.data.glyphs import font_files, from_files
from firsthand.data.mat import read_mat
from firsthand.data.retinas import fgadr, idrid_segmentation, read_retinas, write_fgadr, write_idrid
from firsthand.drgnet.feedback import Correction, Journal
from firsthand.errors import UserError
from firsthand.kit.training import load_tensors, save_tensors
from tests.torture.damage import harm

TRIES, SECONDS = 40, float(os.environ.get("FIRSTHAND_TORTURE", "0"))
LONGEST = 10.0  # seconds that one file may take


def _fonts(folder: Path) -> None:
    for name in ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmr10"):
        shutil.copy(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", folder)


def _xgaze(folder: Path) -> None:
    (folder / "train").mkdir()
    with h5py.File(folder / "train" / "subject0000.h5", "w") as content:
        content["face_patch"] = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
        content["face_gaze"] = content["face_head_pose"] = np.zeros((5, 2))
    (folder / "train_test_split.json").write_text(json.dumps({"train": ["subject0000.h5"]}))


def _mpii(folder: Path) -> None:
    place = folder / "p00"
    (place / "day01").mkdir(parents=True)
    (place / "Calibration").mkdir()
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(place / "day01" / "0001.png")
    camera = np.array([[200.0, 0, 32], [0, 200, 24], [0, 0, 1]])
    savemat(place / "Calibration" / "Camera.mat", {"cameraMatrix": camera})
    numbers = [0, 0, *[0.0] * 12, 0.0, 0.2, 0.0, 0, 0, 600, 0, 0, 600, 30, -40, 100]
    (place / "p00.txt").write_text(" ".join(["day01/0001.png", *map(str, numbers), "left"]) + "\n")


def _journal(folder: Path) -> None:
    journal = Journal(folder / "journal.jsonl")
    for number in range(3):
        one = Correction.empty("eye", number, 16, grade=2, clicks=1)
        one.positive[0, 3:5, 4:8] = True
        journal.append(one)


MAKERS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "fonts": (_fonts, lambda f: from_files(font_files(f), "AB7g", size=16)),
    "xgaze": (_xgaze, lambda f: [read_xgaze(file) for file in xgaze_files(f)]),
    "mpii": (_mpii, lambda f: read_mpii(f, "p00", mpii_faces(f, "p00"), size=32)),
    "idrid": (
        lambda f: write_idrid(f, [fundus(3, size=64, grade=3)]),
        lambda f: read_retinas(idrid_segmentation(f), 48),
    ),
    "fgadr": (lambda f: write_fgadr(f, [fundus(3, size=64, grade=3)]), lambda f: read_retinas(fgadr(f), 48)),
    "journal": (_journal, lambda f: Journal(f / "journal.jsonl").read()),
    "tensors": (
        lambda f: save_tensors(f / "a.safetensors", {"a": torch.arange(50.0)}, {"seed": 0}),
        lambda f: load_tensors(f / "a.safetensors"),
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MAKERS)
def test_a_loader_answers_with_a_sentence_or_a_result(name: str, tmp_path: Path) -> None:
    make, read = MAKERS[name]
    whole, rng, begin, tried = tmp_path / "whole", random.Random(0), time.monotonic(), 0
    whole.mkdir()
    make(whole)
    read(whole)  # as it was written
    while tried < TRIES or time.monotonic() - begin < SECONDS:
        here = tmp_path / "here"
        shutil.copytree(whole, here, symlinks=True)
        file = harm(here, rng)
        at, said = time.monotonic(), ""
        try:
            read(here)
        except UserError as error:
            said = str(error)
        except Exception as error:
            kept = file.read_bytes()[:200] if file.is_file() else None
            pytest.fail(f"try {tried}, {file.relative_to(here)}: {error!r}; it began {kept!r}")
        assert len(said) < 2000
        assert time.monotonic() - at < LONGEST, file.name
        shutil.rmtree(here)
        tried += 1


def test_a_matlab_file_that_brings_its_reader_down_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    rows = np.array([("a.png", "WORD"), ("b.png", "X")], dtype=[("ImgName", object), ("GroundTruth", object)])
    savemat(file, {"rows": rows, "matrix": np.eye(2)})
    assert read_mat(file, "matrix") == [[1, 0], [0, 1]]
    names = [{"ImgName": "a.png", "GroundTruth": "WORD"}, {"ImgName": "b.png", "GroundTruth": "X"}]
    assert read_mat(file, "rows", squeeze=True) == names
    whole, rng = file.read_bytes(), random.Random(5)
    with pytest.raises(UserError, match=r"a\.mat is damaged or does not hold other"):
        read_mat(file, "other")
    file.write_bytes(whole[: len(whole) // 2] + rng.randbytes(len(whole) // 2))
    with pytest.raises(UserError, match=r"a\.mat is damaged"):
        read_mat(file, "rows")
