"""Numbers with few bits inside a network that is trained in floating point: DoReFa's, PACT's and LSQ's quantisers.

Values are rounded on the way forward; on the way back the rounding is taken for the identity (straight through).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.ghost.detector import convolutions

FULL = 32  # bits that stand for "as it is"


def _bits(bits: int) -> int:
    if bits != FULL and not 1 <= bits <= 8:
        raise ValueError(f"Bits are 1 to 8, or 32 for none; got {bits}.")
    return bits


def round_through(x: Tensor) -> Tensor:
    """Round to the nearest integer; the gradient is that of x."""
    return x + (x.round() - x).detach()


def quantize_weight(w: Tensor, bits: int) -> Tensor:
    """DoReFa's weights, equation (1): tanh, scaled to [-1, 1], rounded to 2 ** bits levels, none of them 0.

    From arXiv 1606.06160. The largest magnitude is not put back: batch norm after the convolution takes up the scale.

    Args:
        w: any shape.
        bits: 2 to 8; 1 = sign times mean magnitude; 32 = w itself.
    """
    if _bits(bits) == FULL:
        return w
    if bits == 1:
        scale = w.detach().abs().mean()
        return w + (scale * w.sign() - w).detach()
    levels = 2**bits - 1
    tanh = w.tanh()
    unit = tanh / (2 * tanh.detach().abs().max().clamp_min(1e-12)) + 0.5
    return 2 * round_through(levels * unit) / levels - 1


def quantize_activation(a: Tensor, bits: int) -> Tensor:
    """DoReFa's activations, equation (1): clipped to [0, 1] and rounded to 2 ** bits levels.

    The gradient is 1 inside (0, 1), and 0 at and beyond the borders.

    Args:
        a: any shape.
        bits: 1 to 8; 32 = a itself.
    """
    return a if _bits(bits) == FULL else _Clipped.apply(a, 1.0, 2**bits - 1)  # type: ignore[no-any-return,no-untyped-call]


class _Clipped(torch.autograd.Function):
    """round(levels * clip(a / limit, 0, 1)) / levels * limit, in few passes over memory."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, limit: float, levels: int) -> Tensor:
        ctx.save_for_backward(a)
        ctx.limit = limit
        return a.clamp(0, limit).mul_(levels / limit).round_().mul_(limit / levels)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (a,) = ctx.saved_tensors
        return gradients[0] * ((a > 0) & (a < ctx.limit)), None, None


class Activation(nn.Module):
    """ReLU and DoReFa's rounding, on a range of its own: quantize(a / limit) * limit.

    Args:
        bits: of the rounding.
        limit: the range, positive; the released code has 1.
        learned: the limit is learned, as PACT (arXiv 1805.06085): values above it pass their gradient to it, and
            rounding's own error a little more.
    """

    def __init__(self, bits: int, limit: float = 1.0, *, learned: bool = False) -> None:
        super().__init__()
        if not 0 < limit < float("inf"):
            raise ValueError(f"The limit of activations must be positive and finite; got {limit}.")
        self.bits, self.learned = _bits(bits), learned
        self.limit: Tensor
        value = torch.tensor(float(limit))
        if learned:
            self.limit = nn.Parameter(value)
        else:
            self.register_buffer("limit", value)

    def forward(self, x: Tensor) -> Tensor:
        if self.bits == FULL:
            return F.relu(x)
        if self.learned:
            positive = F.relu(x)
            clipped = torch.minimum(positive, self.limit)  # above the limit its gradient is the limit's
            levels = 2**self.bits - 1
            return round_through(levels * clipped / self.limit) / levels * self.limit
        return _Clipped.apply(x, float(self.limit), 2**self.bits - 1)  # type: ignore[no-any-return,no-untyped-call]


class LSQ(nn.Module):
    """Learned step size (arXiv 1902.08153) for weights: round(clip(w / s)) * s with s learned.

    Args:
        weight: to start from.
        bits: 2 to 8.
    """

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.low, self.high = -(2 ** (_bits(bits) - 1)), 2 ** (bits - 1) - 1
        step = 2 * weight.detach().abs().mean() / max(self.high, 1) ** 0.5
        self.step = nn.Parameter(step.clamp_min(1e-8))  # weights that are all 0 stay 0
        self.gain = 1 / (weight.numel() * max(self.high, 1)) ** 0.5

    def forward(self, w: Tensor) -> Tensor:
        step = self.step * self.gain + (self.step - self.step * self.gain).detach()  # a smaller gradient
        return round_through((w / step).clamp(self.low, self.high)) * step


class QuantConv(nn.Conv2d):
    """A convolution whose weights are rounded before use."""

    bits: int = FULL
    lsq: LSQ | None = None

    def rounded(self) -> Tensor:
        """The weights that are used."""
        return self.lsq(self.weight) if self.lsq is not None else quantize_weight(self.weight, self.bits)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.rounded(), self.bias)


def bits_of(model: nn.Module, bits: int | Sequence[int] | Mapping[str, int]) -> dict[str, int]:
    """Bits by name for every convolution outside the heads.

    Args:
        model: a detector.
        bits: one number for all, a sequence in the order of the modules, or names with numbers.
    """
    names = list(convolutions(model))
    if isinstance(bits, int):
        return dict.fromkeys(names, _bits(bits))
    if isinstance(bits, Mapping):
        if set(bits) != set(names):
            odd = sorted(set(bits) ^ set(names))[0]
            raise ValueError(f"Bits are needed for every convolution and nothing else; {odd!r} does not fit.")
        return {name: _bits(int(bits[name])) for name in names}
    if len(bits) != len(names):
        raise ValueError(f"{len(names)} convolutions need as many numbers of bits; got {len(bits)}.")
    return {name: _bits(int(b)) for name, b in zip(names, bits, strict=True)}


def quantize_model(
    model: nn.Module, bits: int | Sequence[int] | Mapping[str, int], *, limits: Mapping[str, float] | None = None,
    weights: str = "dorefa", activations: str = "dorefa",
) -> nn.Module:  # fmt: skip
    """A copy that computes with rounded weights and activations; heads and batch norm stay as they are.

    Every convolution and the ReLU after it share their bits.

    Args:
        model: a trained detector.
        bits: as `bits_of`.
        limits: largest activation by the convolution's name; None: 1, as released.
        weights: "dorefa", "lsq", or "none".
        activations: "dorefa", "pact", "clip" (at the limit, nothing rounded), or "none".
    """
    if weights not in ("dorefa", "lsq", "none") or activations not in ("dorefa", "pact", "clip", "none"):
        raise ValueError(f"Unknown quantiser {weights!r} or {activations!r}.")
    chosen = bits_of(model, bits)
    student: Any = copy.deepcopy(model)
    for name, count in chosen.items():
        block = student.get_submodule(name.rpartition(".")[0])
        old = block[0]
        new = QuantConv(
            old.in_channels, old.out_channels, old.kernel_size, old.stride, old.padding, bias=old.bias is not None,
            device=old.weight.device,
        )  # fmt: skip
        new.load_state_dict(old.state_dict())
        if weights != "none" and count != FULL:
            new.bits = count
            new.lsq = LSQ(old.weight, count) if weights == "lsq" else None
        block[0] = new
        if activations != "none":
            limit = 1.0 if limits is None else limits[name]
            clip = nn.Hardtanh(0.0, limit)
            block[2] = clip if activations == "clip" else Activation(count, limit, learned=activations == "pact")
            block[2].to(old.weight.device)
    return student.train(model.training)
