"""What the figures show, made beforehand: a model that was trained for longer, and maps of three estimators' errors.

`python -m firsthand.nerfgaze.lab.assets` makes it (a quarter of an hour on one core) and writes
firsthand/weights/nerfgaze.*.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from firsthand.data.drawn.directions import angular_error, pitchyaw_to_vector
from firsthand.data.drawn.heads import SOURCE, TARGET, Heads, heads, redrawn
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.provenance import processor
from firsthand.kit.train.weights import ship, shipped
from firsthand.nerfgaze import estimator as est
from firsthand.nerfgaze.lab import runs
from firsthand.nerfgaze.lab.live import shipped_model
from firsthand.nerfgaze.model import Codes
from firsthand.nerfgaze.synthesis import redirected
from firsthand.nerfgaze.training import BETWEEN, train

COMMAND = "python -m firsthand.nerfgaze.lab.assets"
SEED = 0
STEPS = 6000
KEPT = 60  # pictures whose codes of light and expression are shipped
LESSONS = ("source", "jitter", "jitter and made", "oracle")
HEAD_YAWS = tuple(n / 10 for n in range(-6, 7, 2))
GAZE_YAWS = tuple(n / 100 for n in range(-45, 46, 15))
EACH = 16  # pictures in a cell of a map
NETWORKS = ("face", "eye", "shade")


def error_maps() -> Tensor:
    """Mean error in degrees of three estimators on new people of the other world, (lessons, head yaws, gaze yaws)."""
    world = runs.people(SEED, replace(TARGET, first=900))
    base = heads(100 * SEED + 9, EACH, EACH, world)
    found = torch.zeros(len(LESSONS), len(HEAD_YAWS), len(GAZE_YAWS))
    for row, head in enumerate(HEAD_YAWS):
        for column, eye in enumerate(GAZE_YAWS):
            gaze, pose = base.gaze.clone(), base.pose.clone()
            gaze[:, 1], pose[:, 1] = eye, head
            shown = redrawn(base, gaze=gaze, pose=pose, back=0.5)
            truth = est.labels_of(shown)
            for number, lesson in enumerate(LESSONS):
                said = est.estimated(runs.taught(lesson, SEED), shown.images)
                away = angular_error(pitchyaw_to_vector(said), pitchyaw_to_vector(truth))
                found[number, row, column] = away.mean()
    return found


def main() -> None:
    """Train and store."""
    torch.set_num_threads(1)
    begin, data = time.process_time(), runs.pictures("wide", SEED)  # processor time: other work may run beside it
    model, losses = train(replace(runs.recipe_of("wide"), steps=STEPS), data, SEED)
    rows, gaze, pose = runs.requests(SEED, data, "trained", runs.WIDE)
    made = redirected(model, runs.codes_of(model, data, rows), gaze, pose)
    true = redrawn(data.pick(rows), gaze=gaze, pose=pose)
    wanted = pitchyaw_to_vector(made.labels)
    errors = [
        float(angular_error(pitchyaw_to_vector(est.estimated(runs.judge(SEED), images)), wanted).mean())
        for images in (made.images, true.images)
    ]
    tensors = {name: value for name, value in model.state_dict().items() if name.split(".")[0] in NETWORKS}
    tensors |= {
        "identity": model.identity.detach(), "light": model.light[:KEPT].detach(),
        "expression": model.expression[:KEPT].detach(), "maps": error_maps(),
    }  # fmt: skip
    tensors |= {f"judge.{name}": value for name, value in runs.judge(SEED).state_dict().items()}
    psnr = float(-10 * (made.images - true.images).square().mean().log10())
    card = {
        "command": COMMAND, "seed": SEED, "steps": STEPS,
        "minutes": round((time.process_time() - begin) / 60, 1), "processor": processor(), "threads": 1,
        "licence": "MIT, as the code",
        "quality": {
            "redirection, degrees": round(errors[0], 2), "the judge on true pictures, degrees": round(errors[1], 2),
            "PSNR, dB": round(psnr, 1),
        },
        "log": [[n, round(sum(losses[n : n + 100]) / 100, 4)] for n in range(0, len(losses), 100)],
    }  # fmt: skip
    ship("nerfgaze", tensors, card)


# ---------------------------------------------------------------------------------------------- reading


@cached
def shipped_judge() -> est.Estimator:
    """The estimator that judges: trained on true pictures of people and gazes that no model was trained on."""
    judge, begin = est.Estimator(), "judge."
    own = {name.removeprefix(begin): t for name, t in shipped("nerfgaze").items() if name.startswith(begin)}
    judge.load_state_dict(own)
    return judge.eval().requires_grad_(False)


@cached
def shipped_pictures() -> Heads:
    """The drawn pictures to which those codes belong: the first KEPT of `runs.pictures`, and only they are drawn."""
    world = runs.people(SEED, replace(SOURCE, gaze=runs.WIDE))
    dots = heads(100 * SEED, runs.PICTURES, runs.PEOPLE, world, size=1).pick(list(range(KEPT)))
    return redrawn(replace(dots, images=torch.zeros(KEPT, 3, 48, 48)))


def codes_of(person: int, picture: int, count: int = 1) -> Codes:
    """Codes of a person (0 to 9) in the light of a picture, `count` rows; gaze nought."""
    model, data = shipped_model(), shipped_pictures()
    rows = torch.full((count,), person), torch.full((count,), picture)
    return model.codes(*rows, torch.zeros(count, 2), data.identity[person, BETWEEN].repeat(count))


if __name__ == "__main__":
    main()
