"""Fields, rays and models: known values, published sizes, and what must not change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from firsthand.data.drawn.heads import SKULL, SKULL_RADII, TARGET, heads, rays
from firsthand.errors import UserError
from firsthand.kit.lab.claims import NotTested
from firsthand.nerfgaze import estimator as est
from firsthand.nerfgaze.fields import Renderer
from firsthand.nerfgaze.full import FullRecipe, in_head, read_people
from firsthand.nerfgaze.lab import assets, live, measures, runs
from firsthand.nerfgaze.lab.pipeline import PRESETS, run, with_data
from firsthand.nerfgaze.model import COMPOSE, EYES, Codes, HeadModel, Sizes
from firsthand.nerfgaze.rendering import INNER, OUTER, between_shells, compose, encode, render_weights
from firsthand.nerfgaze.synthesis import Labelled, mixed, mixed_heads, mixture, redirected
from firsthand.nerfgaze.training import Pixels, Recipe, fit, train
from tests.scale.losses import faces

SMALL = Sizes(face=8, eye=8)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _codes(count: int, between: float = 62.0) -> Codes:
    g = _generator()
    return Codes(
        torch.randn(count, 8, generator=g), torch.randn(count, 2, generator=g), torch.randn(count, 4, generator=g),
        0.4 * torch.randn(count, 2, generator=g), torch.full((count,), between),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ rendering


def test_weights_of_the_worked_ray() -> None:
    sigma, delta = measures.RAY
    weights = render_weights(sigma, delta)
    assert weights.tolist() == pytest.approx([0, 0.2212, 0.4923, 0.2477, 0.0245], abs=5e-5)
    by_hand, left = [], 1.0
    for s, d in zip(sigma.tolist(), delta.tolist(), strict=True):
        alpha = 1 - np.exp(-s * d)
        by_hand.append(left * alpha)
        left *= 1 - alpha
    assert weights.tolist() == pytest.approx(by_hand, abs=1e-12)
    assert float(weights.sum()) == pytest.approx(1 - 0.01426, abs=1e-5)


def test_weights_are_nerfstudios_formula_and_have_gradients() -> None:
    sigma = (5 * torch.rand(7, 9, generator=_generator(), dtype=torch.float64)).requires_grad_()
    delta = torch.rand(7, 9, generator=_generator(1), dtype=torch.float64)
    alphas = 1 - torch.exp(-sigma * delta)
    before = torch.cumprod(torch.cat([torch.ones(7, 1, dtype=torch.float64), 1 - alphas[:, :-1]], 1), 1)
    assert torch.allclose(render_weights(sigma, delta), alphas * before)
    assert torch.autograd.gradcheck(render_weights, (sigma, delta))


def test_a_lid_hides_an_eye_only_where_densities_add_up() -> None:
    assert measures.lid() == pytest.approx((0.5229, 0.8919), abs=5e-5)


def test_where_one_field_is_empty_the_other_is_seen() -> None:
    sigma, feature = compose(torch.tensor([0.0, 2.0]), torch.ones(2, 3), torch.tensor([3.0, 0.0]), torch.zeros(2, 3))
    assert sigma.tolist() == [3, 2]
    assert feature[:, 0].tolist() == pytest.approx([0, 1], abs=1e-6)


def test_encoding_has_no_pi() -> None:
    found = encode(torch.tensor([[0.3, -1.0]]), 3)
    assert found.shape == (1, 2 * 7)
    assert float(found[0, 2]) == pytest.approx(np.sin(0.3))
    assert float(found[0, 2 + 4]) == pytest.approx(np.sin(4 * 0.3))
    assert float(found[0, 8 + 3]) == pytest.approx(np.cos(-2.0))


def test_samples_lie_between_the_shells_and_fill_the_way() -> None:
    origin, direction = rays(torch.tensor([[0.2, -0.3]]), 24)
    origin, direction = origin[0].expand(24 * 24, -1), direction[0]
    points, spacing, meets = between_shells(origin, direction, 12, _generator())
    inside = ((points[meets] - torch.tensor(SKULL)) / torch.tensor(SKULL_RADII)).square().sum(-1).sqrt()
    assert float(inside.max()) <= OUTER + 1e-3
    assert float(inside.min()) >= INNER - 0.01
    assert 0.3 < float(meets.float().mean()) < 1
    steps = torch.linalg.vector_norm(points[meets][:, 1:] - points[meets][:, :-1], dim=-1) / 10  # cm
    assert torch.allclose(steps.mean(1), spacing[meets][:, 0], rtol=0.2)


# --------------------------------------------------------------------------------------------------- models


def test_the_released_renderer_makes_512_pixels_of_64() -> None:
    with torch.device("meta"):
        assert Renderer()(torch.zeros(1, 256, 64, 64)).shape == (1, 3, 512, 512)


def test_the_renderer_looks_no_further_than_its_blur() -> None:
    torch.manual_seed(0)
    net, x = Renderer(32, 4), torch.zeros(1, 32, 12, 12)
    other = x.clone()
    other[..., 6, 6] = 5
    changed = (net(x) - net(other)).abs().amax((0, 1)) > 1e-7
    rows = changed.any(1).nonzero()
    assert rows.min() >= 4 * (6 - 2)
    assert rows.max() < 4 * (7 + 2)


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("how", COMPOSE)
def test_every_model_renders(eyes: str, how: str) -> None:
    torch.manual_seed(0)
    model = HeadModel(2, 3, eyes=eyes, how=how, sizes=Sizes(face=8, eye=8, features=6 if how == "max" else 0))
    images, head = model.picture(_codes(3), torch.zeros(3, 2), size=12)
    assert images.shape == (3, 3, 12, 12)
    assert head.shape == (3, 12, 12)
    assert torch.isfinite(images).all()


def test_a_model_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown model"):
        HeadModel(1, 1, eyes="glass")


def _at_eye(model: HeadModel, codes: Codes, side: int, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return model._eye(place, codes, side)


def test_an_eye_turns_with_its_gaze() -> None:
    """A point that turns with the gaze keeps its density; the eye is a rigid body."""
    from firsthand.data.drawn.directions import gaze_rotation

    torch.manual_seed(0)
    model, codes = HeadModel(1, 1, sizes=SMALL), _codes(5)
    still = replace(codes, gaze=torch.zeros(5, 2))
    place = 5 * torch.randn(5, 3, generator=_generator())
    mirrored = codes.gaze * torch.tensor([1.0, 1.0])
    turned = torch.einsum("nij,nj->ni", gaze_rotation(mirrored), place)
    assert torch.allclose(_at_eye(model, codes, -1, turned)[0], _at_eye(model, still, -1, place)[0], atol=1e-4)


def test_the_right_eye_is_the_left_ones_mirror_image() -> None:
    torch.manual_seed(0)
    model, codes = HeadModel(1, 1, sizes=SMALL), _codes(4)
    place = 5 * torch.randn(4, 3, generator=_generator())
    flip = torch.tensor([-1.0, 1.0, 1.0])
    other = replace(codes, gaze=codes.gaze * torch.tensor([1.0, -1.0]))
    assert torch.allclose(_at_eye(model, codes, 1, place)[0], _at_eye(model, other, -1, place * flip)[0], atol=1e-5)


@pytest.mark.parametrize("features", [0, 6])
def test_light_falls_on_the_place_and_is_neither_turned_nor_mirrored(features: int) -> None:
    """Looking the other way must not change what the lamp does to one place of a blank eye."""
    torch.manual_seed(0)
    model = HeadModel(1, 1, sizes=Sizes(face=8, eye=8, features=features))
    for layer in (*model.eye.layers, model.eye.feature):  # blank: the same everywhere in its own frame
        torch.nn.init.zeros_(layer.weight)
    codes, place = _codes(6), 5 * torch.randn(6, 3, generator=_generator())
    codes.gaze = 2 * codes.gaze
    colours = [_at_eye(model, c, 1, place)[1] for c in (codes, replace(codes, gaze=-codes.gaze))]
    assert torch.allclose(*colours, atol=1e-5)
    assert torch.allclose(_at_eye(model, codes, 1, place)[1], _at_eye(model, codes, -1, place)[1], atol=1e-5)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    assert not torch.allclose(_at_eye(model, codes, 1, place * flip)[1], colours[0], atol=1e-5)


def test_gaze_changes_nothing_far_from_the_eyes_unless_one_field_is_told() -> None:
    torch.manual_seed(0)
    codes = _codes(1)
    other = replace(codes, gaze=-codes.gaze)
    origin, direction = rays(torch.zeros(1, 2), 24)
    far = (direction[0] * 600)[:, 1] > 40  # the mouth and below
    for eyes in EYES:
        model = HeadModel(1, 1, eyes=eyes, sizes=SMALL)
        rows = torch.zeros(24 * 24, dtype=torch.long)
        with torch.no_grad():
            one, two = (model(origin[0].expand(24 * 24, -1), direction[0], c.pick(rows)) for c in (codes, other))
        same = torch.equal(one[far], two[far])
        assert same == (eyes != "single")


def test_training_lowers_the_loss_and_repeats() -> None:
    data = heads(0, 12, 3)
    recipe = Recipe(steps=60, rays=192, sizes=Sizes(face=16, eye=16))
    model, losses = train(recipe, data, 0)
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    again = train(recipe, data, 0)[1]
    assert losses == again
    codes = fit(model, data.pick([0, 1]), steps=5, gaze=torch.zeros(2, 2))
    assert codes.identity.shape == (2, 8)
    assert not torch.equal(codes.gaze, torch.zeros(2, 2))


def test_pixels_are_drawn_from_eyes_and_head_with_their_colours() -> None:
    data = heads(0, 4, 2)
    pixels = Pixels(data, [0, 1], grow=0)
    picture, origin, direction, colour = pixels.draw(90, 1 / 3, _generator())
    assert colour.shape == direction.shape == origin.shape == (90, 3)
    ray = rays(data.pose, 48)[1]
    for n in (0, 45, 89):
        place = int((ray[picture[n]] == direction[n]).all(1).nonzero()[0])
        assert torch.equal(data.images[picture[n]].flatten(1)[:, place], colour[n])
        assert data.head[picture[n]].flatten()[place]


def test_mixed_codes_lie_between_people_and_the_same_people_can_be_drawn() -> None:
    codes, data = _codes(4), heads(0, 4, 4)
    of = mixture(4, 50, _generator())
    made = mixed(codes, of)
    true = mixed_heads(data, of, data.gaze[of.first], data.pose[of.first])
    assert torch.allclose(true.identity, torch.lerp(data.identity[of.first], data.identity[of.second], of.way))
    assert torch.equal(true.light, data.light[of.light])
    assert (made.identity >= codes.identity.min(0).values - 1e-6).all()
    assert (made.identity <= codes.identity.max(0).values + 1e-6).all()


def test_labels_of_renders_are_in_the_cameras_frame() -> None:
    torch.manual_seed(0)
    model, codes = HeadModel(1, 1, sizes=SMALL), _codes(3)
    gaze, pose = 0.3 * torch.randn(3, 2, generator=_generator()), torch.zeros(3, 2)
    assert torch.allclose(redirected(model, codes, gaze, pose, size=8).labels, gaze, atol=1e-5)
    assert torch.allclose(redirected(model, codes, pose, gaze, size=8).labels, gaze, atol=1e-5)


# ------------------------------------------------------------------------------------------------ estimators


@pytest.mark.slow
def test_an_estimator_learns_and_jitter_leaves_the_head_where_it_is() -> None:
    data = heads(5, 48, 12)
    labels = est.labels_of(data)
    net = est.train_estimator(data.images, labels, steps=300, batch=32)
    assert est.error(net, data.images, labels) < est.mean_error(labels, labels) / 2  # it can learn them by heart
    shown = est.jittered(data.images, data.head, _generator())
    kept = est.jittered(data.images, data.head, _generator(), torch.ones(len(data), 2))
    inside = data.head.unsqueeze(1).expand_as(kept)
    assert torch.equal(kept[inside], data.images[inside])
    ratio = (shown / data.images.clamp_min(1e-6)).masked_select(data.head.unsqueeze(1) & (data.images > 0.05))
    assert est.EXPOSURE[0] - 1e-4 <= float(ratio.min()) < float(ratio.max()) <= est.EXPOSURE[1] + 1e-4


def test_batch_norm_can_be_measured_anew() -> None:
    torch.manual_seed(0)
    net, data = est.Estimator(), heads(6, 20, 4, TARGET)
    found = est.renormed(net, data.images)
    assert torch.equal(net[1].running_mean, torch.zeros(16))
    assert torch.allclose(found[1].running_mean, found[0](data.images).mean((0, 2, 3)), atol=1e-4)
    assert not found.training


def test_requests_reach_as_far_as_they_say() -> None:
    data = heads(0, 300, 3)
    for where, gaze_most, pose_least, pose_most in (
        ("trained", 0.25, 0.0, 0.35), ("between", 0.45, 0.0, 0.35), ("out", 0.6, 0.0, 0.35), ("turned", 0.25, 0.3, 0.5),
    ):  # fmt: skip
        rows, gaze, pose = runs.requests(0, data, where, 0.25)
        assert len(rows) == len(gaze) == len(pose) == runs.REQUESTS
        assert gaze_most - 0.02 < float(gaze.abs().max()) <= gaze_most + 1e-6
        assert pose_least <= float(pose[:, 1].abs().min())
        assert float(pose[:, 1].abs().max()) <= pose_most + 1e-6
        if where == "out":
            assert torch.allclose(gaze.abs().amax(1), torch.tensor(0.6))


def test_wrong_labels_are_wrong_by_as_much_as_they_say() -> None:
    made = Labelled(
        torch.zeros(40, 3, 2, 2), torch.zeros(40, 2), torch.zeros(40, 2, 2, dtype=torch.bool), torch.ones(40, 2)
    )
    for how, ways in (("noisy", 40), ("biased", 1)):
        found = runs.mislabelled(made, how, 0).labels
        assert torch.allclose(runs.between(found, made.labels), torch.full((40,), runs.WRONG), rtol=0.02)
        assert len({tuple(round(x, 4) for x in row) for row in found.tolist()}) == ways


# ------------------------------------------------------------------------------------------------ experiment


def test_the_smallest_run_repeats() -> None:
    first, again = (run(PRESETS["smoke"], device="cpu", progress=False) for _ in range(2))
    assert first.to_json() == again.to_json()
    assert first.arrays["made"].shape == (4, 3, 48, 48)


def test_real_faces_train_the_full_model(tmp_path: Path) -> None:
    tiny = FullRecipe(steps=2, grid=8, scale=2, samples=4, features=32, pictures=2)
    config = replace(with_data(PRESETS["paper"], str(faces(tmp_path))), full=tiny, out=None)
    assert np.isfinite(run(config, device="cpu", progress=False).metrics["loss"])
    with pytest.raises(UserError, match="ETH-XGaze"):
        run(replace(config, data=str(tmp_path / "none")), device="cpu")
    with pytest.raises(UserError, match="folder"):
        with_data(config, str(tmp_path / "none"))


def test_gaze_and_pose_of_real_labels_fit_together() -> None:
    from firsthand.data.drawn.directions import gaze_rotation, pitchyaw_to_vector
    from firsthand.data.readers.gaze_sets import Gazes

    labels = 0.4 * torch.randn(6, 2, generator=_generator(), dtype=torch.float64)
    poses = 0.4 * torch.randn(6, 2, generator=_generator(1), dtype=torch.float64)
    gaze, pose = in_head(Gazes(torch.zeros(6, 3, 2, 2), labels, poses, "a"))
    back = torch.einsum("nij,nj->ni", gaze_rotation(pose), pitchyaw_to_vector(gaze))
    assert torch.allclose(back.double(), pitchyaw_to_vector(labels), atol=1e-5)


class TestRivals:
    """Rivals that are asked before they are compared with."""

    def test_a_copied_picture_is_of_the_same_person_and_most_alike(self, monkeypatch):
        angle = torch.tensor([0.0, 0.1, 0.2, 0.0, 0.1, 0.2])
        data = SimpleNamespace(
            gaze=torch.stack([angle, angle], 1), pose=torch.zeros(6, 2), person=torch.tensor([4, 4, 4, 7, 7, 7]),
            images=torch.arange(6.0),
        )  # fmt: skip
        rows, gaze = torch.tensor([0, 5]), torch.tensor([[0.19, 0.19], [0.01, 0.01]])
        seen = []
        monkeypatch.setattr(measures, "floor", lambda *_: None)
        monkeypatch.setattr(measures, "judge", lambda _: None)
        monkeypatch.setattr(measures, "pictures", lambda *_: data)
        monkeypatch.setattr(measures, "requests", lambda *_: (rows, gaze, torch.zeros(2, 2)))
        monkeypatch.setattr(
            measures,
            "redirection",
            lambda *_: SimpleNamespace(paired=torch.tensor([2.0, 4.0]), by_judge_true=torch.zeros(2, 2)),
        )
        monkeypatch.setattr(est, "estimated", lambda _, images: seen.append(images) or torch.zeros(len(images), 2))
        assert measures.nearest(0) == (3.0, 0.0)
        assert seen[0].tolist() == [2.0, 3.0]

    @pytest.mark.parametrize("off", [0.0, 0.4])
    def test_a_rival_that_turns_no_eyes_is_not_compared_with(self, monkeypatch, off):
        asked = torch.zeros(4, 2)
        found = SimpleNamespace(paired=torch.ones(4), asked=asked, by_judge_true=asked)
        monkeypatch.setattr(measures, "floor", lambda *_: None)
        monkeypatch.setattr(measures, "mean_predictor", lambda *_: 20.0)
        monkeypatch.setattr(measures, "redirection", lambda *_: found)
        monkeypatch.setattr(measures, "flat", lambda *_: asked + torch.tensor([off, 0.0]))
        if off:
            with pytest.raises(NotTested, match="has not learned"):
                measures.more_consistent(0)
        else:
            assert measures.more_consistent(0) == (1.0, pytest.approx(0.0, abs=0.1))


@pytest.mark.slow
def test_pictures_of_the_shipped_codes_are_the_first_that_were_trained_on():
    shown, all_of_them = assets.shipped_pictures(), runs.pictures("wide", assets.SEED)
    assert torch.equal(shown.images, all_of_them.images[: assets.KEPT])
    assert torch.equal(shown.eyes, all_of_them.eyes[: assets.KEPT])
    assert torch.equal(shown.identity, all_of_them.identity[: assets.KEPT])


def test_fitting_brings_near_what_was_shown_and_what_was_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STAGES", (0, 20))
    near = live.nearness(99)  # a seed of its own: what is found is kept
    assert all(after > before + 1 for before, after in near.values())
    assert int(live.stranger(0).person[0]) not in range(runs.PEOPLE)
    assert not torch.equal(live.stranger(0).images, live.stranger(1).images)


def test_an_estimator_takes_square_pictures_only():
    net = est.Estimator(48)  # 24 x 96 pixels leave it as many numbers as 48 x 48
    for call in (
        lambda: est.estimated(net, torch.rand(2, 3, 24, 96)),
        lambda: est.train_estimator(torch.rand(2, 3, 24, 96), torch.zeros(2, 2), steps=1, batch=2),
        lambda: est.train_estimator(torch.rand(2, 3, 48, 48), torch.zeros(2), steps=1, batch=2),
    ):
        with pytest.raises(ValueError, match="Square pictures"):
            call()


def test_short_presets_stay_short_on_real_faces(tmp_path: Path) -> None:
    folder = str(faces(tmp_path))
    smoke, book, paper = (with_data(PRESETS[name], folder) for name in ("smoke", "book", "paper"))
    assert (smoke.full.steps, book.full.steps, paper.full.steps) == (3, 150, 500_000)
    assert paper.full == FullRecipe()
    own = replace(PRESETS["smoke"], full=FullRecipe(steps=7))
    assert with_data(own, folder).full.steps == 7  # who has chosen is not overruled
    found = run(smoke, device="cpu", progress=False)
    assert found.arrays["loss"].shape == (3,)
    assert np.isfinite(found.arrays["loss"]).all()


def test_people_to_learn_are_the_first_pictures_of_each(tmp_path: Path) -> None:
    folder = faces(tmp_path)
    whole, two = read_people(folder, 10**6), read_people(folder, 2)
    assert [len(one.images) for one in two] == [2] * len(whole)
    for one, some in zip(whole, two, strict=True):
        assert len(one.images) > 2
        for name in ("images", "gaze", "pose"):
            assert torch.equal(getattr(some, name), getattr(one, name)[:2])
