"""What the figures show, made beforehand: a trained system, a recorded session with an expert, and a dial of cameras.

`python -m firsthand.drgnet.lab.assets` makes it (about fifteen minutes on one core) and writes
firsthand/weights/drgnet.*.
"""

from __future__ import annotations

import copy
import time
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from firsthand.data.drawn.fundus import SIZE, fundi
from firsthand.drgnet.feedback import Expert
from firsthand.drgnet.interaction import interact
from firsthand.drgnet.lab import runs
from firsthand.drgnet.lab.live import SYSTEM
from firsthand.drgnet.lab.runs import FULL
from firsthand.drgnet.losses import self_information
from firsthand.drgnet.system import gathered, lesion_probabilities
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.provenance import processor
from firsthand.kit.train.weights import ship, shipped

COMMAND = "python -m firsthand.drgnet.lab.assets"
SEED = 0
CROP = 128  # pixels of a recorded picture that are kept, around its largest correction
DIAL = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
DIALLED = 24  # pictures at every place of the dial
WAYS = ("source", "wasserstein", "adversarial", "both")


def _bytes(probability: Tensor) -> Tensor:
    return (255 * probability.float()).round().to(torch.uint8)


def _corner(said: Tensor) -> tuple[int, int]:
    """Top and left of a crop around what an expert painted (4, s, s)."""
    painted = F.avg_pool2d(said.amax(0)[None].float(), CROP, 8)[0]
    place = divmod(int(painted.argmax()), painted.shape[1])
    return 8 * place[0], 8 * place[1]


def session() -> dict[str, Tensor]:
    """Of every round of the recorded session the picture with most corrections: "session.<round>.<what>"."""
    learner, test = copy.deepcopy(runs.system(FULL, SEED)), runs.pictures("other test", SEED)
    scores = [runs.score_of(learner, test)]
    rounds = interact(
        learner, runs.pictures("train", SEED), runs.pictures("pool", SEED), Expert(), rounds=runs.ROUNDS,
        pictures=runs.PICTURES, how=replace(runs.ROUND, terms=runs.TERMS), seed=SEED,
        after=lambda _: scores.append(runs.score_of(learner, test)),
    )  # fmt: skip
    found = {"session.scores": torch.tensor([[one.mean, one.kappa] for one in scores])}
    for one in rounds:
        assert one.before is not None
        assert one.after is not None
        place = max(range(len(one.chosen)), key=lambda k, one=one: one.feedback[k].pixels)  # type: ignore[misc]
        feedback = one.feedback[place]
        said = torch.from_numpy(feedback.positive).to(torch.uint8) + 2 * torch.from_numpy(feedback.negative).to(
            torch.uint8
        )
        top, left = _corner(said)
        window = (..., slice(top, top + CROP), slice(left, left + CROP))
        name = f"session.{one.number}"
        found[f"{name}.where"] = torch.tensor([one.chosen[place], top, left, feedback.clicks, feedback.pixels])
        found[f"{name}.before"], found[f"{name}.after"] = (
            _bytes(one.before[place][window]),
            _bytes(one.after[place][window]),
        )
        found[f"{name}.said"] = said[window].contiguous()
    return found


def cameras() -> dict[str, Tensor]:
    """ "dial.precision" (ways, places): mean precision; "dial.entropy" (ways, places, s / 2, s / 2): of one picture."""
    sets = [
        gathered(fundi(runs.SETS["other test"][0] + 100_000 * (SEED + 1), DIALLED, camera=camera)) for camera in DIAL
    ]
    table, maps = [], []
    for name in WAYS:
        net = runs.adapted(name, SEED)
        line, shown = [], []
        for data in sets:
            probability = lesion_probabilities(net, data.images)
            line.append(float(runs.precisions(probability, data).mean()))
            bits = self_information(probability[:1]).sum(1).amax(1)
            shown.append(_bytes(F.avg_pool2d(bits, 2)[0]))
        table.append(line)
        maps.append(torch.stack(shown))
    return {"dial.precision": torch.tensor(table), "dial.entropy": torch.stack(maps)}


def main() -> None:
    """Train and store."""
    torch.set_num_threads(1)
    begin = time.perf_counter()
    system = runs.system(FULL, SEED)
    tensors = {
        f"{SYSTEM}{name}": value.half() for name, value in system.state_dict().items() if value.is_floating_point()
    }
    tensors |= session() | cameras()
    score = runs.scored(FULL, "test", SEED)
    losses = segmenter_losses()
    card = {
        "command": COMMAND, "seed": SEED, "steps": runs.UNION.steps + runs.LESIONS.steps,
        "minutes": round((time.perf_counter() - begin) / 60, 1), "processor": processor(), "threads": 1,
        "licence": "MIT, as the code",
        "quality": {"test precision, mean of four lesions": round(score.mean, 4), "test kappa": round(score.kappa, 4)},
        "log": losses,
    }  # fmt: skip
    ship("drgnet", tensors, card)


def segmenter_losses() -> list[list[float]]:
    """[step, loss] of the segmenter's training, every tenth."""
    losses = runs.losses_of(SEED)
    return [[step, round(sum(losses[step : step + 10]) / 10, 4)] for step in range(0, len(losses), 10)]


# ---------------------------------------------------------------------------------------------- reading


@cached
def recorded(number: int) -> dict[str, Tensor]:
    """A round of the session: "image" uint8 (3, CROP, CROP); "truth" bool, "before", "after", "said" (4, CROP, CROP);
    "effort" (clicks, pixels)."""
    found = {name: shipped("drgnet")[f"session.{number}.{name}"] for name in ("before", "after", "said")}
    row, top, left, clicks, pixels = shipped("drgnet")[f"session.{number}.where"].tolist()
    first, _, camera = runs.SETS["pool"]
    one = fundi(100_000 * (SEED + 1) + first + row, 1, camera=camera)[0]
    window = (..., slice(top, top + CROP), slice(left, left + CROP))
    assert one.image.shape[-1] == SIZE
    return {**found, "image": one.image[window], "truth": one.masks[window], "effort": torch.tensor([clicks, pixels])}


if __name__ == "__main__":
    main()
