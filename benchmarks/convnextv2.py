"""What masking saves: pre-training images a second and peak memory, visible sites only against all sites masked.

    python benchmarks/convnextv2.py [--threads 2]

Every measurement has its own process, so that its peak memory is its own; the median of the steps counts. Beside
every ratio stands the ideal saving, the ratio of multiply-adds. timm's forward and backward pass of the same backbone
on whole images, which knows no masks, is the peer. Writes benchmarks/results/convnextv2.json and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

CASES = {  # size: pixels, channels, batch, width of the decoder, steps
    "micro": (32, 1, 128, 128, 15),
    "atto": (224, 3, 8, 512, 7),
}
RATIOS = (0.0, 0.3, 0.6, 0.9)
FORMS = ("visible sites", "all sites masked", "timm backbone")
RESULTS = Path(__file__).parent / "results" / "convnextv2.json"


def measure(size: str, form: str, ratio: float) -> dict[str, float]:
    """Images a second and peak memory in MB beyond what the imports take; runs in a process of its own."""
    import resource

    import timm
    import torch

    from firsthand.convnextv2 import FCMAE

    pixels, channels, batch, width, steps = CASES[size]
    torch.manual_seed(0)
    if form == "timm backbone":
        model = timm.create_model(f"convnextv2_{size}", num_classes=0)
    else:
        model = FCMAE(size, in_chans=channels, decoder_dim=width, mask_ratio=ratio)
        if form == "all sites masked":
            model._encode = lambda images, mask, keep: model.encode_masked(images, mask).permute(0, 2, 3, 1)
    optimizer = torch.optim.AdamW(model.parameters())
    images = torch.randn(batch, channels, pixels, pixels)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(steps + 2):
        begin = time.perf_counter()
        optimizer.zero_grad()
        out = model(images)
        (out.square().mean() if form == "timm backbone" else out[0]).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"images_a_second": batch / statistics.median(seconds[2:]), "peak_mb": (peak - before) / 1024}


def ideal(size: str, ratio: float) -> float:
    """How many times fewer multiply-adds a step takes if single-site layers skip hidden sites."""
    from firsthand.convnextv2.lab.macs import pretraining_macs
    from firsthand.convnextv2.model import size_of

    pixels, channels, _, width, _ = CASES[size]
    tokens = (pixels // size_of(size).patch) ** 2
    options = {"in_chans": channels, "decoder_dim": width}
    visible = int(tokens * (1 - ratio) + 1e-9) / tokens
    return pretraining_macs(size, pixels, visible=1.0, **options) / pretraining_macs(
        size, pixels, visible=visible, **options
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--one", nargs=3, metavar=("SIZE", "FORM", "RATIO"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        size, form, ratio = arguments.one
        print(json.dumps(measure(size, form, float(ratio))))
        return
    from firsthand.kit.lab.provenance import processor

    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    rows = []
    print(f"{'size':<8}{'form':<18}{'ratio':>6}{'images/s':>10}{'MB':>8}")
    for size in CASES:
        for form in FORMS:
            for ratio in RATIOS if form != "timm backbone" else (0.0,):
                if form == "timm backbone" and size == "micro":
                    continue
                command = [sys.executable, __file__, "--one", size, form, str(ratio)]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                row = {"size": size, "form": form, "ratio": ratio, **json.loads(done.stdout.splitlines()[-1])}
                rows.append(row)
                speed, memory = row["images_a_second"], row["peak_mb"]
                print(f"{size:<8}{form:<18}{ratio:>6}{speed:>10.1f}{memory:>8.0f}", flush=True)
    by = {(row["size"], row["form"], row["ratio"]): row for row in rows}
    ratios = []
    for size in CASES:
        for ratio in RATIOS:
            fast, plain = by[size, FORMS[0], ratio], by[size, FORMS[1], ratio]
            speed = fast["images_a_second"] / plain["images_a_second"]
            memory = fast["peak_mb"] / plain["peak_mb"]
            bound = ideal(size, ratio)
            ratios.append({"size": size, "ratio": ratio, "speed": speed, "ideal": bound, "memory": memory})
            print(f"{size} {ratio}: {speed:.2f} times the speed (ideal {bound:.2f}), memory {memory:.2f}")
    peer = by["atto", FORMS[1], 0.0]["images_a_second"] / by["atto", FORMS[2], 0.0]["images_a_second"]
    print(f"atto, whole images: our masked pre-training step / timm's backbone step, images a second: {peer:.2f}")
    content = {
        "processor": processor(), "threads": arguments.threads, "rows": rows, "ratios": ratios,
        "atto at ratio 0 against timm's backbone": peer,
    }  # fmt: skip
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
