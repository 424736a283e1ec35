"""How fast rays are rendered: ours against a plain loop of the same networks, and how time grows.

    python benchmarks/nerfgaze.py [--threads 2]

The plain loop is written as nerf-pytorch's is: samples evenly along each ray between two planes, both fields asked at
every sample, weights by a running product, chunks of rays one after the other. Same networks, codes, rays and number of
samples. Also how seconds grow with pixels and samples, and what drawing a true picture takes. Medians. Writes
benchmarks/results/nerfgaze.json.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "nerfgaze.json"
RAYS, NEAR, FAR, CHUNK = 2304, 450.0, 750.0, 1024


def plain(model, origin, direction, codes, samples: int):
    """The same fields without shells, without asking an eye only where it is, and with a running product."""
    import torch

    from firsthand.data.drawn.directions import gaze_rotation
    from firsthand.data.drawn.heads import EYE_Y, EYE_Z
    from firsthand.nerfgaze.model import REACH, UNIT

    found = []
    for rows in torch.arange(len(origin)).split(CHUNK):
        of = codes.pick(rows)
        at = torch.linspace(NEAR, FAR, samples)
        points = origin[rows, None] + at[None, :, None] * direction[rows, None]
        step = (FAR - NEAR) / samples / 10 * direction[rows].norm(dim=-1, keepdim=True).expand(-1, samples)

        def along(code):
            return code.unsqueeze(1).expand(-1, samples, -1)

        shape, look = torch.cat([of.identity, of.expression], -1), torch.cat([of.light, of.identity], -1)
        sigma, colour = model.face(points / UNIT, along(shape), along(look))
        colour = colour.sigmoid() * sigma.unsqueeze(-1)
        for side in (-1.0, 1.0):
            mirror = points.new_tensor([-side, 1.0, 1.0])
            across = side * of.between / 2
            centre = torch.stack([across, torch.full_like(across, EYE_Y), torch.full_like(across, EYE_Z)], -1)
            place = points - centre.unsqueeze(1)
            turned = torch.einsum(
                "nji,nsj->nsi", gaze_rotation(of.gaze * points.new_tensor([1.0, -side])), place * mirror
            )
            density, shown = model.eye(turned / REACH, along(of.identity), along(of.identity))
            density = density * (place.norm(dim=-1) < REACH)
            lit = model.shade(torch.cat([place / REACH, along(of.light)], -1))
            sigma, colour = sigma + density, colour + density.unsqueeze(-1) * shown.sigmoid() * lit
        colour = colour / (sigma.unsqueeze(-1) + 1e-10)
        alpha = 1 - torch.exp(-sigma * step)
        before = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha + 1e-10], 1), 1)[:, :-1]
        weights = alpha * before
        found.append((weights.unsqueeze(-1) * colour).sum(1) + 1 - weights.sum(1, keepdim=True))
    return torch.cat(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    threads = parser.parse_args().threads
    import torch

    from firsthand.data.drawn.heads import heads, rays
    from firsthand.kit.lab.provenance import processor
    from firsthand.kit.lab.timing import median_seconds
    from firsthand.nerfgaze import model as ours_module
    from firsthand.nerfgaze.model import SAMPLES, Codes, HeadModel

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = HeadModel(1, 1)

    def given(size: int):
        origin, direction = rays(torch.tensor([[0.1, -0.2]]), size)
        count = size * size
        codes = Codes(
            torch.zeros(count, 8), torch.zeros(count, 2), torch.zeros(count, 4), torch.full((count, 2), 0.2),
            torch.full((count,), 62.0),
        )  # fmt: skip
        return origin[0].expand(count, -1), direction[0], codes

    def ours(size: int = 48) -> None:
        with torch.no_grad():
            model(*given(size))

    def drawing() -> float:
        torch.set_num_threads(1)
        try:
            return median_seconds(lambda: heads(0, 60, 6), 3)
        finally:
            torch.set_num_threads(threads)

    def with_samples(count: int) -> float:
        ours_module.SAMPLES = count
        try:
            return median_seconds(ours, 3)
        finally:
            ours_module.SAMPLES = SAMPLES

    def theirs() -> None:
        with torch.no_grad():
            plain(model, *given(48), SAMPLES)

    def step(render) -> None:
        model.zero_grad()
        render().square().mean().backward()

    seconds = {
        "render": (median_seconds(ours), median_seconds(theirs)),
        "train": (
            median_seconds(lambda: step(lambda: model(*given(48)))),
            median_seconds(lambda: step(lambda: plain(model, *given(48), SAMPLES))),
        ),
    }
    content = {
        "processor": processor(), "threads": threads, "samples": SAMPLES,
        "rays a second, ours": {name: round(RAYS / both[0]) for name, both in seconds.items()},
        "ours over the plain loop": {name: round(both[1] / both[0], 2) for name, both in seconds.items()},
        "seconds by pixels a side": {
            str(size): round(median_seconds(lambda size=size: ours(size), 3), 4) for size in (24, 48, 96)
        },
        "seconds by samples": {str(count): round(with_samples(count), 4) for count in (10, 20, 40)},
        "milliseconds to draw a true picture, one thread": round(1000 / 60 * drawing(), 2),
    }  # fmt: skip
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
