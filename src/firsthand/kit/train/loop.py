"""One training loop for the book: one process or many, resumable to the bit, half precision on GPUs.

All chance in a step comes from the seed and the step's number, so nothing random has to be saved: a run that was
killed goes on from its checkpoint as if nothing had happened. Every process draws the whole batch's chance and takes
its share, so one process and eight compute the same loss.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from firsthand.errors import UserError
from firsthand.kit.train.device import resolve_device
from firsthand.kit.train.distributed import over_the_whole_batch, world_size


@dataclass(frozen=True)
class Cosine:
    """Learning rate by step: a straight warm-up to `peak`, then half a cosine down to `floor`.

    Attributes:
        peak: largest rate.
        steps: length of the run.
        warmup: steps of the warm-up.
        floor: rate at the end.
    """

    peak: float
    steps: int
    warmup: int = 0
    floor: float = 0.0

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.floor + (self.peak - self.floor) * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def parameter_groups(
    model: nn.Module, *, weight_decay: float, scale: Callable[[str], float] | None = None
) -> list[dict[str, Any]]:
    """Groups for an optimiser: no decay on tensors of one axis (biases, norms, GRN), a factor on the rate by name.

    Args:
        model: whose trainable parameters are grouped.
        weight_decay: of tensors with two or more axes.
        scale: parameter name -> factor on the learning rate, kept as "lr_scale"; None = 1.
    """
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = weight_decay if parameter.ndim > 1 else 0.0
        factor = 1.0 if scale is None else scale(name)
        group = groups.setdefault((factor, decay), {"params": [], "weight_decay": decay, "lr_scale": factor})
        group["params"].append(parameter)
    return list(groups.values())


@dataclass(frozen=True)
class MicroBatch:
    """The part of a step's batch that one backward pass handles.

    Attributes:
        step: number of the step.
        part, parts: which of how many equal shares (processes times accumulated passes).
        seed: of the run.
    """

    step: int
    part: int
    parts: int
    seed: int

    def generator(self, purpose: int = 0) -> torch.Generator:
        """A CPU generator for the whole batch's chance at this step; draw for all images, then `take`."""
        state = np.random.SeedSequence([self.seed, self.step, purpose]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(state >> np.uint64(1)))

    def take(self, whole: Any) -> Any:
        """This share of something with one entry an image."""
        if len(whole) % self.parts:
            raise UserError(f"A batch of {len(whole)} does not divide into {self.parts} equal parts.")
        size = len(whole) // self.parts
        return whole[self.part * size : (self.part + 1) * size]

    def turn(self, whole: Any) -> Any:
        """The shares that all processes handle at the same time, in the order in which `gathered` puts them."""
        if len(whole) % self.parts:
            raise UserError(f"A batch of {len(whole)} does not divide into {self.parts} equal parts.")
        size, many = len(whole) // self.parts, world_size()
        first = self.part // many * many
        return whole[first * size : (first + many) * size]

    def own(self, turn: Any) -> Any:
        """This share of what `turn` gave."""
        size, at = len(turn) // world_size(), self.part % world_size()
        return turn[at * size : (at + 1) * size]


def epoch_indices(step: int, batch: int, examples: int, seed: int) -> np.ndarray:
    """Which examples the step's whole batch holds: every epoch is a fresh permutation, its remainder is left out.

    Args:
        step: number of the step.
        batch: examples a step.
        examples: in the data.
        seed: of the run.

    Returns:
        (batch,) indices.
    """
    if batch > examples:
        raise UserError(f"A batch of {batch} needs at least as many examples; there are {examples}.")
    epoch, place = divmod(step, examples // batch)
    order = np.random.default_rng([seed, epoch]).permutation(examples)
    return order[place * batch : (place + 1) * batch]


def processes() -> int:
    """How many processes the launcher started (1 without one)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def accelerator_for(device: str | torch.device = "auto", precision: str = "auto") -> Any:
    """An Accelerator on a device.

    Args:
        device: as `resolve_device`; with several processes every one takes its own GPU.
        precision: "fp32", "bf16", or "auto" = bf16 on CUDA, else fp32.

    Raises:
        UserError: an unknown precision, or the launcher promised other processes than Accelerate found.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise UserError(f"Unknown precision {precision!r}: choose auto, fp32 or bf16.")
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    where = resolve_device(str(device))
    if precision == "auto":
        precision = "bf16" if where.type == "cuda" else "fp32"
    if processes() == 1:
        AcceleratorState._reset_state(reset_partial_state=True)  # it remembers the last run's device for ever
        if where.index is not None:
            torch.cuda.set_device(where)
    accelerator = Accelerator(cpu=where.type == "cpu", mixed_precision="bf16" if precision == "bf16" else "no")
    if accelerator.num_processes != processes():
        raise UserError(
            f"The launcher asks for {processes()} processes, but Accelerate runs {accelerator.num_processes}."
        )
    return accelerator


Loss = Callable[[nn.Module, MicroBatch], Tensor]


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    *,
    steps: int,
    lr: Callable[[int], float],
    seed: int = 0,
    accelerator: Any = None,
    accumulate: int = 1,
    clip: float | None = None,
    checkpoint: Path | None = None,
    every: int = 200,
    stop: int | None = None,
    progress: bool = False,
    after_step: Callable[[int], None] | None = None,
    also: nn.Module | None = None,
) -> list[float]:
    """Train a model in place; resume from `checkpoint` where there is one.

    Args:
        model, optimizer: what to train; group["lr_scale"] multiplies the rate.
        loss: loss(model, share) -> mean loss over the share's images; it draws its chance from the share.
        steps: optimiser steps of the whole run.
        lr: rate by step.
        seed: of all chance.
        accelerator: from `accelerator_for`; None = the model's own device in full precision, one process.
        accumulate: backward passes a step and process.
        clip: largest gradient norm.
        checkpoint: a safetensors file, written every `every` steps and at the end.
        stop: leave after this step, the schedule unchanged.
        progress: show a bar.
        after_step: called with the number of steps done.
        also: another module to keep in the checkpoint, such as an average of the weights.

    Returns:
        The loss of every step, averaged over all shares.

    Raises:
        UserError: a checkpoint of other settings or damaged, or a loss that is not finite.
    """
    from tqdm import tqdm

    if accelerator is None:
        accelerator = accelerator_for(next(model.parameters()).device, "fp32")
    over_the_whole_batch(model)
    wrapped, optimizer_ = accelerator.prepare(model, optimizer)
    losses = load_checkpoint(checkpoint, model, optimizer, seed, also) if checkpoint and checkpoint.is_file() else []
    last = steps if stop is None else min(stop, steps)
    parts = accelerator.num_processes * accumulate
    pending: list[Tensor] = []
    hidden = not progress or not accelerator.is_main_process
    cuda = [torch.cuda.current_device()] if accelerator.device.type == "cuda" else []
    wrapped.train()
    with torch.random.fork_rng(devices=cuda), tqdm(total=last, initial=len(losses), disable=hidden, unit="step") as bar:
        for step in range(len(losses), last):
            for group in optimizer.param_groups:
                group["lr"] = lr(step) * group.get("lr_scale", 1.0)
            pending.append(_one_step(wrapped, optimizer_, loss, accelerator, step, parts, accumulate, seed, clip))
            bar.update()
            done = step + 1
            if done % every == 0 or done == last:
                losses += _settle(pending, len(losses), checkpoint)
                bar.set_postfix_str(f"loss {losses[-1]:.4f}")
            if after_step is not None:
                after_step(done)
            if checkpoint and accelerator.is_main_process and len(losses) == done:
                save_checkpoint(checkpoint, model, optimizer, losses, seed, also)
    return losses


def _one_step(wrapped, optimizer, loss, accelerator, step, parts, accumulate, seed, clip) -> Tensor:
    """One optimiser step; returns its loss, averaged over processes, still on the device."""
    total = torch.zeros((), device=accelerator.device)
    optimizer.zero_grad(set_to_none=True)
    for turn in range(accumulate):
        micro_batch = MicroBatch(step, turn * accelerator.num_processes + accelerator.process_index, parts, seed)
        torch.manual_seed(micro_batch.generator(1).initial_seed() % 2**63 + micro_batch.part)  # dropout and its like
        final = turn == accumulate - 1
        with accelerator.accumulate() if final else accelerator.no_sync(wrapped):
            value = loss(wrapped, micro_batch) / accumulate
            accelerator.backward(value)
        total += value.detach()
    if clip is not None:
        accelerator.clip_grad_norm_(wrapped.parameters(), clip)
    optimizer.step()
    return accelerator.reduce(total, reduction="mean")


def _settle(pending: list[Tensor], before: int, checkpoint: Path | None) -> list[float]:
    """The losses since the last time as numbers: one look at the device for many steps."""
    values = torch.stack(pending).tolist()
    pending.clear()
    for number, value in enumerate(values):
        if not math.isfinite(value):
            kept = f" The last good state is in {checkpoint.name}." if checkpoint and checkpoint.is_file() else ""
            raise UserError(f"The loss is {value} at step {before + number}: lower the learning rate.{kept}")
    return values


# ------------------------------------------------------------------------------------------- checkpoints


def save_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write a safetensors file atomically; `about` goes into it as JSON, and a checksum of the numbers."""
    from safetensors.torch import save

    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = save(content, {"about": json.dumps(about, sort_keys=True), "checksum": _checksum(content)})
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _checksum(content: dict[str, Tensor]) -> str:
    """Of names and bytes, whatever their order in the file."""
    digest = hashlib.sha256()
    for name in sorted(content):
        digest.update(f"{name} {content[name].dtype} {tuple(content[name].shape)}".encode())
        digest.update(content[name].flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        UserError: no such file, not a whole safetensors file, or other numbers than were written.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"No file {path.name} in {path.parent.name or 'this folder'}.")
    try:
        with safe_open(path, framework="pt") as file:
            known = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if "checksum" in known and known["checksum"] != _checksum(tensors):  # shipped weights have it on their card
                raise ValueError("its checksum is another one")
            return tensors, json.loads(known.get("about", "{}"))
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path.name} is damaged ({error}): name another file, or another folder.") from None


def _modules(model: nn.Module, also: nn.Module | None) -> nn.ModuleDict:
    return nn.ModuleDict({"model": model} if also is None else {"model": model, "also": also})


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    losses: Iterable[float],
    seed: int,
    also: nn.Module | None = None,
) -> None:
    """Model, optimiser, losses so far and seed in one file."""
    tensors = dict(_modules(model, also).state_dict())
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()})
    save_tensors(path, tensors, {"losses": list(losses), "seed": seed})


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, seed: int, also: nn.Module | None = None
) -> list[float]:
    """Put a checkpoint back; returns the losses so far. Nothing changes if it does not fit."""
    tensors, about = load_tensors(path)
    modules = _modules(model, also)
    own = modules.state_dict()
    weights = {name: t for name, t in tensors.items() if not name.startswith("optimizer.")}
    same = weights.keys() == own.keys() and all(weights[name].shape == own[name].shape for name in own)
    if not same or about.get("seed") != seed:
        raise UserError(f"{path.name} belongs to another model or seed: name another file, or another folder.")
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = tensor
    modules.load_state_dict(weights)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return list(about["losses"])
