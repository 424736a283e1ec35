"""The detector: a small YOLO whose first head works at a stride of 4, as SuperYOLO without its super-resolution.

Blocks and their order follow the released network, so that its parameters and multiply-adds can be counted. Images are
(N, channels, h, w) in [0, 1], sides multiples of 16 (small) or 32 (full); boxes are x1 y1 x2 y2 in pixels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.ghost.evaluation import Detections, suppress

ANCHORS = ((10, 13), (16, 30), (33, 23))  # pixels, of the finest head
LARGER = (
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)  # YOLOv5's, of the full network's others
SIDES = {"small": 16, "full": 32}  # of which the sides of a picture are multiples
OUT = {"small": (17,), "full": (17, 20, 23)}  # blocks that a head looks at
FROM = {12: 6, 16: 4, 19: 14, 22: 10}  # concatenations: with which earlier block


def conv(inside: int, outside: int, side: int = 1, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, side, stride, side // 2, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
    )


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, and perhaps the input added."""

    def __init__(self, width: int, skip: bool) -> None:
        super().__init__()
        self.cv1, self.cv2, self.skip = conv(width, width), conv(width, width, 3), skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.skip else y


class C3(nn.Module):
    """Two halves, one through bottlenecks, joined again."""

    def __init__(self, inside: int, outside: int, depth: int = 1, skip: bool = True) -> None:
        super().__init__()
        half = outside // 2
        # The order of registration is the order in which the released script lists convolutions.
        self.cv1, self.cv2, self.cv3 = conv(inside, half), conv(inside, half), conv(2 * half, outside)
        self.m = nn.Sequential(*(Bottleneck(half, skip) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat([self.m(self.cv1(x)), self.cv2(x)], 1))


class SPP(nn.Module):
    """Maxima over squares of 5, 9 and 13, beside the input."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = conv(inside, inside // 2), conv(2 * inside, outside)

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv1(x)
        return self.cv2(torch.cat([y, *(F.max_pool2d(y, k, 1, k // 2) for k in (5, 9, 13))], 1))


class Detector(nn.Module):
    """The detector of the released code (small: its VEDAI network; full: three heads).

    Args:
        variant: "small" or "full".
        channels: of the images; 4 = red, green, blue, near infrared.
        classes: how many.
        width: 0.5 as released; 0.125 for two slow cores.
        anchors: of the first head, (3, 2) pixels.
    """

    def __init__(
        self, variant: str = "small", *, channels: int = 3, classes: int = 8, width: float = 0.5,
        anchors: Sequence[Sequence[float]] = ANCHORS,
    ) -> None:  # fmt: skip
        super().__init__()
        if variant not in OUT:
            raise ValueError(f"Unknown variant {variant!r}: choose small or full.")
        a, b, c, d, e = (max(2, round(width * size)) for size in (64, 128, 256, 512, 1024))
        up = nn.Upsample(scale_factor=2, mode="nearest")
        layers: list[nn.Module] = [
            conv(channels, a, 3), conv(a, b, 3, 2), C3(b, b), conv(b, c, 3, 2), C3(c, c, 3), conv(c, d, 3, 2),
            C3(d, d, 3), conv(d, e, 3, 2), SPP(e, e), C3(e, e, skip=False), conv(e, d), up, nn.Identity(),
            C3(2 * d, d, skip=False), conv(d, c), up, nn.Identity(), C3(2 * c, c, skip=False),
        ]  # fmt: skip
        outside = [c]
        if variant == "full":
            layers += [conv(c, c, 3, 2), nn.Identity(), C3(2 * c, d, skip=False)]
            layers += [conv(d, d, 3, 2), nn.Identity(), C3(2 * d, e, skip=False)]
            outside += [d, e]
        self.layers = nn.ModuleList(layers)
        self.heads = nn.ModuleList(nn.Conv2d(size, 3 * (classes + 5), 1) for size in outside)
        self.variant, self.classes = variant, classes
        self.strides = (4, 8, 16)[: len(outside)] if variant == "full" else (4,)
        sizes = [anchors, *LARGER][: len(outside)]
        self.anchors: Tensor
        self.register_buffer("anchors", torch.tensor(sizes, dtype=torch.float32))
        for head, stride in zip(self.heads, self.strides, strict=True):
            _start(head, stride, classes)

    def maps(self, images: Tensor) -> list[Tensor]:
        """The output of every block, up-sampling and concatenation included."""
        found: list[Tensor] = []
        x = images
        for number, layer in enumerate(self.layers):
            x = torch.cat([x, found[FROM[number]]], 1) if number in FROM else layer(x)
            found.append(x)
        return found

    def heads_of(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Raw predictions of the heads from `maps`: (N, 3, h, w, 5 + classes) each."""
        raw = []
        for head, block in zip(self.heads, OUT[self.variant], strict=True):
            y = head(maps[block])
            n, _, h, w = y.shape
            raw.append(y.view(n, 3, -1, h, w).permute(0, 1, 3, 4, 2))
        return raw

    def forward(self, images: Tensor) -> list[Tensor]:
        """Raw predictions (N, 3, h, w, 5 + classes), a tensor a head: x, y, w, h, objectness, classes."""
        return self.heads_of(self.maps(images))

    def decode(self, raw: Sequence[Tensor], *, confidence: float = 0.001, overlap: float = 0.6) -> list[Detections]:
        """Detections of every image after non-maximum suppression within a class.

        Args:
            raw: from `forward`.
            confidence: least score, objectness times class.
            overlap: IoU above which the lower score goes.
        """
        boxes, scores = [], []
        for level, (y, stride) in enumerate(zip(raw, self.strides, strict=True)):
            found, rest = boxes_of(y, self.anchors[level], stride)
            boxes.append(found.flatten(1, 3))
            scores.append((rest[..., :1] * rest[..., 1:]).flatten(1, 3))
        return suppress(torch.cat(boxes, 1), torch.cat(scores, 1), confidence=confidence, overlap=overlap)


def boxes_of(raw: Tensor, anchors: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Boxes (N, 3, h, w, 4) x1 y1 x2 y2 in pixels, and sigmoids of objectness and classes (N, 3, h, w, 1 + classes)."""
    _, _, h, w, _ = raw.shape
    y = raw.sigmoid()
    rows = torch.arange(h, device=raw.device, dtype=raw.dtype).view(1, 1, h, 1)
    columns = torch.arange(w, device=raw.device, dtype=raw.dtype).view(1, 1, 1, w)
    x_centre = (2 * y[..., 0] - 0.5 + columns) * stride
    y_centre = (2 * y[..., 1] - 0.5 + rows) * stride
    half = (2 * y[..., 2:4]).square() * anchors.view(1, 3, 1, 1, 2) / 2
    centre = torch.stack([x_centre, y_centre], -1)
    return torch.cat([centre - half, centre + half], -1), y[..., 4:]


def _start(head: nn.Module, stride: int, classes: int) -> None:
    """Biases that expect eight objects in a picture of 640 pixels, and all classes alike, as YOLOv5."""
    assert isinstance(head, nn.Conv2d)
    assert head.bias is not None
    with torch.no_grad():
        bias = head.bias.view(3, -1)
        bias[:, 4] += torch.log(torch.tensor(8 / (640 / stride) ** 2))
        bias[:, 5:] += torch.log(torch.tensor(0.6 / (classes - 0.99)))


# ------------------------------------------------------------------------------------------- counting


def convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """All convolutions outside the heads, by name, in the order of the modules."""
    return {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and not n.startswith("heads")}


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode with every batch norm in the convolution before it."""
    if any(hasattr(module, "rounded") for module in model.modules()):
        raise ValueError("A rounded network cannot be folded: its batch norm belongs to the rounded weights.")
    folded = copy.deepcopy(model).eval()
    for block in folded.modules():
        if isinstance(block, nn.Sequential) and len(block) == 3 and isinstance(block[1], nn.BatchNorm2d):
            first: Any = block[0]
            block[0] = torch.nn.utils.fuse_conv_bn_eval(first, block[1])
            block[1] = nn.Identity()
    return folded


@torch.no_grad()
def conv_macs(model: nn.Module, image_size: int) -> dict[str, int]:
    """Multiply-adds of every convolution, the heads' too, for one square picture; additions of biases not counted."""
    found: dict[str, int] = {}
    hooks = []

    def count(name: str, module: nn.Conv2d) -> Any:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            found[name] = output[0].numel() * module.weight[0].numel()

        return hook

    convs = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    for name, module in convs.items():
        hooks.append(module.register_forward_hook(count(name, module)))
    first = next(iter(convs.values()))
    was_training = model.training
    try:
        model.eval()
        model(torch.zeros(1, first.in_channels, image_size, image_size, device=first.weight.device))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return {name: found[name] for name in convs}


def count_macs(model: nn.Module, image_size: int) -> int:
    """Multiply-adds of a forward pass, those of convolutions, biases left out."""
    return sum(conv_macs(model, image_size).values())
