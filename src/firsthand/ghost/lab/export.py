"""An integer network that really runs: PyTorch's own 8-bit kernels on a CPU, measured beside the formulas."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from firsthand.ghost.detector import OUT, Detector, fold_batch_norm


class Body(nn.Module):
    """A small detector up to its raw output (N, 3 (5 + classes), h, w), which is what integers can compute."""

    def __init__(self, model: Detector) -> None:
        super().__init__()
        if model.variant != "small":
            raise ValueError("The export covers the small network, which has one head.")
        self.detector = model

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, channels, h, w) in [0, 1]."""
        return self.detector.heads[0](self.detector.maps(images)[OUT["small"][0]])


@dataclass(frozen=True)
class Exported:
    """An integer network and what it costs.

    Attributes:
        module: runs on a CPU. bytes: of the file with its weights. milliseconds: of one picture, one thread.
    """

    module: nn.Module
    bytes: int
    milliseconds: float

    def raw(self, images: Tensor, classes: int) -> list[Tensor]:
        """Predictions in the detector's own layout, for `Detector.decode`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = self.module(images)
        n, _, h, w = y.shape
        return [y.view(n, 3, 5 + classes, h, w).permute(0, 1, 3, 4, 2)]


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """All weights as plain tensors: integers with their scales where they are integers."""
    found: dict[str, Tensor] = {}
    for name, value in module.state_dict().items():
        values = value if isinstance(value, tuple) else (value,)
        for place, tensor in enumerate(v for v in values if isinstance(v, Tensor)):
            key = f"{name}.{place}"
            if tensor.is_quantized:
                found[key] = tensor.int_repr().contiguous()
                scheme = tensor.qscheme() in (torch.per_channel_affine, torch.per_channel_symmetric)
                found[f"{key}.scale"] = tensor.q_per_channel_scales() if scheme else torch.tensor(tensor.q_scale())
            else:
                found[key] = tensor.detach().contiguous()
    return found


def _timed(module: nn.Module, images: Tensor, repeats: int) -> float:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module(images)
        begin = time.perf_counter()
        for _ in range(repeats):
            module(images)
    return 1000 * (time.perf_counter() - begin) / repeats


def export_int8(model: Detector, pictures: Tensor, folder: Path, *, repeats: int = 20) -> tuple[Exported, Exported]:
    """The network in 8-bit integers and in floats, batch norm folded, each with its file and time.

    Args:
        model: a trained small detector in full precision.
        pictures: uint8 (N, channels, s, s) to choose ranges on.
        folder: takes int8.safetensors and float.safetensors.
        repeats: runs that are timed.
    """
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    folder.mkdir(parents=True, exist_ok=True)
    images = pictures.float() / 255
    plain = Body(fold_batch_norm(model)).eval()  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch announces a successor, and that concatenations are rescaled
        prepared = prepare_fx(Body(fold_batch_norm(model)).eval(), get_default_qconfig_mapping("x86"), (images[:1],))  # type: ignore[arg-type]
        with torch.no_grad():
            for part in images.split(16):
                prepared(part)
        integer = convert_fx(prepared)
    found = []
    for name, module in (("int8", integer), ("float", plain)):
        file = folder / f"{name}.safetensors"
        save_file({key: value.clone() for key, value in _tensors(module).items()}, file)
        found.append(Exported(module, file.stat().st_size, _timed(module, images[:1], repeats)))
    return found[0], found[1]
