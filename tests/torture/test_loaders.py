"""Every loader of files that readers bring, on files that are damaged or meant ill: a sentence, or a result.

Each is tried TRIES times, the same ones everywhere; `FIRSTHAND_TORTURE=seconds` goes on for as long.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
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

from firsthand.data.drawn.aerial import CLASSES, scene
from firsthand.data.drawn.fundus import fundus
from firsthand.data.readers.gaze_sets import mpii_faces, read_mpii, read_xgaze, xgaze_files
from firsthand.data.readers.glyphs import font_files, from_files
from firsthand.data.readers.images import FolderBatches
from firsthand.data.readers.mat import read_mat
from firsthand.data.readers.retinas import fgadr, idrid_segmentation, read_retinas
from firsthand.data.readers.tables import read_battery, read_csv
from firsthand.data.readers.vedai import read_names, read_vedai
from firsthand.data.readers.words import load_words, read_iiit5k, read_mjsynth
from firsthand.drgnet.feedback import Correction, Journal
from firsthand.errors import UserError
from firsthand.kit.train.loop import MicroBatch, load_tensors, save_tensors
from tests.torture.damage import harm
from tests.writers.retinas import write_fgadr, write_idrid
from tests.writers.vedai import write_vedai

TRIES, SECONDS = 40, float(os.environ.get("FIRSTHAND_TORTURE", "0"))
LONGEST, MOST = 10.0, 2 * 2**20  # seconds that one file may take; KiB by which the process may grow


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


def _csv(folder: Path) -> None:
    rows = ["a, b, label", *(f"{i / 7:.4f},{-i},{'xy'[i % 2]}" for i in range(20))]
    (folder / "a.csv").write_text("\n".join(rows) + "\n")


def _battery(folder: Path) -> None:
    (folder / "fcps").mkdir()
    for name, text in (("data", "0.5 1\n2 3\n4 5.5\n"), ("labels0", "1\n2\n1\n")):
        with gzip.open(folder / "fcps" / f"a.{name}.gz", "wt") as file:
            file.write(text)


def _picture(file: Path) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)
    return file.name


def _mjsynth(folder: Path) -> None:
    names = [f"1/{n}_{word}_7.png" for n, word in enumerate(("Word", "other", "Third"))]
    for name in names:
        _picture(folder / name)
    (folder / "annotation_train.txt").write_text("".join(f"{name} 7\n" for name in names))


def _iiit5k(folder: Path) -> None:
    rows = [(f"test/{_picture(folder / 'test' / f'{n}.png')}", word) for n, word in enumerate(("WORD", "OTHER"))]
    savemat(folder / "testdata.mat", {"testdata": np.array(rows, [("ImgName", object), ("GroundTruth", object)])})


def _imagenet(folder: Path) -> None:
    for split in ("train", "val"):
        for n, name in enumerate(("n01", "n02")):
            _picture(folder / split / name / f"{n}.JPEG")


def _folder_batch(folder: Path) -> object:
    def small(picture: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(picture.resize((8, 8))))

    return FolderBatches(folder / "train", small, batch=2, workers=0)(MicroBatch(0, 0, 1, 0))


def _vedai(folder: Path) -> None:
    write_vedai(folder, [scene(k, size=64, classes=CLASSES) for k in range(6)], CLASSES)


MAKERS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "fonts": (_fonts, lambda f: from_files(font_files(f), "AB7g", size=16)),
    "xgaze": (_xgaze, lambda f: [read_xgaze(file) for file in xgaze_files(f)]),
    "mpii": (_mpii, lambda f: read_mpii(f, "p00", mpii_faces(f, "p00"), size=32)),
    "idrid": (
        lambda f: write_idrid(f, [fundus(3, size=64, grade=3)]),
        lambda f: read_retinas(idrid_segmentation(f), 48),
    ),
    "fgadr": (lambda f: write_fgadr(f, [fundus(3, size=64, grade=3)]), lambda f: read_retinas(fgadr(f), 48)),
    "csv": (_csv, lambda f: read_csv(f / "a.csv")),
    "battery": (_battery, read_battery),
    "mjsynth": (_mjsynth, lambda f: load_words(read_mjsynth(f))),
    "iiit5k": (_iiit5k, lambda f: load_words(read_iiit5k(f))),
    "vedai": (_vedai, lambda f: read_vedai(f, read_names(f, 1, size=64), size=64)),
    "imagenet": (_imagenet, _folder_batch),
    "journal": (_journal, lambda f: Journal(f / "journal.jsonl").read()),
    "tensors": (
        lambda f: save_tensors(f / "a.safetensors", {"a": torch.arange(50.0)}, {"seed": 0}),
        lambda f: load_tensors(f / "a.safetensors"),
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MAKERS)
def test_a_loader_answers_with_a_sentence_or_a_result(name: str, tmp_path: Path) -> None:
    make, read = MAKERS[name]
    whole, rng, begin, tried = tmp_path / "whole", random.Random(0), time.monotonic(), 0
    whole.mkdir()
    make(whole)
    read(whole)  # as it was written
    at_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while tried < TRIES or time.monotonic() - begin < SECONDS:
        here = tmp_path / "here"
        shutil.copytree(whole, here, symlinks=True)
        file = harm(here, rng)
        at, said = time.process_time(), ""
        try:
            read(here)
        except UserError as error:
            said = str(error)
        except Exception as error:
            kept = file.read_bytes()[:200] if file.is_file() else None
            pytest.fail(f"try {tried}, {file.relative_to(here)}: {error!r}; it began {kept!r}")
        assert len(said) < 2000
        assert time.process_time() - at < LONGEST, file.name
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - at_first < MOST, file.name
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


def test_names_and_numbers_out_of_all_measure_are_refused(tmp_path: Path) -> None:
    _xgaze(tmp_path)
    (tmp_path / "train_test_split.json").write_text(json.dumps({"train": ["s" * 5000]}))
    with pytest.raises(UserError, match=r"^train.{1,10}s{80} is in the split but not on disk|leads out of train"):
        xgaze_files(tmp_path)
    _mpii(tmp_path)
    savemat(tmp_path / "p00" / "Calibration" / "Camera.mat", {"cameraMatrix": np.diag([1e290, 1e290, 1])})
    with pytest.raises(UserError, match="cameraMatrix of p00 is no camera's matrix"):
        read_mpii(tmp_path, "p00", mpii_faces(tmp_path, "p00"), size=32)
    words = [(tmp_path / ("w" * 5000), "WORD")]
    with pytest.raises(UserError, match=r"the first reason: w{80}: it cannot be read "):
        load_words(words)


def test_a_bit_that_turns_within_the_numbers_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_tensors(file, {"a": torch.arange(50.0), "b": torch.tensor(True), "c": torch.zeros(0)}, {"seed": 0})
    whole = bytearray(file.read_bytes())
    whole[-20] ^= 1
    file.write_bytes(whole)
    with pytest.raises(UserError, match=r"a\.safetensors is damaged \(its checksum is another one\)"):
        load_tensors(file)


@pytest.mark.parametrize("name", ["../b.png", "/etc/passwd", "1/../../b.png"])
def test_listings_do_not_lead_out_of_their_folder(name: str, tmp_path: Path) -> None:
    _picture(tmp_path / "b.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "annotation_train.txt").write_text(f"{Path(name).parent}/1_Word_7.png 7\n")
    rows = np.array([(name, "WORD")], [("ImgName", object), ("GroundTruth", object)])
    savemat(tmp_path / "in" / "testdata.mat", {"testdata": rows})
    for read in (read_mjsynth, read_iiit5k):
        with pytest.raises(UserError, match="leads out of the folder"):
            read(tmp_path / "in")


def test_a_header_wider_than_its_rows_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,label\n1,2\n")
    with pytest.raises(UserError, match=r"a\.csv: 3 columns in its header, 2 in its first row"):
        read_csv(tmp_path / "a.csv")
