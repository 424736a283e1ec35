"""How fast moved strokes are fetched: our deformable convolution against torchvision's, forward and back.

    python benchmarks/dgfont.py [--threads 2]

Both get the same input, moves, factors and weights; shapes are those of the chapter's skip connections and of the
content encoder's first layer. Results are compared first. Also a whole training step of the book's model with either.
Medians. Writes benchmarks/results/dgfont.json.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "dgfont.json"
#: Name to batch, channels, outputs, pixels a side, kernel.
SHAPES = {
    "full resolution": (16, 16, 16, 32, 3),
    "half resolution": (16, 32, 32, 16, 3),
    "released": (4, 64, 64, 80, 3),
}


def operators() -> dict[str, float]:
    """Ours over torchvision's in calls a second, by shape."""
    import torch
    from torchvision.ops import deform_conv2d as theirs

    from firsthand.dgfont.deform import deform_conv2d as ours
    from firsthand.kit.lab.timing import median_seconds

    found = {}
    for name, (batch, channels, outputs, size, kernel) in SHAPES.items():
        generator = torch.Generator().manual_seed(0)

        def drawn(*shape: int, generator: torch.Generator = generator) -> torch.Tensor:
            return torch.randn(shape, generator=generator).requires_grad_()

        x, weight = drawn(batch, channels, size, size), drawn(outputs, channels, kernel, kernel)
        offset, mask = drawn(batch, 2 * kernel**2, size, size), drawn(batch, kernel**2, size, size)
        options = {"padding": kernel // 2, "mask": mask.sigmoid().detach().requires_grad_()}
        values = [one(x, offset, weight, **options) for one in (ours, theirs)]
        assert torch.allclose(*values, atol=1e-3)

        def step(one, x=x, offset=offset, weight=weight, options=options) -> None:
            one(x, offset, weight, **options).square().mean().backward()

        found[name] = median_seconds(lambda: step(theirs)) / median_seconds(lambda: step(ours))
    return found


def training() -> float:
    """Steps a second of the book's model with our operator over those with torchvision's."""
    import torch
    from torchvision.ops import deform_conv2d as theirs

    from firsthand.data.readers.glyphs import shipped
    from firsthand.dgfont import deform
    from firsthand.dgfont.batches import Sampler
    from firsthand.dgfont.lab.runs import BOOK
    from firsthand.dgfont.trainer import Trainer
    from firsthand.kit.lab.timing import median_seconds

    glyphs, ours = shipped(), deform.deform_conv2d
    trainer, sampler = Trainer(BOOK, fonts=30, size=32), Sampler(glyphs)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        trainer.step(BOOK.warmup, sampler, generator)

    def slow(x, offset, weight, bias=None, stride=1, padding=0, dilation=1, mask=None):
        return theirs(x, offset, weight, bias, stride, padding, dilation, mask)

    own = median_seconds(step, 3)
    deform.deform_conv2d = slow
    try:
        return median_seconds(step, 3) / own
    finally:
        deform.deform_conv2d = ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    threads = parser.parse_args().threads
    import torch
    import torchvision

    from firsthand.kit.lab.provenance import processor

    torch.set_num_threads(threads)
    ratios = operators()
    content = {
        "peer": f"torchvision {torchvision.__version__}", "processor": processor(), "threads": threads,
        "forward and back, ours over theirs": {name: round(value, 2) for name, value in ratios.items()},
        "training steps, ours over theirs": round(training(), 2),
    }  # fmt: skip
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
