"""ETH-XGaze and MPIIFaceGaze: real faces with the direction of their gaze, read from their own folders.

ETH-XGaze, normalised (Zhang and others, 2020; on application, academic use)::

    train_test_split.json               {"train": ["subject0000.h5", ...], "test": [...], ...}
    train/subject0000.h5                face_patch (n, s, s, 3) uint8 BGR, face_gaze (n, 2) and face_head_pose (n, 2)

MPIIFaceGaze, as published (Zhang and others, 2017; academic use)::

    p00/p00.txt                         28 fields a line: picture, screen, landmarks, head, face centre, gaze target
    p00/day01/0001.jpg, p00/Calibration/Camera.mat

GazeHub's text files, into which many sets were converted, give (yaw, pitch) for some sets and (pitch, yaw) for others;
`order_of` finds out which. Pictures are read when asked for and never leave the machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from firsthand.data.drawn.directions import angular_error, normalise, pitchyaw_to_vector, vector_to_pitchyaw
from firsthand.data.readers.files import REFUSED, UNREADABLE, is_within, picture, why_not
from firsthand.data.readers.mat import read_mat
from firsthand.errors import UserError

FIELDS = 28  # of a line of MPIIFaceGaze
LARGEST_PICTURE = 4096**2  # pixels of one that is read
FARTHEST = 409_600  # pixels that a camera's focal length and middle can be
SHOWN = 80  # letters of a name in a message
WIDEST = float(np.pi / 2)  # radians that pitch of a visible face's gaze can be
ORDERS = ("pitchyaw", "yawpitch")
AGREE = 2.0  # degrees up to which an angle and a vector are one gaze


@dataclass(frozen=True)
class Gazes:
    """Some pictures of one person.

    Attributes:
        images: uint8 (n, 3, s, s), RGB. gaze: (n, 2) (pitch, yaw) in the camera's frame; nan where it is kept secret.
        pose: (n, 2), where the face points; ETH-XGaze's label, the head's z axis with both signs turned, is
            the same. person: its name.
    """

    images: Tensor
    gaze: Tensor
    pose: Tensor
    person: str


# ------------------------------------------------------------------------------------------------- ETH-XGaze


def xgaze_files(folder: str | Path, part: str = "train") -> list[Path]:
    """Files of ETH-XGaze's people in a part of its split.

    Raises:
        UserError: no split, no such part, a name that leads elsewhere, or a file that is missing.
    """
    root, split = Path(folder), Path(folder) / "train_test_split.json"
    if not split.is_file():
        raise UserError(f"{root.name} has no train_test_split.json; ETH-XGaze's normalised folder has one.")
    try:
        names = json.loads(split.read_text(encoding="utf-8-sig"))[part]
        names = [str(name) for name in names]
    except OSError as error:
        raise UserError(f"{split.name} {why_not(error)}.") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"train_test_split.json has no list of files named {part!r}.") from None
    place = root / ("train" if part == "train" else part)
    files = [place / name for name in names]
    odd = next((file.name for file in files if file.parent != place or not is_within(file, root)), None)
    if odd is not None:
        raise UserError(f"train_test_split.json names {odd[:SHOWN]!r}, which leads out of {place.name}.")
    missing = next((file.name for file in files if not _is_there(file)), None)
    if missing is not None:
        raise UserError(f"{place.name}/{missing[:SHOWN]} is in the split but not on disk.")
    return files


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):
        return False


def read_xgaze(file: Path, rows: Sequence[int] | None = None) -> Gazes:
    """Pictures of one person of ETH-XGaze.

    Args:
        file: of `xgaze_files`. rows: which, in any order; None: all.

    Raises:
        UserError: no HDF5 file, cut off, in use, without its fields, or with labels that are none.
    """
    try:
        with h5py.File(file, "r") as content:
            count = content["face_patch"].shape[0]
            chosen = np.arange(count) if rows is None else np.asarray(rows).reshape(-1)
            odd = next((row for row in chosen.tolist() if not (isinstance(row, int) and 0 <= row < count)), None)
            if odd is not None:
                raise UserError(f"{file.name} has {count} pictures, counted from 0; there is no number {odd}.")
            pictures, pose = _rows(content["face_patch"], chosen), _rows(content["face_head_pose"], chosen)
            secret = np.full((len(chosen), 2), np.nan)
            gaze = _rows(content["face_gaze"], chosen) if "face_gaze" in content else secret
    except UserError:
        raise
    except Exception as error:  # h5py raises whatever a damaged file leads it into
        if getattr(error, "errno", None) in REFUSED:
            raise UserError(f"{file.name} {why_not(error)}.") from None
        raise UserError(
            f"{file.name} is damaged or no file of ETH-XGaze: face_patch and face_head_pose are needed."
        ) from None
    return _checked(file, pictures, gaze, pose)


def _rows(values: h5py.Dataset, chosen: np.ndarray) -> np.ndarray:
    """Rows of a field in any order, some perhaps twice; HDF5 gives each once, in rising order."""
    distinct, places = np.unique(chosen.astype(np.int64), return_inverse=True)
    return values[distinct][places] if len(distinct) < values.shape[0] else values[:][places]


def _checked(file: Path, pictures: np.ndarray, gaze: np.ndarray, pose: np.ndarray) -> Gazes:
    square = pictures.ndim == 4 and pictures.shape[3] == 3 and pictures.shape[1] == pictures.shape[2]
    if not square or pictures.dtype != np.uint8:
        raise UserError(f"face_patch of {file.name} holds no square pictures of three bytes a pixel.")
    if gaze.shape != (len(pictures), 2) or pose.shape != (len(pictures), 2):
        raise UserError(f"face_gaze and face_head_pose of {file.name} must be (n, 2).")
    if gaze.dtype.kind not in "fiu" or pose.dtype.kind not in "fiu":
        raise UserError(f"face_gaze and face_head_pose of {file.name} must hold real numbers.")
    gaze, pose = gaze.astype(np.float64), pose.astype(np.float64)  # of either byte order and any length
    known = gaze[~np.isnan(gaze).any(1)]
    if len(known) and (
        not np.isfinite(known).all() or np.abs(known).max() > np.pi or np.abs(known[:, 0]).max() > WIDEST
    ):
        raise UserError(f"face_gaze of {file.name} is no (pitch, yaw) in radians.")
    images = torch.from_numpy(np.ascontiguousarray(pictures[..., ::-1])).permute(0, 3, 1, 2)  # BGR
    return Gazes(images, torch.from_numpy(gaze), torch.from_numpy(pose), file.stem)


# ---------------------------------------------------------------------------------------------- MPIIFaceGaze


@dataclass(frozen=True)
class Face:
    """One line of MPIIFaceGaze.

    Attributes:
        image: file. rotation: vector (3,), of the head.
        centre: of the face, mm (3,). target: what is looked at, mm (3,).
    """

    image: Path
    rotation: Tensor
    centre: Tensor
    target: Tensor


def mpii_faces(folder: str | Path, person: str) -> list[Face]:
    """The pictures of one person of MPIIFaceGaze, "p00" to "p14".

    Raises:
        UserError: a file is missing, a line has other fields, or a path leads elsewhere.
    """
    root = Path(folder)
    listed = root / person / f"{person}.txt"
    if not listed.is_file():
        raise UserError(f"{root.name} has no {person}/{person}.txt.")
    try:
        lines = listed.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise UserError(f"{listed.name} {why_not(error)}.") from None
    found = []
    for number, line in enumerate(lines, 1):
        parts = line.split()
        if not parts:
            continue
        try:
            values = np.array([float(part) for part in parts[1:27]])
        except ValueError:
            values = np.zeros(0)
        if len(parts) != FIELDS or len(values) != 26 or not np.isfinite(values).all():
            raise UserError(f"Line {number} of {listed.name} is none of MPIIFaceGaze: {FIELDS} fields are needed.")
        image = root / person / parts[0]
        if not is_within(image, root / person):
            raise UserError(f"Line {number} of {listed.name} leads out of {person}.")
        if not _is_there(image):
            raise UserError(f"{person}/{parts[0][:SHOWN]} is listed but not on disk.")
        numbers = torch.from_numpy(values)
        found.append(Face(image, numbers[14:17], numbers[20:23], numbers[23:26]))
    if not found:
        raise UserError(f"{listed.name} lists no picture.")
    return found


def mpii_camera(folder: str | Path, person: str) -> Tensor:
    """The camera's matrix (3, 3) of a person of MPIIFaceGaze.

    Raises:
        UserError: no calibration, or no matrix in it.
    """
    file = Path(folder) / person / "Calibration" / "Camera.mat"
    if not file.is_file():
        raise UserError(f"{Path(folder).name} has no {person}/Calibration/Camera.mat.")
    try:
        matrix = np.asarray(read_mat(file, "cameraMatrix"), dtype=np.float64)
    except (UserError, TypeError, ValueError):
        raise UserError(f"{person}/Calibration/Camera.mat is damaged or has no cameraMatrix.") from None
    usable = matrix.shape == (3, 3) and bool((np.abs(matrix) < FARTHEST).all())  # not for nan either
    if not usable or abs(np.linalg.det(matrix)) < 1e-9:
        raise UserError(f"cameraMatrix of {person} is no camera's matrix.")
    return torch.from_numpy(matrix)


def rotation_of(vector: Tensor) -> Tensor:
    """Rotation (3, 3) of a rotation vector (3,)."""
    cross = torch.zeros(3, 3, dtype=vector.dtype)
    x, y, z = vector.tolist()
    cross[0, 1], cross[0, 2], cross[1, 0], cross[1, 2], cross[2, 0], cross[2, 1] = -z, y, z, -x, -y, x
    return torch.linalg.matrix_exp(cross)


def read_mpii(folder: str | Path, person: str, faces: list[Face], *, size: int = 224) -> Gazes:
    """Normalised pictures of some lines of `mpii_faces`, and their gaze in the virtual camera's frame.

    Args:
        folder, person: as there. faces: which. size: pixels a side; the focal length follows it.
    """
    camera = mpii_camera(folder, person)
    images, gazes, poses = [], [], []
    for face in faces:
        head = rotation_of(face.rotation)
        turn, warp = normalise(camera, head, face.centre, focal=960 * size / 224, size=size)
        images.append(torch.from_numpy(_warped(face.image, warp, size)).permute(2, 0, 1))
        gazes.append(vector_to_pitchyaw(turn @ (face.target - face.centre)))
        poses.append(vector_to_pitchyaw(-(turn @ head)[:, 2]))
    return Gazes(torch.stack(images), torch.stack(gazes), torch.stack(poses), person)


def _warped(file: Path, warp: Tensor, size: int) -> np.ndarray:
    """A picture seen by a virtual camera: `warp` takes the picture's pixels to its own."""
    try:
        back = torch.linalg.inv(warp)
    except RuntimeError:
        raise UserError(f"{file.name}: no camera sees a face where this one is said to be.") from None
    numbers = (back / back[2, 2]).flatten()[:8].tolist()
    try:
        whole = picture(file, largest=LARGEST_PICTURE)
    except UserError:
        raise
    except UNREADABLE as error:
        raise UserError(f"{file.name} {why_not(error)}.") from None
    made = whole.transform((size, size), Image.Transform.PERSPECTIVE, numbers, Image.Resampling.BILINEAR)
    return np.array(made)


# ----------------------------------------------------------------------------------------------------- order


def order_of(angles: Tensor, vectors: Tensor, name: str = "These labels") -> str:
    """Whether angles (n, 2) are (pitch, yaw) or (yaw, pitch), by the gaze vectors (n, 3) that stand beside them.

    Raises:
        UserError: they are neither, or the labels cannot tell.
    """
    away = {}
    for order in ORDERS:
        turned = angles if order == "pitchyaw" else angles.flip(-1)
        away[order] = float(angular_error(pitchyaw_to_vector(turned), vectors).mean())
    right = [order for order in ORDERS if away[order] < AGREE]
    if len(right) == 1:
        return right[0]
    if right:
        raise UserError(f"{name} are too near to straight ahead to tell (pitch, yaw) from (yaw, pitch).")
    raise UserError(
        f"{name} fit their vectors in neither order: {away['pitchyaw']:.0f} degrees away as (pitch, yaw), "
        f"{away['yawpitch']:.0f} as (yaw, pitch)."
    )
