"""Pictures of words: repeatable, legible, skewed and corrupted as asked, and read from folders in the real layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from firsthand.data.readers.words import (
    ALPHANUMERIC,
    DIGITS,
    PRINT,
    SIGN,
    Domain,
    encode,
    font_files,
    load_words,
    random_texts,
    read_iiit5k,
    read_mjsynth,
    swap_letters,
    word_images,
)
from firsthand.errors import UserError


def test_the_same_arguments_give_the_same_pixels():
    images, texts = word_images(12, SIGN, seed=3)
    again, same = word_images(12, SIGN, seed=3)
    assert texts == same
    assert torch.equal(images, again)
    assert images.shape == (12, 1, 24, 72)
    assert images.dtype == torch.uint8
    assert not torch.equal(images, word_images(12, SIGN, seed=4)[0])


def test_domains_differ_as_they_say():
    printed, _ = word_images(30, PRINT, seed=0)
    signs, _ = word_images(30, SIGN, seed=0)
    assert printed.float().median() > 190
    assert signs.float().median() < 100


def test_words_fit_into_their_picture():
    quiet = Domain("quiet", PRINT.fonts, 0, 255, 0.0, 0.0)
    images, _ = word_images(40, quiet, length=6, seed=1)
    edge = torch.cat([images[..., :1].flatten(), images[..., -1:].flatten(), images[..., :1, :].flatten()])
    assert edge.min() > 200


def test_skew_and_corruption():
    _, texts = word_images(50, PRINT, alphabet="345", seed=0)
    assert set("".join(texts)) == set("345")
    wrong = random_texts(texts, DIGITS, seed=1)
    assert np.mean([a == b for a, b in zip(texts, wrong, strict=True)]) < 0.1
    assert [len(t) for t in wrong] == [3] * 50
    half = random_texts(texts, DIGITS, share=0.5, seed=1)
    assert 0.3 < np.mean([a == b for a, b in zip(texts, half, strict=True)]) < 0.75
    assert swap_letters(["345", "33"], "3", "4") == ["435", "44"]


def test_texts_become_numbers():
    assert encode(["12", "0"]).tolist() == [[1, 2], [0, -1]]
    with pytest.raises(ValueError, match=r"Text 1 \('1x'\) has the letter 'x'"):
        encode(["12", "1x"])


def test_fonts_of_a_folder(tmp_path):
    import matplotlib

    with pytest.raises(UserError, match="holds no"):
        font_files(tmp_path)
    source = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    (tmp_path / "own.ttf").write_bytes(source.read_bytes())
    own = Domain("own", font_files(tmp_path), 0, 255, 0.0, 0.0)
    assert word_images(2, own)[0].shape == (2, 1, 24, 72)
    with pytest.raises(UserError, match=r"bad.ttf is missing or not a font"):
        word_images(1, Domain("bad", (str(tmp_path / "bad.ttf"),), 0, 255, 0.0, 0.0))


def _picture(path, grey=128):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 50, 3), grey, dtype=np.uint8)).save(path)


def test_a_folder_like_mjsynth(tmp_path):
    _picture(tmp_path / "1" / "1" / "0_Lube_45.jpg")
    _picture(tmp_path / "1" / "1" / "1_x-ray_46.jpg")
    (tmp_path / "1" / "1" / "2_broken_47.jpg").write_bytes(b"\xff\xd8 no picture")
    names = ["1/1/0_Lube_45.jpg 45", "1/1/1_x-ray_46.jpg 46", "1/1/2_broken_47.jpg 47", "1/1/3_gone_48.jpg 48"]
    (tmp_path / "annotation_train.txt").write_text("\n".join(names))
    pairs = read_mjsynth(tmp_path)
    images, texts, left_out = load_words(pairs)
    assert images.shape == (1, 3, 32, 100)
    assert texts == ["LUBE"]
    assert [line.split(": ")[1][:7] for line in left_out] == ["'x-ray'", "damaged", "missing"]
    with pytest.raises(UserError, match=r"annotation_test\.txt is missing"):
        read_mjsynth(tmp_path, "test")
    (tmp_path / "annotation_val.txt").write_text("1/1/word.jpg 3")
    with pytest.raises(UserError, match="line 1"):
        read_mjsynth(tmp_path, "val")


def test_a_folder_like_iiit5k(tmp_path):
    from scipy.io import savemat

    _picture(tmp_path / "test" / "1_1.png")
    _picture(tmp_path / "test" / "1_2.png")
    rows = np.array(
        [("test/1_1.png", "SALE"), ("test/1_2.png", "NO")], dtype=[("ImgName", object), ("GroundTruth", object)]
    )
    savemat(tmp_path / "testdata.mat", {"testdata": rows})
    images, texts, left_out = load_words(read_iiit5k(tmp_path), channels=1, shortest=3)
    assert images.shape == (1, 1, 32, 100)
    assert texts == ["SALE"]
    assert "too short" in left_out[0]
    assert set("SALE") <= set(ALPHANUMERIC)
    with pytest.raises(UserError, match=r"traindata\.mat is missing"):
        read_iiit5k(tmp_path, "train")
    (tmp_path / "traindata.mat").write_bytes(b"damaged")
    with pytest.raises(UserError, match="damaged or does not hold"):
        read_iiit5k(tmp_path, "train")


def test_nothing_readable_is_said():
    with pytest.raises(UserError, match="No picture could be read"):
        load_words([])
