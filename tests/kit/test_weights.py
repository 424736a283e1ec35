"""What ships: weights with their cards, arrays with their checksums, all within their sizes."""

from __future__ import annotations

import hashlib
import re

import pytest
import torch

from firsthand.chapters import PACKAGE
from firsthand.errors import UserError
from firsthand.kit.train import weights

FILES = sorted((PACKAGE / "weights").glob("*.safetensors"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_shipped_weights_are_what_their_card_says(file):
    card = weights.card_of(file.stem)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == card["sha256"]
    assert file.stat().st_size == card["bytes"]
    assert card["log"][-1][1] < card["log"][0][1]
    assert {"command", "seed", "minutes", "processor", "quality", "licence"} <= card.keys()
    assert all(tensor.isfinite().all() for tensor in weights.shipped(file.stem).values())


def test_what_ships_is_small():
    assert sum(file.stat().st_size for file in FILES) < 30e6
    assert sum(file.stat().st_size for file in (PACKAGE / "data" / "embedded").iterdir()) < 25e6


def test_embedded_arrays_have_their_checksum_on_their_card():
    cards = (PACKAGE / "data" / "cards.toml").read_text(encoding="utf-8")
    for file in (PACKAGE / "data" / "embedded").glob("*.npz"):
        found = re.search(rf"{file.name}.*?sha256 ([0-9a-f]{{64}})", cards, re.S)
        assert found, file.name
        assert hashlib.sha256(file.read_bytes()).hexdigest() == found[1]


def test_a_card_must_be_complete(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(UserError, match="The card of x lacks log, minutes"):
        weights.ship("x", {"a": torch.zeros(2)}, {"command": "c", "seed": 0, "processor": "p", "quality": {}})
    card = {"command": "c", "seed": 0, "processor": "p", "quality": {}, "minutes": 1.0, "log": []}
    weights.ship("x", {"a": torch.arange(2)}, card)
    assert torch.equal(weights.shipped("x")["a"], torch.arange(2))
    assert weights.card_of("x")["seed"] == 0


def test_a_damaged_or_foreign_file_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    card = {"command": "c", "seed": 0, "processor": "p", "quality": {}, "minutes": 1.0, "log": []}
    path = weights.ship("x", {"a": torch.arange(100.0)}, card)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 1  # inside the numbers, where the format itself has no checksum
    weights.ship("other", {"a": torch.arange(100.0) + 1}, card)
    foreign = (tmp_path / "other.safetensors").read_bytes()
    for bad in (bytes(flipped), whole[:-7], foreign, b"", b"GIF89a"):
        path.write_bytes(bad)
        with pytest.raises(UserError, match=r"x\.safetensors is damaged or not the book's"):
            weights.shipped("x")
    path.write_bytes(whole)
    assert torch.equal(weights.shipped("x")["a"], torch.arange(100.0))
    path.unlink()
    with pytest.raises(UserError, match=r"No file x\.safetensors"):
        weights.shipped("x")
