"""Aerial scenes: the same seed the same pixels, boxes where vehicles are, camouflage as promised; VEDAI's layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from firsthand.data.drawn import aerial, vehicles
from firsthand.data.drawn.aerial import CAMOUFLAGE, CLASSES, scene
from firsthand.data.readers.vedai import parse_annotation, read_names, read_vedai
from firsthand.errors import UserError
from tests.writers.vedai import write_vedai


def test_a_seed_is_a_scene():
    first, again, other = scene(3), scene(3), scene(4)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.boxes, again.boxes)
    assert not torch.equal(first.image, other.image)
    assert first.image.shape == (4, 128, 128)
    assert first.image.dtype == torch.uint8


def test_boxes_are_hulls_inside_the_picture():
    found = [scene(seed, classes=CLASSES) for seed in range(12)]
    for one in found:
        low, high = one.corners.amin(1), one.corners.amax(1)
        assert torch.allclose(one.boxes, torch.cat([low, high], 1).clamp(0, 128), atol=1e-4)
        assert ((one.boxes[:, 2:] - one.boxes[:, :2]) >= 4).all()
        assert len(one.boxes) == len(one.labels) == len(one.camouflage)
    assert len({int(label) for one in found for label in one.labels}) == 8
    sizes = torch.cat([one.boxes[:, 2:] - one.boxes[:, :2] for one in found])
    assert 8 < float(sizes.mean()) < 25


def _contrast(state: str) -> np.ndarray:
    """Mean difference of a vehicle's paint from its ground, colour and infrared."""
    rng = np.random.default_rng(0)
    grounds = np.array([aerial.GRASS, aerial.ASPHALT, aerial.SOIL, aerial.CONCRETE], dtype=float)
    found = []
    for _ in range(200):
        ground = grounds[rng.integers(4)]
        found.append(np.abs(vehicles.paint_of(rng, ground, state) - ground))
    return np.array(found)


def test_camouflage_hides_in_one_spectrum_only():
    colour, infrared = _contrast("colour"), _contrast("infrared")
    assert colour[:, :3].max() < 12
    assert colour[:, 3].min() > 45
    assert infrared[:, 3].max() < 12
    assert infrared[:, :3].min() > 45
    states = torch.cat([scene(seed).camouflage for seed in range(30)])
    shares = torch.bincount(states, minlength=3) / len(states)
    assert len(CAMOUFLAGE) == 3
    assert shares[1:].min() > 0.2
    assert not torch.cat([scene(seed, camouflage=False).camouflage for seed in range(5)]).any()


def test_unknown_classes_are_refused():
    with pytest.raises(ValueError, match="Unknown class 'tank'"):
        scene(0, classes=("car", "tank"))


def _folder(tmp_path, count: int = 4):
    made = [scene(seed, size=128, classes=CLASSES) for seed in range(count)]
    return made, write_vedai(tmp_path, made, CLASSES)


def test_the_layout_of_vedai_is_written_and_read(tmp_path):
    made, names = _folder(tmp_path)
    assert read_names(tmp_path, 1, size=128) == names[:3]
    assert read_names(tmp_path, 1, test=True, size=128) == names[3:]
    found = read_vedai(tmp_path, names, size=128)
    assert found.left_out == []
    assert torch.equal(found.images, torch.stack([one.image for one in made]))
    for one, boxes, labels in zip(made, found.boxes, found.labels, strict=True):
        assert torch.allclose(boxes, one.boxes, atol=1e-2)
        assert torch.equal(labels, one.labels)


def test_missing_unpaired_and_damaged_files_are_named(tmp_path):
    _, names = _folder(tmp_path)
    (tmp_path / "Vehicules128" / f"{names[0]}_ir.png").unlink()
    file = tmp_path / "Vehicules128" / f"{names[1]}_co.png"
    file.write_bytes(file.read_bytes()[:200])
    (tmp_path / "Annotations128" / f"{names[2]}.txt").write_text("1 2 three\n")
    found = read_vedai(tmp_path, names, size=128)
    assert found.names == names[3:]
    assert found.left_out[0] == f"{names[0]}: {names[0]}_ir.png is missing"
    assert found.left_out[1].startswith(f"{names[1]}: it is damaged")
    assert found.left_out[2] == f"{names[2]}.txt, line 1: 14 numbers are expected; got '1 2 three'"
    with pytest.raises(UserError, match="No picture of VEDAI"):
        read_vedai(tmp_path, names[:1], size=128)
    with pytest.raises(UserError, match=r"fold02\.txt is missing"):
        read_names(tmp_path, 2, size=128)
    (tmp_path / "Annotations128" / "fold03.txt").write_text("12\n")
    with pytest.raises(UserError, match="'12' is none"):
        read_names(tmp_path, 3, size=128)


def test_classes_of_vedai():
    line = "10 10 0 {} 1 0 5 15 15 5 -3 5 5 8"
    boxes, labels = parse_annotation("\n".join(line.format(k) for k in (1, 7, 8, 31, 201, 23)), "a.txt", 512)
    assert labels.tolist() == [CLASSES.index("car"), CLASSES.index("boat")]
    assert boxes[0].tolist() == [5, 0, 15, 8]  # clipped
    with pytest.raises(UserError, match=r"a\.txt, line 1: unknown class 99"):
        parse_annotation(line.format(99), "a.txt", 512)


@pytest.mark.parametrize("corners", ["-20 -5 -5 -20 5 5 15 15", "5 15 15 5 128 128 140 140", "128 130 130 128 5 5 9 9"])
def test_a_vehicle_wholly_outside_the_picture_is_left_out(corners):
    inside = "100 100 0 2 1 0 90 130 130 90 90 90 110 110"
    boxes, labels = parse_annotation(f"0 0 0 1 1 0 {corners}\n{inside}", "a.txt", 128)
    assert boxes.tolist() == [[90, 90, 128, 110]]  # of which a part is seen is clipped
    assert labels.tolist() == [CLASSES.index("truck")]


def test_infrared_of_sixteen_bits_is_read_as_of_eight(tmp_path):
    made, names = _folder(tmp_path)
    for name, one in zip(names, made, strict=True):
        sixteen = one.image[3].numpy().astype(np.uint16) * 257
        Image.fromarray(sixteen).save(tmp_path / "Vehicules128" / f"{name}_ir.png")
    assert torch.equal(read_vedai(tmp_path, names, size=128).images, torch.stack([one.image for one in made]))


def test_a_byte_order_mark_is_no_part_of_a_name_or_a_number(tmp_path):
    _, names = _folder(tmp_path)
    for file in (tmp_path / "Annotations128").iterdir():
        file.write_text(file.read_text(), encoding="utf-8-sig")
    assert read_names(tmp_path, 1, size=128) == names[:3]
    assert read_vedai(tmp_path, names, size=128).left_out == []
