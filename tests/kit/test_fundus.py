"""Drawn fundus photographs, the clinical rule, and readers of the two real data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from firsthand.data.drawn.fundus import Fundus, fundi, fundus
from firsthand.data.drawn.lesions import HE_LIMIT, KINDS, icdr_grade
from firsthand.data.readers.retinas import (
    IDRID_MASKS,
    fgadr,
    field_of_view,
    idrid_grading,
    idrid_segmentation,
    read_retinas,
    write_fgadr,
    write_idrid,
)
from firsthand.errors import UserError


@pytest.mark.parametrize(
    ("seen", "grade"),
    [
        ({}, 0),
        ({"ma": 3}, 1),
        ({"ma": 3, "ex": 1}, 2),
        ({"ex": 1}, 2),
        ({"he_quadrants": (1, 0, 0, 0)}, 2),
        ({"he_quadrants": (21, 21, 21, 20)}, 2),
        ({"he_quadrants": (21, 21, 21, 21)}, 3),
        ({"he_quadrants": (6, 6, 6, 6), "he_limit": 5}, 3),
        ({"ma": 1, "venous_beading_quadrants": 1}, 2),
        ({"venous_beading_quadrants": 2}, 3),
        ({"irma_quadrants": 1}, 3),
        ({"neovascularisation": True}, 4),
        ({"ma": 2, "preretinal_haemorrhage": True}, 4),
    ],
)
def test_the_clinical_rule(seen: dict, grade: int) -> None:
    assert icdr_grade(**seen) == grade


def test_the_rule_refuses_what_cannot_be_counted() -> None:
    with pytest.raises(ValueError, match="negative"):
        icdr_grade(ma=-1)
    with pytest.raises(ValueError, match="four quadrants"):
        icdr_grade(he_quadrants=(1, 2, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize("grade", range(5))
@pytest.mark.parametrize("camera", [0.0, 1.0])
def test_a_picture_has_the_grade_that_was_asked_for(grade: int, camera: float) -> None:
    one = fundus(7, size=96, grade=grade, camera=camera)
    assert one.grade == one.findings.grade == grade
    assert one.image.shape == (3, 96, 96)
    assert one.image.dtype == torch.uint8
    assert bool(one.masks.any()) == (
        grade > 0 and any((one.findings.ma, sum(one.findings.he_quadrants), one.findings.ex, one.findings.se))
    )


def test_pictures_repeat_and_differ() -> None:
    first, again, other = fundus(3, size=96), fundus(3, size=96), fundus(4, size=96)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.masks, again.masks)
    assert not torch.equal(first.image, other.image)


def test_masks_hold_every_lesion_and_nothing_outside_the_retina() -> None:
    one = fundus(12, grade=2)
    for kind, mask, count in zip(
        KINDS,
        one.masks,
        (one.findings.ma, sum(one.findings.he_quadrants), one.findings.ex, one.findings.se),
        strict=True,
    ):
        assert bool(mask.any()) == (count > 0), kind
        assert int(mask.sum()) >= min(count, 1)
    assert not (one.masks & ~one.retina).any()


def test_without_a_lesion_all_else_is_the_same() -> None:
    whole = fundus(21, grade=2)
    bare = fundus(21, grade=2, without=("EX",))
    changed = (whole.image != bare.image).any(0)
    assert not bare.masks[KINDS.index("EX")].any()
    assert torch.equal(whole.masks[[0, 1, 3]], bare.masks[[0, 1, 3]])
    assert changed.any()
    near = torch.nn.functional.max_pool2d(whole.masks[2:3].float(), 15, 1, 7)[0].bool()
    assert not (changed & ~near).any()


def test_lesions_show_in_the_picture() -> None:
    whole, bare = fundus(5, grade=3), fundus(5, grade=3, without=KINDS)
    for number, sign in ((1, -1), (2, 1)):
        mask = whole.masks[number]
        if mask.any():
            difference = (whole.image.float() - bare.image.float())[:, mask].mean()
            assert sign * float(difference) > 5


def test_severe_by_haemorrhages_means_every_quadrant() -> None:
    found = [fundus(seed, size=64, grade=3).findings for seed in range(12)]
    many = [one for one in found if not one.beaded and not one.irma]
    assert many
    assert all(min(one.he_quadrants) > HE_LIMIT for one in many)


def test_unknown_grades_and_lesions_are_refused() -> None:
    with pytest.raises(ValueError, match="Grades are 0 to 4"):
        fundus(0, grade=5)
    with pytest.raises(ValueError, match="Unknown lesion 'XX'"):
        fundus(0, without=("XX",))


def test_kept_pictures_are_drawn_once() -> None:
    first, second = fundi(900, 2, size=64)
    again = fundi(900, 3, size=64)
    assert again[0] is first
    assert again[1] is second


# ----------------------------------------------------------------------------------------------- real layouts


@pytest.fixture(scope="module")
def drawn() -> list[Fundus]:
    return [fundus(40 + grade, size=96, grade=grade) for grade in range(5)]


def test_idrid_is_read_as_it_was_written(tmp_path: Path, drawn: list[Fundus]) -> None:
    write_idrid(tmp_path, drawn)
    records = idrid_segmentation(tmp_path)
    images, masks, kept, left_out = read_retinas(records, 96)
    assert [one.name for one in kept] == [f"IDRiD_{k:02d}" for k in range(1, 6)]
    assert not left_out
    assert all(torch.equal(mask, one.masks) for mask, one in zip(masks, drawn, strict=True))
    assert float((images.float() - torch.stack([one.image for one in drawn]).float()).abs().mean()) < 6  # JPEG
    assert [one.grade for one in idrid_grading(tmp_path)] == [0, 1, 2, 3, 4]


def test_fgadr_is_read_as_it_was_written(tmp_path: Path, drawn: list[Fundus]) -> None:
    write_fgadr(tmp_path, drawn)
    records = fgadr(tmp_path)
    images, masks, _, _ = read_retinas(records, 96)
    assert [one.grade for one in records] == [0, 1, 2, 3, 4]
    assert torch.equal(images, torch.stack([one.image for one in drawn]))
    assert torch.equal(masks, torch.stack([one.masks for one in drawn]))


def test_pictures_are_padded_to_squares(tmp_path: Path, drawn: list[Fundus]) -> None:
    write_idrid(tmp_path, drawn[3:4])
    folder = tmp_path / "A. Segmentation" / "1. Original Images" / "a. Training Set"
    wide = Image.new("RGB", (128, 96), (90, 40, 10))
    wide.save(folder / "IDRiD_02.jpg")
    images, masks, _, _ = read_retinas(idrid_segmentation(tmp_path)[1:], 64)
    assert images.shape == (1, 3, 64, 64)
    assert not masks.any()
    assert not field_of_view(images)[0, 0].any()
    assert field_of_view(images)[0, 32].all()


def test_what_is_wrong_is_named(tmp_path: Path, drawn: list[Fundus]) -> None:
    with pytest.raises(UserError, match=r"has no folder A. Segmentation/1. Original Images/a. Training Set"):
        idrid_segmentation(tmp_path)
    write_idrid(tmp_path, drawn)
    truths = tmp_path / "A. Segmentation" / "2. All Segmentation Groundtruths" / "a. Training Set" / IDRID_MASKS["EX"]
    truths.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((96, 96), np.uint8)).save(truths / "IDRiD_77_EX.tif")
    with pytest.raises(UserError, match=r"IDRiD_77_EX\.tif belongs to no picture"):
        idrid_segmentation(tmp_path)


def test_damaged_files_are_left_out_by_name(tmp_path: Path, drawn: list[Fundus]) -> None:
    write_fgadr(tmp_path, drawn)
    images = tmp_path / "Seg-set" / "Original_Images"
    (images / "0001_1.png").write_bytes(b"no picture")
    Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save(tmp_path / "Seg-set" / "HardExudate_Masks" / "0002_1.png")
    found = read_retinas(fgadr(tmp_path), 64)
    assert len(found[0]) == 3
    assert found[3][0].startswith("0001_1:")
    assert found[3][1] == "0002_1: 0002_1.png has another size than its picture"


def test_labels_must_be_grades(tmp_path: Path, drawn: list[Fundus]) -> None:
    write_fgadr(tmp_path, drawn)
    labels = tmp_path / "Seg-set" / "DR_Seg_Grading_Label.csv"
    labels.write_text("0000_1.png,0\n0001_1.png,seven\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 2: a name and a grade from 0 to 4"):
        fgadr(tmp_path)
    labels.write_text("0000_1.png,0\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"0001_1\.png has no grade"):
        fgadr(tmp_path)
