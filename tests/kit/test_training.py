"""The training loop: resuming after a kill, several processes, schedules, checkpoints that do not fit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from firsthand.errors import UserError
from firsthand.kit.lab.cached import account, cached
from firsthand.kit.train.loop import (
    Cosine,
    MicroBatch,
    accelerator_for,
    epoch_indices,
    load_tensors,
    parameter_groups,
    save_tensors,
    train,
)  # fmt: skip

#: Trains a small net with dropout and momentum in another process, which may wait, once it has written a checkpoint,
#: to be killed.
SCRIPT = """
import sys, time, torch
from pathlib import Path
from torch import nn
from firsthand.kit.train.loop import Cosine, train
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
def loss(model, share):
    while {waits} and Path(sys.argv[1]).is_file():
        time.sleep(0.1)
    return model(torch.randn(8, 4, generator=share.generator())).square().mean()
print("started", flush=True)
train(model, optimizer, loss, steps=60, lr=Cosine(0.1, 60, 5), seed=3, checkpoint=Path(sys.argv[1]), every=5)
"""


def _launch(file, waits=False):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT.format(waits=waits), str(file)], env=environment)


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path):
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    assert _launch(whole).wait() == 0
    process = _launch(cut, waits=True)
    while not cut.is_file() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(load_tensors(cut)[1]["losses"]) < 60
    assert _launch(cut).wait() == 0
    first, second = load_tensors(whole), load_tensors(cut)
    assert first[1] == second[1]
    assert first[0].keys() == second[0].keys()
    assert all(torch.equal(first[0][name], second[0][name]) for name in first[0])


def _line(share: MicroBatch) -> torch.Tensor:
    return share.take(torch.randn(12, 3, generator=share.generator()))


def _fit(**options):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = train(
        model, optimizer, lambda m, share: (m(_line(share)) - 1).square().mean(), steps=6, lr=Cosine(0.1, 6), **options
    )
    return model, losses


@pytest.mark.parametrize("accumulate", [2, 3])
def test_accumulation_changes_nothing(accumulate):
    (one, losses), (many, others) = _fit(), _fit(accumulate=accumulate)
    assert others == pytest.approx(losses, abs=1e-6)
    torch.testing.assert_close(one.weight, many.weight, rtol=1e-5, atol=1e-6)


def test_the_callers_chance_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(0)
    _fit()  # sets the seed itself before the loop
    torch.manual_seed(5)
    model = nn.Linear(3, 1)
    torch.manual_seed(5)
    train(model, torch.optim.SGD(model.parameters()), lambda m, s: m(_line(s)).mean(), steps=2, lr=Cosine(0.1, 2))
    assert torch.equal(torch.rand(3), expected)


def test_stopping_early_keeps_the_schedule(tmp_path):
    file = tmp_path / "half.safetensors"
    whole, losses = _fit()
    _, first = _fit(checkpoint=file, stop=3)
    resumed, both = _fit(checkpoint=file)
    assert first == losses[:3]
    assert both == losses
    assert torch.equal(whole.weight, resumed.weight)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    file = tmp_path / "other.safetensors"
    _fit(checkpoint=file)
    with pytest.raises(UserError, match=r"other.safetensors belongs to another model or seed"):
        _fit(checkpoint=file, seed=1)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UserError, match=r"other.safetensors is damaged"):
        _fit(checkpoint=file)
    with pytest.raises(UserError, match=r"No file none.safetensors"):
        load_tensors(tmp_path / "none.safetensors")


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)

    def loss(m, share):
        return m(_line(share)).mean() * (float("nan") if share.step == 3 else 1.0)

    with pytest.raises(UserError, match="The loss is nan at step 3"):
        train(model, optimizer, loss, steps=6, lr=Cosine(0.1, 6), checkpoint=tmp_path / "c.safetensors", every=2)
    assert len(load_tensors(tmp_path / "c.safetensors")[1]["losses"]) == 2


def test_the_schedule_by_hand():
    lr = Cosine(peak=2.0, steps=30, warmup=10)
    assert [lr(0), lr(9), lr(10), lr(20), lr(30)] == pytest.approx([0.2, 2.0, 2.0, 1.0, 0.0])


def test_every_epoch_holds_every_example_once():
    batches = [epoch_indices(step, 5, 20, seed=1) for step in range(8)]
    assert sorted(np.concatenate(batches[:4])) == sorted(np.concatenate(batches[4:])) == list(range(20))
    assert not np.array_equal(batches[0], batches[4])
    with pytest.raises(UserError, match="A batch of 21"):
        epoch_indices(0, 21, 20, seed=1)


def test_shares_make_up_the_batch():
    parts = [MicroBatch(7, part, 4, 0).take(torch.arange(12)) for part in range(4)]
    assert torch.equal(torch.cat(parts), torch.arange(12))
    with pytest.raises(UserError, match="A batch of 12 does not divide into 5"):
        MicroBatch(0, 0, 5, 0).take(torch.arange(12))
    first, same, other = (MicroBatch(step, 0, 1, 0).generator().initial_seed() for step in (1, 1, 2))
    assert first == same != other


def test_what_does_not_decay():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    groups = parameter_groups(model, weight_decay=0.1, scale=lambda name: 0.5 if name.startswith("0") else 1.0)
    found = {(group["weight_decay"], group["lr_scale"]): len(group["params"]) for group in groups}
    assert found == {(0.1, 0.5): 1, (0.0, 0.5): 1, (0.0, 1.0): 2}


def test_a_launcher_that_lies_is_found_out(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises((UserError, ValueError)):
        accelerator_for("cpu")


def test_tensors_are_written_whole(tmp_path):
    file = tmp_path / "t.safetensors"
    save_tensors(file, {"a": torch.arange(3)}, {"note": [1, 2]})
    tensors, about = load_tensors(file)
    assert torch.equal(tensors["a"], torch.arange(3))
    assert about == {"note": [1, 2]}
    assert list(tmp_path.iterdir()) == [file]


def test_shared_results_remember_what_they_cost():
    @cached
    def inner(x):
        time.sleep(0.05)
        return x

    @cached
    def outer(x):
        return inner(x) + 1

    with account() as first:
        assert outer(1) == 2
    with account() as second:
        assert outer(1) == 2
    with account() as third:
        assert inner(1) == 1
    assert first.saved == 0
    assert second.saved >= 0.05
    assert third.saved >= 0.05
