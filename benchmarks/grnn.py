"""How fast the attack runs: iterations a second against a straightforward port of the published loop.

    python benchmarks/grnn.py [--threads 2]

The port is written from the released code's description: one victim, the gradient of the model's own parameters, a
list of tensors compared one by one, the log of a softmax, losses read at every step. Both train the same generator
for the same steps in the same run. Batches of 1 and 8, eight victims one after the other (the port) and together
(ours), and memory against batch and image size. Writes benchmarks/results/grnn.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "grnn.json"
STEPS = {1: 60, 8: 25}
MEMORY = ((1, 32), (8, 32), (32, 32), (1, 64), (1, 128))


def port(model, images, labels, steps: int, num_classes: int = 100) -> None:
    """The published loop, as plainly as it can be written."""
    import torch
    import torch.nn.functional as F

    from firsthand.grnn import Generator

    true = [g.detach() for g in torch.autograd.grad(F.cross_entropy(model(images), labels), list(model.parameters()))]
    generator = Generator(num_classes, image_size=images.shape[-1])
    noise = torch.randn(len(images), 128)
    optimizer = torch.optim.RMSprop(generator.parameters(), lr=1e-4, momentum=0.99)
    for _ in range(steps):
        optimizer.zero_grad()
        fake, guess = generator(noise)
        loss = -(guess * torch.log(torch.softmax(model(fake), 1))).sum(1).mean()
        grads = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        squares = sum((a - b).pow(2).sum() for a, b in zip(grads, true, strict=True))
        flat = torch.cat([a.flatten() for a in grads]) - torch.cat([b.flatten() for b in true])
        norm = torch.norm(flat)
        down = (fake[:, :, 1:] - fake[:, :, :-1]).pow(2).mean() + (fake[..., 1:] - fake[..., :-1]).pow(2).mean()
        total = squares + norm + 1e-3 * down
        total.backward()
        optimizer.step()
        _ = squares.item(), norm.item(), down.item()
        model.zero_grad()


def speeds(threads: int) -> dict[str, float]:
    """Iterations a second of the port and of ours."""
    import torch

    from firsthand.grnn import attack, attack_many, shared_gradient
    from firsthand.grnn.victims import PEOPLE, face_batch, untrained_victim

    torch.set_num_threads(threads)
    options = {"image_shape": (3, 32, 32), "num_classes": PEOPLE}
    found = {}
    for batch, steps in STEPS.items():
        model, (x, y) = untrained_victim(0), face_batch(batch, 0)
        gradient = shared_gradient(model, x, y)
        for name, run in (
            ("port", lambda n, m=model, x=x, y=y: port(m, x, y, n)),
            ("ours", lambda n, m=model, g=gradient, b=batch: attack(m, g, batch=b, iterations=n, **options)),
        ):
            run(3)
            best = 0.0
            for _ in range(3):
                begin = time.perf_counter()
                run(steps)
                best = max(best, steps / (time.perf_counter() - begin))
            found[f"{name}, batch {batch}"] = best
    models = [untrained_victim(seed) for seed in range(8)]
    batches = [face_batch(1, seed) for seed in range(8)]
    gradients = [shared_gradient(m, *b) for m, b in zip(models, batches, strict=True)]
    steps = 150
    begin = time.perf_counter()
    for model, (x, y) in zip(models, batches, strict=True):
        port(model, x, y, steps)
    found["port, eight victims"] = 8 * steps / (time.perf_counter() - begin)
    attack_many(models, gradients, batch=1, iterations=2, workers=threads, **options)  # starts the processes
    begin = time.perf_counter()
    attack_many(models, gradients, batch=1, iterations=steps, workers=threads, **options)
    found["ours, eight victims"] = 8 * steps / (time.perf_counter() - begin)
    return found


def memory(batch: int, side: int) -> float:
    """Peak MB beyond the imports of three iterations; runs in a process of its own."""
    import resource

    import torch

    from firsthand.grnn import LeNet, SigmoidResNet18, attack, shared_gradient, uniform_init_

    model = uniform_init_(LeNet(100) if side == 32 else SigmoidResNet18(100))
    x, y = torch.rand(batch, 3, side, side), torch.arange(batch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    attack(model, shared_gradient(model, x, y), batch=batch, image_shape=(3, side, side), num_classes=100, iterations=2)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--one", nargs=2, type=int, metavar=("BATCH", "SIDE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(memory(*arguments.one)))
        return
    from firsthand.kit.lab.provenance import processor

    found = speeds(arguments.threads)
    for name, value in found.items():
        print(f"{name:<22}{value:8.1f} iterations/s")
    cases = ("batch 1", "batch 8", "eight victims")
    ratios = {case: found[f"ours, {case}"] / found[f"port, {case}"] for case in cases}
    for case, value in ratios.items():
        print(f"ours / port, {case}: {value:.2f}")
    used = []
    for batch, side in MEMORY:
        command = [sys.executable, __file__, "--one", str(batch), str(side)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        victim = "lenet" if side == 32 else "resnet18"
        used.append({"batch": batch, "side": side, "victim": victim, "mb": json.loads(done.stdout.splitlines()[-1])})
        print(f"{victim}, batch {batch}, {side} pixels: {used[-1]['mb']:.0f} MB", flush=True)
    content = {
        "processor": processor(), "threads": arguments.threads, "iterations_a_second": found, "ratios": ratios,
        "memory": used,
    }  # fmt: skip
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
