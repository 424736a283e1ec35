"""What the figures show, trained beforehand: a teacher, its three-bit copy, and how switches moved in training.

`python -m firsthand.ghost.lab.assets` makes it (about forty minutes on one core) and writes firsthand/weights/ghost.*.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor

from firsthand.ghost.bits import allocate_bits, model_size_mb
from firsthand.ghost.detector import Detector
from firsthand.ghost.lab import runs
from firsthand.ghost.lab.runs import FEW, Study
from firsthand.ghost.quantizers import bits_of, quantize_model
from firsthand.ghost.training import mean_precision, train_detector
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.provenance import processor
from firsthand.kit.train.weights import ship, shipped

COMMAND = "python -m firsthand.ghost.lab.assets"
SEED = 0
SHOWN = ("frozen", "trained", "budget")  # gates of the switchboard
TEACHER, STUDENT = "teacher.", "student."
THRESHOLDS = (0.1, 10.0, 100.0, 300.0, 1000.0, 3000.0)  # of the bit allocator
UNIFORM = (2, 3, 4, 5, 6, 8)
WEIGHTS = ("trained", "fresh")  # whose deviations it reads
STRENGTHS, STRENGTH_SEEDS = (0.0, 0.03, 0.1, 0.3, 1.0), range(5)  # of lessons, as shares of the evidence's weight


def _state(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if value.is_floating_point()}


def _point(bits: Mapping[str, int]) -> list[float]:
    """Size (kB) and precision (per cent) right after rounding, without training."""
    precision = mean_precision(runs.rounded(SEED, bits), runs.pictures("test", SEED))
    return [1000 * model_size_mb(runs.teacher(SEED), bits), precision]


def _fronts() -> dict[str, Tensor]:
    """Sizes and precisions of what the bit allocator can choose: "front.trained", "front.fresh" and "front.uniform",
    rows of THRESHOLDS or of UNIFORM, columns kB and per cent."""
    fresh = runs.new_detector(SEED, runs.pictures("train", SEED))
    models = dict(zip(WEIGHTS, (runs.teacher(SEED), fresh), strict=True))
    found = {
        f"front.{name}": torch.tensor([_point(allocate_bits(model, threshold=t)) for t in THRESHOLDS])
        for name, model in models.items()
    }
    found["front.uniform"] = torch.tensor([_point(bits_of(models["trained"], count)) for count in UNIFORM])
    return found


def _taught(strength: float, seed: int) -> float:
    """Test precision (per cent) of a student with all lessons, at a share of the evidence's weight."""
    if strength == 0:
        return runs.score(Study(), seed)
    model, data = runs.rounded(seed, runs.allocation(str(FEW), seed)), runs.pictures("train", seed)
    gate, usual = runs.lessons_for(model, runs.teacher(seed), data, "always", seed)
    found, _ = train_detector(
        model, data, runs.LEARN, seed=seed, teacher=runs.teacher(seed), strength=strength * usual, gate=gate
    )
    return mean_precision(found, runs.pictures("test", seed))


def weighed_lessons() -> Tensor:
    """Precision (seeds, strengths) of students with all lessons, for every seed of the evidence."""
    return torch.tensor([[_taught(strength, seed) for strength in STRENGTHS] for seed in STRENGTH_SEEDS])


def main() -> None:
    """Train and store."""
    torch.set_num_threads(1)
    begin = time.perf_counter()
    teacher = runs.teacher(SEED)
    student, trace, _ = runs.student(Study(gate="frozen"), SEED)
    tensors = {f"{TEACHER}{name}": value for name, value in _state(teacher).items()}
    tensors |= {f"{STUDENT}{name}": value for name, value in _state(student).items()}
    tensors["ranges"] = torch.tensor(list(runs.ranges(SEED).values()))
    for gate in SHOWN:
        tensors[f"opened.{gate}"] = torch.tensor(runs.student(Study(gate=gate), SEED)[1].opened)
    tensors |= _fronts()
    tensors["taught"] = weighed_lessons()
    quality = {
        "teacher, test precision": round(runs.teacher_score(SEED), 2),
        f"student of {FEW} bits, test precision": round(runs.score(Study(gate="frozen"), SEED), 2),
    }
    card = {
        "command": COMMAND, "seed": SEED, "steps": runs.TEACH.steps,
        "minutes": round((time.perf_counter() - begin) / 60, 1),
        "processor": processor(), "threads": 1, "licence": "MIT, as the code", "quality": quality,
        "log": [[step, round(value, 4)] for step, value in enumerate(trace.loss) if step % 10 == 0],
    }  # fmt: skip
    ship("ghost", tensors, card)


def _load(model: Detector, prefix: str) -> Detector:
    found = {name.removeprefix(prefix): value for name, value in shipped("ghost").items() if name.startswith(prefix)}
    model.load_state_dict(found, strict=False)
    return model.eval()


@cached
def shipped_teacher() -> Detector:
    """The full-precision detector."""
    anchors = shipped("ghost")[f"{TEACHER}anchors"][0].tolist()
    return _load(Detector("small", channels=4, classes=4, width=runs.WIDTH, anchors=anchors), TEACHER)


@cached
def shipped_ranges() -> dict[str, float]:
    """Ranges of the teacher's activations by the convolution's name."""
    from firsthand.ghost.detector import convolutions

    return dict(zip(convolutions(shipped_teacher()), shipped("ghost")["ranges"].tolist(), strict=True))


@cached
def shipped_student() -> Detector:
    """Its copy of FEW bits, taught through the released switch."""
    model = quantize_model(shipped_teacher(), FEW, limits=shipped_ranges())
    assert isinstance(model, Detector)
    return _load(model, STUDENT)


@cached
def opened(gate: str) -> Tensor:
    """Share of open switches (steps, layers) in the training of a student."""
    return shipped("ghost")[f"opened.{gate}"]


@cached
def taught() -> Tensor:
    """Precision (seeds, strengths) of students with all lessons, as STRENGTHS and STRENGTH_SEEDS."""
    return shipped("ghost")["taught"]


@cached
def front() -> dict[str, Tensor]:
    """Points of "trained", "fresh" (as THRESHOLDS) and "uniform" (as UNIFORM): kB and precision in per cent."""
    return {name: shipped("ghost")[f"front.{name}"] for name in (*WEIGHTS, "uniform")}


if __name__ == "__main__":
    main()
