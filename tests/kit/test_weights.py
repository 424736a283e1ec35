"""What ships: weights with their cards, arrays with their checksums, all within their sizes."""

from __future__ import annotations

import hashlib
import re

import pytest
import torch
from safetensors.torch import save_file

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


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.safetensors"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pytorchs_own_files_are_refused_by_name_and_never_opened(tmp_path, name, zipped):
    torch.save({"a": torch.zeros(2)}, tmp_path / name, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=rf"^{name} is PyTorch's own kind of file.*save_file and name that file\.$"):
        weights.read_weights(tmp_path / name)
    assert (tmp_path / name).is_file()


def test_safetensors_of_any_name_are_read(tmp_path):
    save_file({"a": torch.arange(3.0)}, tmp_path / "other.pt")
    assert weights.read_weights(tmp_path / "other.pt")["a"].tolist() == [0, 1, 2]
    with pytest.raises(UserError, match=r"No file none\.safetensors"):
        weights.read_weights(tmp_path / "none.safetensors")


def test_nobody_is_told_to_delete_their_own_file(tmp_path):
    file = tmp_path / "mine.safetensors"
    for content in (b"", b"GIF89a", b"x" * 100):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"mine\.safetensors is damaged .*: name another file") as said:
            weights.read_weights(file)
        assert "delete" not in str(said.value)
