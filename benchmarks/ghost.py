"""How fast the compact detector trains and finds, against torchvision's SSDlite on the same pictures.

    python benchmarks/ghost.py [--threads 2]

Both see the same batches of colour scenes of 128 pixels with the same boxes, from random weights: training steps a
second (forward, loss, backward, AdamW), and pictures a second through network, decoding and suppression. SSDlite
(MobileNetV3 large) is measured as it comes, which enlarges every picture to 320 pixels, and set to 128. Medians.
Writes benchmarks/results/ghost.json.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "ghost.json"
BATCH = 16


def stepper(model, loss: Callable[[], object]) -> Callable[[], None]:
    """One training step of a model."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()  # type: ignore[attr-defined]
        optimizer.step()

    return step


def ours(images, truths) -> dict[str, float]:
    """The compact detector of the chapter."""
    import torch

    from firsthand.ghost import Detector, detection_loss
    from firsthand.ghost.lab.runs import WIDTH
    from firsthand.kit.lab.timing import median_seconds

    torch.manual_seed(0)
    model = Detector("small", channels=3, classes=4, width=WIDTH)
    model.train()
    train = median_seconds(stepper(model, lambda: detection_loss(model, model(images), truths, image_size=128)[0]))
    model.eval()
    with torch.no_grad():
        infer = median_seconds(lambda: model.decode(model(images)))
    parameters = sum(p.numel() for p in model.parameters())
    return {"parameters": parameters, "steps a second": 1 / train, "pictures a second": len(images) / infer}


def ssdlite(images, truths, side: int) -> dict[str, float]:
    """torchvision's SSDlite, random weights; labels count from 1, since 0 is its background."""
    import torch
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large
    from torchvision.models.detection.transform import GeneralizedRCNNTransform

    from firsthand.kit.lab.timing import median_seconds

    torch.manual_seed(0)
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5)
    if side != 320:
        half = [0.5, 0.5, 0.5]
        model.transform = GeneralizedRCNNTransform(side, side, half, half, fixed_size=(side, side))
    pictures = list(images)
    targets = [{"boxes": t["boxes"], "labels": t["labels"] + 1} for t in truths]
    model.train()
    train = median_seconds(stepper(model, lambda: sum(model(pictures, targets).values())))
    model.eval()
    with torch.no_grad():
        infer = median_seconds(lambda: model(pictures))
    parameters = sum(p.numel() for p in model.parameters())
    return {"parameters": parameters, "steps a second": 1 / train, "pictures a second": len(images) / infer}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    import torch

    from firsthand.ghost.lab.runs import SPECTRA, pictures
    from firsthand.kit.lab.provenance import processor

    torch.set_num_threads(arguments.threads)
    data = pictures("train", 0, BATCH).channels(SPECTRA["colour"])
    batch = data.images.float() / 255, list(data.truths)
    found = {"ours": ours(*batch), "ssdlite at 128": ssdlite(*batch, 128), "ssdlite as it comes": ssdlite(*batch, 320)}
    for name, values in found.items():
        print(f"{name}:", ", ".join(f"{what} {value:.4g}" for what, value in values.items()))
    ratios = {
        f"{what}, ours over {name}": found["ours"][what] / found[name][what]
        for name in list(found)[1:]
        for what in ("steps a second", "pictures a second")
    }
    for what, value in ratios.items():
        print(f"{what}: {value:.2f}")
    content = {"processor": processor(), "threads": arguments.threads, "batch": BATCH, **found, "ratios": ratios}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
