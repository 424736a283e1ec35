"""How fast the compact segmenter trains and is evaluated, against a U-Net of segmentation_models_pytorch.

    python benchmarks/drgnet.py [--threads 2]

The peer has the encoder of the smallest LCNet and decoder widths chosen so that it has as many parameters as ours, to a
tenth; it starts from random weights. Both take the same batches of crops and the same loss; evaluation goes over
whole pictures and ends with the average precision of every lesion. Medians. Writes benchmarks/results/drgnet.json. The
peer comes with the test requirements.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "drgnet.json"
BATCH, CROP, PICTURES = 8, 96, 12


def speeds(net, images, masks, data) -> dict[str, float]:
    """Parameters, training steps a second and pictures a second of a full evaluation."""
    import torch

    from firsthand.drgnet.lab.runs import precisions
    from firsthand.drgnet.losses import segmentation_loss
    from firsthand.drgnet.system import lesion_probabilities
    from firsthand.kit.lab.timing import median_seconds

    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        segmentation_loss(net(images), masks).backward()
        optimizer.step()

    net.train()
    train = median_seconds(step)
    whole = median_seconds(lambda: precisions(lesion_probabilities(net, data.images), data), 3)
    parameters = sum(p.numel() for p in net.parameters())
    return {"parameters": parameters, "steps a second": 1 / train, "pictures a second": len(data) / whole}


def peer(parameters: int):
    """A U-Net of the library with about so many parameters."""
    import segmentation_models_pytorch as smp

    def make(width: int):
        return smp.Unet(
            "tu-lcnet_035", encoder_weights=None, classes=4, encoder_depth=5,  # at five levels all of it is used
            decoder_channels=(4 * width, 2 * width, 2 * width, width, width),
        )  # fmt: skip

    def away(net) -> int:
        return abs(sum(p.numel() for p in net.parameters()) - parameters)

    found = min((make(width) for width in range(2, 20)), key=away)
    assert away(found) < 0.1 * parameters
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    import torch

    from firsthand.data.drawn.fundus import fundi
    from firsthand.drgnet import UNet
    from firsthand.drgnet.lab.runs import WIDTH
    from firsthand.drgnet.system import gathered
    from firsthand.drgnet.training import chances, cut_out
    from firsthand.kit.lab.provenance import processor

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    data = gathered(fundi(0, PICTURES))
    images, masks, _ = cut_out(data, list(range(BATCH)), CROP, chances(BATCH, torch.Generator().manual_seed(0)))
    ours = UNet(width=WIDTH)
    found = {"ours": speeds(ours, images, masks, data)}
    found["peer"] = speeds(peer(int(found["ours"]["parameters"])), images, masks, data)
    ratios = {what: found["ours"][what] / found["peer"][what] for what in ("steps a second", "pictures a second")}
    for name, values in (*found.items(), ("ours over peer", ratios)):
        print(f"{name}:", ", ".join(f"{what} {value:.4g}" for what, value in values.items()))
    content = {"processor": processor(), "threads": arguments.threads, "batch": BATCH, **found, "ratios": ratios}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
