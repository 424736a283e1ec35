"""Loaders of real gaze sets on small folders in their layout, whole, cut off, and hostile."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from firsthand.data.drawn.directions import angular_error, pitchyaw_to_vector
from firsthand.data.readers.gaze_sets import (
    mpii_camera,
    mpii_faces,
    order_of,
    read_mpii,
    read_xgaze,
    rotation_of,
    xgaze_files,
)
from firsthand.errors import UserError


def _xgaze(folder: Path, **changes: object) -> Path:
    rng = np.random.default_rng(0)
    (folder / "train").mkdir()
    fields = {
        "face_patch": rng.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8), "face_gaze": rng.uniform(-0.5, 0.5, (5, 2)),
        "face_head_pose": rng.uniform(-0.5, 0.5, (5, 2)), **changes,
    }  # fmt: skip
    file = folder / "train" / "subject0000.h5"
    with h5py.File(file, "w") as content:
        for name, values in fields.items():
            if values is not None:
                content[name] = values
    (folder / "train_test_split.json").write_text(json.dumps({"train": ["subject0000.h5"]}))
    return file


def test_xgaze_is_read_in_rgb(tmp_path: Path) -> None:
    _xgaze(tmp_path)
    (file,) = xgaze_files(tmp_path)
    found = read_xgaze(file, [1, 3])
    with h5py.File(file) as content:
        assert np.array_equal(found.images[1].permute(1, 2, 0).numpy()[..., ::-1], content["face_patch"][3])
        assert np.allclose(found.gaze, content["face_gaze"][[1, 3]])
    assert found.person == "subject0000"


def test_secret_labels_are_nan(tmp_path: Path) -> None:
    assert read_xgaze(_xgaze(tmp_path, face_gaze=None)).gaze.isnan().all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"face_patch": np.zeros((5, 16, 12, 3), np.uint8)}, "square pictures"),
        ({"face_patch": np.zeros((5, 16, 16, 3))}, "three bytes"),
        ({"face_head_pose": None}, "is damaged or no file"),
        ({"face_gaze": np.full((5, 2), 40.0)}, "in radians"),
        ({"face_gaze": np.zeros((5, 3))}, r"must be \(n, 2\)"),
        ({"face_gaze": np.full((5, 2), 0.1 + 0.2j)}, "must hold real numbers"),
        ({"face_head_pose": np.full((5, 2), 0.1j)}, "must hold real numbers"),
    ],
)
def test_what_is_no_xgaze_is_named(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(UserError, match=f"subject0000.*{words}|{words}.*subject0000|{words}"):
        read_xgaze(_xgaze(tmp_path, **changes))


def test_a_cut_file_is_named(tmp_path: Path) -> None:
    file = _xgaze(tmp_path)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UserError, match=r"subject0000\.h5 is damaged"):
        read_xgaze(file)


def test_rows_that_are_not_there_are_refused(tmp_path: Path) -> None:
    file = _xgaze(tmp_path)
    for row in (7, -1, 1.5):
        with pytest.raises(UserError, match=rf"has 5 pictures, counted from 0; there is no number {row}\."):
            read_xgaze(file, [row])


@pytest.mark.parametrize("rows", [[3, 1], [2, 2, 0], [], list(range(5))[::-1], np.array([4, 0], np.uint8)])
def test_rows_come_in_the_order_that_was_asked_for(tmp_path: Path, rows: list[int]) -> None:
    file = _xgaze(tmp_path)
    whole, some = read_xgaze(file), read_xgaze(file, rows)
    chosen = [int(row) for row in rows]
    for name in ("images", "gaze", "pose"):
        assert torch.equal(getattr(some, name), getattr(whole, name)[chosen])


@pytest.mark.skipif(sys.platform == "win32", reason="files are locked in another way there")
def test_a_file_that_is_written_to_is_in_use_and_not_damaged(tmp_path: Path) -> None:
    import fcntl

    file = _xgaze(tmp_path)
    with file.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"^subject0000\.h5 is in use by another program\.$"):
            read_xgaze(file)
    assert len(read_xgaze(file).gaze) == 5
    with pytest.raises(UserError, match=r"^gone\.h5 is missing\.$"):
        read_xgaze(tmp_path / "gone.h5")


@pytest.mark.parametrize("dtype", [">f8", "<f4", ">f4", "<f2", np.longdouble])
def test_labels_of_any_real_numbers_are_read(tmp_path: Path, dtype: str) -> None:
    gaze = np.random.default_rng(3).uniform(-0.5, 0.5, (5, 2)).astype(dtype)
    found = read_xgaze(_xgaze(tmp_path, face_gaze=gaze, face_head_pose=gaze))
    assert found.gaze.dtype == found.pose.dtype == torch.float64
    assert found.gaze.tolist() == found.pose.tolist() == gaze.astype(np.float64).tolist()


def test_whole_numbers_are_labels_too(tmp_path: Path) -> None:
    assert read_xgaze(_xgaze(tmp_path, face_gaze=np.ones((5, 2), ">i2"))).gaze.tolist() == [[1.0, 1.0]] * 5


@pytest.mark.parametrize("name", ["../elsewhere.h5", "/etc/passwd"])
def test_a_split_cannot_lead_elsewhere(tmp_path: Path, name: str) -> None:
    _xgaze(tmp_path)
    (tmp_path / "train_test_split.json").write_text(json.dumps({"train": [name]}))
    with pytest.raises(UserError, match="leads out of train"):
        xgaze_files(tmp_path)


def test_a_split_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no train_test_split\.json"):
        xgaze_files(tmp_path)
    (tmp_path / "train_test_split.json").write_text("[1")
    with pytest.raises(UserError, match="has no list of files"):
        xgaze_files(tmp_path)


# ---------------------------------------------------------------------------------------------- MPIIFaceGaze

CAMERA = np.array([[1000.0, 0, 160], [0, 1000, 120], [0, 0, 1]])


def _mpii(folder: Path, line: str | None = None) -> None:
    place = folder / "p00"
    (place / "day01").mkdir(parents=True)
    (place / "Calibration").mkdir()
    pixels = np.zeros((240, 320, 3), np.uint8)
    pixels[108:133, 148:173] = 255  # where the face's centre is seen
    Image.fromarray(pixels).save(place / "day01" / "0001.png")
    savemat(place / "Calibration" / "Camera.mat", {"cameraMatrix": CAMERA})
    numbers = [0, 0, *[0.0] * 12, 0.0, 0.2, 0.0, 0, 0, 600, 0, 0, 600, 30, -40, 100]
    (place / "p00.txt").write_text(line or " ".join(["day01/0001.png", *map(str, numbers), "left"]) + "\n")


def test_mpii_is_normalised(tmp_path: Path) -> None:
    _mpii(tmp_path)
    faces = mpii_faces(tmp_path, "p00")
    assert torch.equal(mpii_camera(tmp_path, "p00"), torch.from_numpy(CAMERA))
    found = read_mpii(tmp_path, "p00", faces, size=64)
    middle = found.images[0].float().mean(0)
    assert float(middle[30:34, 30:34].min()) > 200
    assert float(middle[:20].max()) == 0
    wanted = torch.tensor([30.0, -40, -500], dtype=torch.float64)
    assert float(angular_error(pitchyaw_to_vector(found.gaze[0]), wanted)) < 1e-6
    assert found.pose[0].tolist() == pytest.approx([0, 0.2], abs=1e-6)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("day01/0001.png 1 2 3", "Line 1 of p00.txt is none of MPIIFaceGaze"),
        (" ".join(["day01/0001.png", *["x"] * 26, "left"]), "Line 1 of p00.txt is none"),
        (" ".join(["../../secret.png", *["1"] * 26, "left"]), "leads out of p00"),
        (" ".join(["day01/0009.png", *["1"] * 26, "left"]), "listed but not on disk"),
        ("\n", "lists no picture"),
    ],
)
def test_odd_lines_are_named(tmp_path: Path, line: str, words: str) -> None:
    _mpii(tmp_path, line)
    with pytest.raises(UserError, match=words):
        mpii_faces(tmp_path, "p00")


def test_a_damaged_picture_or_camera_is_named(tmp_path: Path) -> None:
    _mpii(tmp_path)
    faces = mpii_faces(tmp_path, "p00")
    (tmp_path / "p00" / "day01" / "0001.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"0001\.png is damaged"):
        read_mpii(tmp_path, "p00", faces)
    (tmp_path / "p00" / "Calibration" / "Camera.mat").write_bytes(b"no matrix")
    with pytest.raises(UserError, match=r"Camera\.mat is damaged"):
        mpii_camera(tmp_path, "p00")


def test_a_rotation_vector_is_scipys() -> None:
    from scipy.spatial.transform import Rotation

    vector = torch.tensor([0.3, -0.7, 0.2], dtype=torch.float64)
    assert np.allclose(rotation_of(vector), Rotation.from_rotvec(vector.numpy()).as_matrix())


# ------------------------------------------------------------------------------------------------------ order


def test_the_order_of_angles_is_found_by_their_vectors() -> None:
    angles = (torch.rand(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5) * 1.2
    vectors = pitchyaw_to_vector(angles)
    assert order_of(angles, vectors) == "pitchyaw"
    assert order_of(angles.flip(-1), vectors) == "yawpitch"
    with pytest.raises(UserError, match="p03 fit their vectors in neither order"):
        order_of(-angles, vectors, "p03")
    with pytest.raises(UserError, match="too near to straight ahead"):
        order_of(angles / 1000, pitchyaw_to_vector(angles / 1000))
