"""How fast the target is, against scikit-image's, and what two views cost, against one.

    python benchmarks/dmjd.py [--threads 2]

HOG of a batch of colour images of 224 pixels against `skimage.feature.hog`, colour by colour, on the same images; then
training steps of the tiny networks with 64 images twice against 128 images once: views a second. Medians of several
runs. Writes benchmarks/results/dmjd.json and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "dmjd.json"
IMAGES, STEPS = 32, 8


def target_speed() -> dict[str, float]:
    """Images a second of both histograms, and their ratio."""
    import numpy as np
    import torch
    from skimage.feature import hog

    from firsthand.dmjd import hog_targets
    from firsthand.kit.lab.timing import median_seconds

    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 3, 224, 224), dtype=np.uint8)
    batch = torch.from_numpy(pixels)
    options = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (1, 1), "block_norm": "L2"}
    ours = IMAGES / median_seconds(lambda: hog_targets(batch))
    theirs = 4 / median_seconds(lambda: [hog(plane, **options) for image in pixels[:4] for plane in image], 3)
    return {"ours": ours, "scikit-image": theirs, "ratio": ours / theirs}


def view_speed(size: str, views: int) -> float:
    """Views a second of a training step with 128 views."""
    import torch

    from firsthand.dmjd import build
    from firsthand.kit.lab.timing import median_seconds

    torch.manual_seed(0)
    model = build(size, decoder_depth=1, views=views, prediction=1.0 if views > 1 else 0.6)
    optimizer = torch.optim.AdamW(model.parameters())
    images = torch.randint(0, 256, (128 // views, 1, 32, 32), dtype=torch.uint8)

    def step() -> None:
        optimizer.zero_grad()
        model(images)[0].backward()
        optimizer.step()

    return 128 / median_seconds(step, STEPS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    import torch

    from firsthand.kit.lab.provenance import processor

    torch.set_num_threads(arguments.threads)
    target = target_speed()
    print("HOG, images/s:", ", ".join(f"{name} {value:.1f}" for name, value in target.items()))
    views = {}
    for size in ("tiny-vit", "tiny-convvit"):
        one, two = view_speed(size, 1), view_speed(size, 2)
        views[size] = {"one view": one, "two views": two, "ratio": two / one}
        print(f"{size}, views/s: one view {one:.0f}, two views {two:.0f}, ratio {two / one:.2f}")
    content = {"processor": processor(), "threads": arguments.threads, "hog": target, "views_a_second": views}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
