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
    render,
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
    assert [line.split(": ")[1].split(" (")[0] for line in left_out] == [
        "'x-ray' is too short or has a letter outside the alphabet",
        "it is damaged",
        "it is missing",
    ]
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


def test_a_character_that_a_font_lacks_is_refused_and_not_drawn_as_a_box(tmp_path):
    with pytest.raises(UserError, match=r"STIXGeneral\.ttf lacks '永', needed to draw 'A永'"):
        render("A永", Domain("own", ("STIXGeneral.ttf",), 0, 255, 0.0, 0.0), np.random.default_rng(0))
    with pytest.raises(UserError, match="lacks '永', needed to draw '永永永'"):
        word_images(3, PRINT, alphabet="永")
    assert word_images(3, PRINT, alphabet="É")[1] == ["ÉÉÉ"] * 3


def test_fonts_with_endings_in_capitals_are_read_and_hidden_files_are_not(tmp_path):
    import matplotlib

    source = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name, copy in (("DejaVuSans", "a.TTF"), ("DejaVuSerif", "B.Otf"), ("cmr10", "._c.ttf")):
        (tmp_path / copy).write_bytes((source / f"{name}.ttf").read_bytes())
    assert [Path(file).name for file in font_files(tmp_path)] == ["B.Otf", "a.TTF"]


@pytest.mark.parametrize("text", ["Maß", "ﬁne", "ſay", "ısı", "straẞe", "Ｗide", "\u212aelvin", "cafe\u0301"])
def test_words_that_capitals_would_change_are_left_out_and_counted(tmp_path, text):
    _picture(tmp_path / "a.png")
    images, texts, left_out = load_words([(tmp_path / "a.png", text), (tmp_path / "a.png", "Mass")])
    assert texts == ["MASS"]
    assert len(images) == 1
    assert left_out == [f"a.png: {text!r} is too short or has a letter outside the alphabet"]


def test_letters_with_a_capital_of_their_own_are_put_into_it(tmp_path):
    _picture(tmp_path / "a.png")
    assert load_words([(tmp_path / "a.png", "éclair")], alphabet=ALPHANUMERIC + "É")[1] == ["ÉCLAIR"]


def test_pictures_of_sixteen_bits_are_read_as_of_eight(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (32, 100), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "8.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.png")
    Image.frombytes("I;16B", (100, 32), (grey.astype(">u2") * 257).astype(">u2").tobytes()).save(tmp_path / "16.tif")
    for channels in (1, 3):
        images, _, _ = load_words([(tmp_path / name, "A") for name in ("8.png", "16.png", "16.tif")], channels=channels)
        assert all(np.array_equal(image, np.broadcast_to(grey, (channels, 32, 100))) for image in images.numpy())


def test_pictures_of_other_numbers_or_of_several_pages_are_named(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tif")
    page = Image.fromarray(np.zeros((4, 4), np.uint8))
    page.save(tmp_path / "b.tif", save_all=True, append_images=[page, page])
    _picture(tmp_path / "c.png")
    _, texts, left_out = load_words([(tmp_path / name, name[0]) for name in ("a.tif", "b.tif", "c.png")])
    assert texts == ["C"]
    assert left_out == [
        "a.tif: a.tif has pixels of 32 bits; 8 or 16 are read",
        "b.tif: b.tif holds 3 pictures; one a file is read",
    ]


def test_blank_lines_and_a_byte_order_mark_are_no_entries(tmp_path):
    _picture(tmp_path / "1" / "0_Lube_45.jpg")
    (tmp_path / "annotation_train.txt").write_text("1/0_Lube_45.jpg 45\n\n", encoding="utf-8-sig")
    assert read_mjsynth(tmp_path) == [(tmp_path / "1" / "0_Lube_45.jpg", "Lube")]


def test_a_collection_of_fonts_is_no_font(tmp_path):
    from fontTools.ttLib import TTCollection, TTFont
    from matplotlib import get_data_path

    several, folder = TTCollection(), Path(get_data_path()) / "fonts" / "ttf"
    several.fonts = [TTFont(folder / f"{name}.ttf") for name in ("DejaVuSans", "DejaVuSerif")]
    several.save(tmp_path / "two.ttc")
    with pytest.raises(UserError, match=r"two\.ttc holds 2 fonts; give a file of one"):
        word_images(1, Domain("two", (str(tmp_path / "two.ttc"),), 0, 255, 0.0, 0.0))
