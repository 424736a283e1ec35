"""The rival without space, and estimators that begin anew: where patches lie, what is kept, and when nothing counts."""

from __future__ import annotations

import pytest
import torch

from firsthand.data.drawn.heads import TARGET, heads, redrawn
from firsthand.kit.lab.claims import NotTested
from firsthand.nerfgaze import estimator as est
from firsthand.nerfgaze.lab import runs
from firsthand.nerfgaze.turning import PATCH, cut, eye_corners, paste, train_turner


def test_patches_hold_every_eye_and_go_back_where_they_were() -> None:
    data = heads(1, 40, 20, TARGET)  # heads turned further than any that it is asked for
    corner, rest = eye_corners(data)
    assert rest.abs().max() <= 0.5 + 1e-5
    patches = cut(data.images, corner)
    assert patches.shape == (80, 3, PATCH, PATCH)
    assert torch.equal(paste(data.images, corner, patches), data.images)
    marked = paste(torch.zeros_like(data.images), corner, torch.ones_like(patches))[:, 0] > 0
    assert not (data.eyes & ~marked).any()


@pytest.mark.slow
def test_a_turner_changes_its_patches_alone_and_learns_to_turn() -> None:
    data = heads(2, 60, 3)
    wanted = data.gaze.roll(1, 0)
    truth = redrawn(data, gaze=wanted)
    net, short = (train_turner(data, steps=steps, gaze=0.45, seed=3) for steps in (300, 3))
    made = net.turned(data, wanted)
    again = train_turner(data, steps=3, gaze=0.45, seed=3)
    assert torch.equal(short.turned(data, wanted), again.turned(data, wanted))
    corner, _ = eye_corners(data)
    inside = paste(torch.zeros_like(made), corner, torch.ones_like(cut(made, corner))) > 0
    assert torch.equal(made[~inside], data.images[~inside])

    def away(images: torch.Tensor) -> float:
        return float((images - truth.images)[inside].square().mean())

    assert away(made) < 0.8 * away(data.images)


def test_an_estimator_that_learned_nothing_begins_anew_and_then_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[int] = []
    little, bad, good = heads(5, 8, 2), est.Estimator(), est.Estimator()
    monkeypatch.setattr(runs, "pictures", lambda name, seed: little)
    monkeypatch.setattr(runs, "error_at", lambda net, where, seed: 3.0 if net is good else 20.0)

    def trained(*_: object, seed: int, **__: object) -> est.Estimator:
        begun.append(seed)
        return good if seed == 7 + 1000 * lucky else bad

    monkeypatch.setattr(est, "train_estimator", trained)
    lucky = 1
    assert runs.taught.__wrapped__("source", 7) is good
    assert begun == [7, 1007]
    lucky = 9
    with pytest.raises(NotTested, match="none came below"):
        runs.taught.__wrapped__("source", 7)
    assert len(begun) == 2 + runs.STARTS
