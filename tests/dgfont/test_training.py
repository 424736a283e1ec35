"""Losses, the queue, sampling, and training that repeats itself."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from firsthand.data.readers.glyphs import Glyphs, shipped
from firsthand.dgfont import batches, losses, training
from firsthand.dgfont.batches import Sampler, turned
from firsthand.dgfont.contrastive import contrast
from firsthand.dgfont.lab import evaluation, runs
from firsthand.dgfont.losses import Queue, hinge_discriminator, hinge_generator, info_nce, offset_loss, r1_penalty
from firsthand.dgfont.networks import COMPACT
from firsthand.dgfont.recipes import RELEASED, Recipe
from firsthand.dgfont.trainer import Trainer, falling
from firsthand.dgfont.training import train
from firsthand.errors import UserError

TINY = Recipe(steps=3, warmup=1, ahead=2, batch=4, width=4, style_dim=8, judge_width=4, most=8, queue=16)


def test_hinge_losses_by_hand() -> None:
    assert float(hinge_discriminator(torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0]))) == pytest.approx(1.25)
    assert float(hinge_generator(torch.tensor([2.0, -1.0]))) == -0.5


def test_the_penalty_is_the_squared_gradient_summed_over_pixels() -> None:
    images = torch.rand(3, 1, 4, 4, requires_grad=True)
    slope = torch.arange(16.0).view(4, 4)
    assert float(r1_penalty((images * slope).sum((1, 2, 3)), images)) == pytest.approx(float(slope.square().sum()))


def test_moves_are_priced_by_their_mean_length_and_halved() -> None:
    assert float(offset_loss([torch.full((2, 18, 4, 4), -2.0), torch.full((2, 18, 2, 2), 1.0)])) == 1.5
    assert float(offset_loss([])) == 0


def test_info_nce_is_a_cross_entropy_and_excluded_negatives_do_not_count() -> None:
    torch.manual_seed(0)
    query, positive, negatives = torch.randn(3, 5), torch.randn(3, 5), torch.randn(7, 5)
    logits = torch.cat([(query * positive).sum(1, keepdim=True), query @ negatives.T], 1) / 0.07
    truth = F.cross_entropy(logits, torch.zeros(3, dtype=torch.long), reduction="none")
    assert torch.allclose(info_nce(query, positive, negatives), truth, atol=1e-5)
    exclude = torch.zeros(3, 7, dtype=torch.bool)
    exclude[:, 2:] = True
    fewer = info_nce(query, positive, negatives, exclude=exclude)
    assert torch.allclose(fewer, info_nce(query, positive, negatives[:2]), atol=1e-5)


def test_a_queue_forgets_the_oldest() -> None:
    queue = Queue(5, 1)
    for start in range(0, 9, 3):
        queue.push(torch.arange(start, start + 3.0)[:, None], torch.arange(start, start + 3))
    codes, fonts = queue.content()
    assert sorted(fonts.tolist()) == [4, 5, 6, 7, 8]
    assert torch.equal(codes[:, 0].long(), fonts)


def test_masked_negatives_take_the_price_of_the_own_font_away() -> None:
    queue = Queue(8, 2)
    queue.push(torch.tensor([[1.0, 0.0]] * 4 + [[0.0, 1.0]] * 4), torch.tensor([0] * 4 + [1] * 4))
    code = torch.tensor([[1.0, 0.0]])
    paid = {
        mode: float(losses.style_loss(code, code, torch.tensor([0]), queue, mode=mode)) for mode in ("font", "masked")
    }
    assert paid["font"] == pytest.approx(math.log(5), abs=1e-4)
    assert paid["masked"] == pytest.approx(0, abs=1e-4)


def test_only_glyphs_that_exist_are_drawn() -> None:
    present = np.zeros((4, 8), bool)
    present[0, 1] = present[2, 3] = present[2, 4] = True
    ink = np.arange(4 * 8, dtype=np.uint8).reshape(4, 8, 1, 1).repeat(16, 2).repeat(16, 3)
    sampler = Sampler(Glyphs(ink, present, list("abcd"), "12345678", 1, 2))
    images, fonts = sampler(50, torch.Generator().manual_seed(0))
    assert set(fonts.tolist()) == {0, 2}
    shown = {round(v) for v in ((1 - images[:, 0, 0, 0]) * 127.5).tolist()}
    assert shown == {1, 19, 20}
    partners = sampler.partners(torch.tensor([2] * 20), torch.Generator().manual_seed(0))
    assert {round(v) for v in ((1 - partners[:, 0, 0, 0]) * 127.5).tolist()} == {19, 20}


def test_turned_glyphs_keep_white_paper_and_are_not_mirrored() -> None:
    images = shipped().images([0], [40])[0].repeat(20, 1, 1, 1)
    found = turned(images, torch.Generator().manual_seed(0))
    assert float(found[:, :, 0, 0].min()) == 1
    assert not torch.equal(found[0], found[1])
    plain = F.cosine_similarity(1 - found.flatten(1), 1 - images.flatten(1)).mean()
    mirrored = F.cosine_similarity(1 - found.flatten(1), 1 - images.flip(3).flatten(1)).mean()
    assert plain > mirrored


@pytest.mark.parametrize("change", [{}, {"fdsc": "none"}, {"mode": "self"}, {"head": "single"}, {"mode": "none"}])
def test_training_repeats_itself_and_moves_all_networks(change: dict) -> None:
    recipe = replace(TINY, **change)
    one, other = (train(recipe, shipped(), 3) for _ in range(2))
    for a, b in zip(one.generator.parameters(), other.generator.parameters(), strict=True):
        assert torch.equal(a, b)
    assert one.log == other.log
    assert len(one.log["image"]) == 3
    assert len(one.log["adversarial"]) == 2
    start = train(replace(recipe, steps=0, warmup=0), shipped(), 3)
    for name in ("generator", "encoder"):
        pairs = zip(getattr(start, name).parameters(), getattr(one, name).parameters(), strict=True)
        assert any(not torch.equal(a, b) for a, b in pairs)


def test_a_run_that_was_killed_goes_on_as_if_nothing_had_happened(tmp_path, monkeypatch) -> None:
    recipe, whole = replace(TINY, steps=4), tmp_path / "run.safetensors"
    straight = train(recipe, shipped(), 3)
    monkeypatch.setattr(training, "SAVE_EVERY", 2)

    def kill(number: int, _: object) -> None:
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, shipped(), 3, checkpoint=whole, note=kill)
    resumed = train(recipe, shipped(), 3, checkpoint=whole)
    assert resumed.log == straight.log
    for a, b in zip(resumed.generator.parameters(), straight.generator.parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(UserError, match="another seed"):
        train(recipe, shipped(), 4, checkpoint=whole)
    with pytest.raises(UserError, match="other networks"):
        train(replace(recipe, width=8), shipped(), 3, checkpoint=whole)


def test_the_released_recipe_trains_on_three_channels() -> None:
    small = {"steps": 1, "batch": 2, "width": 4, "style_dim": 4, "judge_width": 4, "most": 8, "plan": (4, "pool", 4)}
    model = train(replace(RELEASED, **small), shipped(), 0)
    content = shipped().images([0], [0, 1])[0]
    assert model.paint(content, model.code(content)).shape == (2, 1, 32, 32)


def test_contrast_alone_trains_an_encoder() -> None:
    encoder = contrast(replace(TINY, mode="font"), shipped(), 0)
    assert encoder(torch.zeros(2, 1, 32, 32)).shape == (2, 8)


def test_averages_forget_the_random_start() -> None:
    trainer = Trainer(TINY, fonts=3, size=32)
    begin = trainer.generator.paint.weight.detach().clone()
    with torch.no_grad():
        trainer.generator.paint.weight.zero_()
    for _ in range(60):
        trainer.average(0)
    assert trainer.ages == [60, 0]
    assert float((trainer.averages[0].paint.weight.detach() / begin).abs().max()) < 1e-6


def test_batch_norm_ends_with_the_statistics_of_real_glyphs(monkeypatch) -> None:
    glyphs = shipped()
    encoder = train(TINY, glyphs, 0).encoder
    first = encoder.features[0]
    seen = torch.cat([Sampler(glyphs)(64, torch.Generator().manual_seed(n))[0] for n in range(4)])
    mean = first(seen).mean((0, 2, 3))
    assert torch.allclose(encoder.features[1].running_mean, mean, atol=0.05)
    assert not encoder.training
    trainer, shown = Trainer(TINY, fonts=30, size=32), []
    monkeypatch.setattr(
        trainer.encoder, "forward", lambda x: (shown.append(trainer.encoder.training), x.mean((2, 3)).expand(-1, 8))[1]
    )
    trainer.step(2, Sampler(glyphs), torch.Generator().manual_seed(0))
    assert shown == [True, False]  # real glyphs enter the statistics, generated ones do not
    assert not trainer.averages[1].training


def test_codes_begin_with_some_length() -> None:
    trainer = Trainer(replace(TINY, plan=COMPACT, style_dim=32), fonts=30, size=32)
    codes = trainer.encoder(Sampler(shipped())(64, torch.Generator().manual_seed(0))[0])
    assert 0.1 < float(codes.detach().std(0).mean()) < 3


def test_rates_fall_over_the_last_quarter() -> None:
    assert [falling(step, 100) for step in (0, 75, 100)] == pytest.approx([1, 1, 0.05])


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one of"):
        Recipe(mode="other")
    with pytest.raises(ValueError, match="between 0 and steps"):
        Recipe(steps=3, warmup=4)


# ---------------------------------------------------------------------------------------------- evaluation


def test_true_glyphs_have_no_error_and_baselines_are_what_they_say() -> None:
    glyphs = shipped()
    task = evaluation.Task.of(glyphs, seen=False)
    true = task.true(glyphs)
    reader = evaluation.Reader(160, 30).eval()
    assert task.fonts == [30, 32, 33, 34, 35]  # cwTeX Kai has twins among the fonts to train on
    found = evaluation.score(true, true, reader, task)
    assert (found.l1, found.rmse) == (0, 0)
    assert found.ssim == pytest.approx(1)
    assert math.isnan(found.font)
    copied, mean = evaluation.copied(glyphs, task), evaluation.averaged(glyphs, task)
    assert copied.shape == mean.shape == true.shape == (200, 1, 32, 32)
    assert torch.equal(copied[:40], glyphs.images([0], task.characters)[0])
    assert torch.allclose(mean[0], glyphs.images(slice(0, 30), [120])[:, 0].mean(0), atol=1e-6)


def test_the_nearest_font_in_pixels_is_found_and_is_another_one() -> None:
    glyphs = shipped()
    twin = glyphs.ink.copy()
    twin[31] = twin[7]  # an unseen font that is a copy of a seen one
    found = Glyphs(twin, glyphs.present, glyphs.fonts, glyphs.characters, 6, 40)
    family = evaluation.families(glyphs)  # as if nobody knew of the twin
    task = evaluation.Task.chosen(found, [7, 31], [120, 121], False, family.where(torch.arange(36) != 31, 31))
    made = evaluation.near(found, task).view(2, 2, 1, 32, 32)
    assert torch.equal(made[1], found.images([7], [120, 121])[0])
    for own in (5, 6, 7):
        assert not torch.equal(made[0], found.images([own], [120, 121])[0])
    present = glyphs.present.copy()
    present[8, :115] = False
    poor = replace(glyphs, present=present)  # a font with five glyphs to show
    assert len(evaluation.near(poor, evaluation.Task.of(poor, seen=True))) == 29 * 40


def test_the_mean_of_seen_fonts_leaves_the_asked_one_out() -> None:
    glyphs = shipped()
    task = evaluation.Task.chosen(glyphs, [5], [130], True)
    others = [n for n in range(30) if n not in (5, 6, 7)]  # 6 and 7 are its twins
    assert torch.allclose(evaluation.averaged(glyphs, task)[0], glyphs.images(others, [130])[:, 0].mean(0), atol=1e-6)


def test_twins_are_one_family_and_told_rightly_for_each_other() -> None:
    glyphs = shipped()
    family = evaluation.families(glyphs).tolist()
    assert family[2] == family[3] == family[4] == 2
    assert family[5] == family[6] == family[7] == family[31] == 5
    assert family[23] == family[24] == 23
    assert len(set(family)) == 30
    task = evaluation.Task.of(glyphs, seen=True)
    sizes = [3, 3, 2] + [1] * 21  # of the families but for the content font's
    assert task.chance(30) == pytest.approx(sum(sizes) / len(sizes) / 30)

    class Twin(torch.nn.Module):
        """Says AR PL UKai of everything, and reads the first kept character."""

        features = torch.nn.Identity()

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            said = F.one_hot(torch.full((len(images),), 120), 160).float() * 99
            return said, F.one_hot(torch.full((len(images),), 5), 30).float()

    true = task.true(glyphs)
    found = evaluation.score(true, true, Twin(), task)
    assert found.font == pytest.approx(1 / 24)  # one family of 24, not three fonts of 29
    assert found.character == pytest.approx(1 / 40)
    assert found.certainty == pytest.approx(1 / 40)


def test_retrieval_finds_fonts_by_codes_that_name_them() -> None:
    class Told(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return F.one_hot(torch.arange(len(images)) // 40, 3).float() + 0.01 * torch.randn(len(images), 3)

    class Blind(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return F.one_hot(torch.arange(len(images)) % 40, 40).float()

    fonts = [0, 1, 2]
    assert evaluation.retrieval(Told(), shipped(), fonts, fonts) == 1
    assert evaluation.retrieval(Blind(), shipped(), fonts, fonts) < 0.6
    assert evaluation.retrieval(None, shipped(), [5], [4, 5, 6]) > evaluation.retrieval(None, shipped(), [0], fonts)


def test_glyphs_that_a_font_lacks_are_neither_shown_nor_asked_for() -> None:
    glyphs = shipped()
    present = glyphs.present.copy()
    present[0, 125] = present[3, 130] = False
    present[3, :100] = False
    poor = replace(glyphs, present=present)
    task = evaluation.Task.of(poor, seen=True)
    pairs = set(zip(task.of_font.tolist(), task.of_character.tolist(), strict=True))
    assert len(pairs) == 29 * 39 - 1
    assert not any(pair == (3, 130) or pair[1] == 125 for pair in pairs)
    shown = evaluation.references(poor, 3, 16)
    has = glyphs.images([3], list(range(100, 120)))[0]
    assert all(any(torch.equal(one, other) for other in has) for one in shown)
    mean = evaluation.averaged(poor, evaluation.Task.chosen(poor, [5], [130], True))
    others = [n for n in range(30) if n not in (3, 5, 6, 7)]
    assert torch.allclose(mean[0], glyphs.images(others, [130])[:, 0].mean(0), atol=1e-6)


# ---------------------------------------------------------------------------------------------- variants


def test_a_branch_goes_on_with_what_it_has_in_common() -> None:
    trunk = Trainer(TINY, fonts=30, size=32, seed=1)
    sampler = Sampler(shipped())
    trunk.step(2, sampler, batches.chance(1, 0))
    before = [p.detach().clone() for p in trunk.networks().parameters()]
    for change in ({}, {"levels": (2,)}, {"levels": (1,)}, {"fdsc": "attn"}):
        branch = Trainer(replace(TINY, **change), fonts=30, size=32, seed=1)
        branch.adopt(trunk)
        assert branch.done == 1
        assert torch.equal(branch.generator.encoder.fine.weight, trunk.generator.encoder.fine.weight)
    part = Trainer(replace(TINY, levels=(2,)), fonts=30, size=32, seed=1)
    part.adopt(trunk)
    x = shipped().images([0], [0, 1])[0]
    code = trunk.encoder(x)
    with torch.no_grad():
        trunk.generator.skips["1"].weight.zero_()
        trunk.generator.skips["1"].bias.zero_()
        cut = trunk.generator(x, code)[0]
        assert torch.allclose(part.generator(x, code)[0], cut, atol=1e-5)  # as if the other connection carried nothing
    train(replace(TINY, steps=2, warmup=0), shipped(), 1, begin=trunk)
    after = list(trunk.networks().parameters())
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert sum(changed) == 2  # the two that were set to nought above: a branch leaves its trunk alone


def test_variants_share_the_start_of_what_they_have_in_common() -> None:
    one, other = (Trainer(replace(TINY, fdsc=kind), fonts=30, size=32, seed=4) for kind in ("conv", "none"))
    theirs, same = other.networks().state_dict(), 0
    for name, tensor in one.networks().state_dict().items():
        if name in theirs and theirs[name].shape == tensor.shape:
            assert torch.equal(tensor, theirs[name]), name
            same += tensor.dim() > 1
    assert same > 40


@pytest.mark.slow
def test_every_variant_can_be_trained(monkeypatch) -> None:
    monkeypatch.setattr(runs, "BOOK", TINY)
    monkeypatch.setattr(runs, "CONTRAST", replace(TINY, warmup=0))
    monkeypatch.setattr(runs, "FORK", 2)
    monkeypatch.setattr(runs, "BRANCH", 1)
    monkeypatch.setattr(evaluation, "READER_STEPS", 2)
    assert not runs.legible(train(TINY, shipped(), 77), 77)
    monkeypatch.setattr(runs, "legible", lambda model, seed: False)
    assert runs._begun(78, "none")[1] == runs.AGAIN == 1  # it begins anew as often as it may
    monkeypatch.setattr(runs, "legible", lambda model, seed: True)
    assert runs._begun(79, "none")[1] == 0
    for variant in (*runs.VARIANTS, *runs.BRANCHES):
        made = runs.made(77, variant, evaluation.Task.chosen(shipped(), [31], [150], False))
        assert made.shape == (1, 1, 32, 32), variant
    assert 0 <= runs.judged(77) <= 1
    assert -1 <= runs.likeness(77, "mute") <= 1
    assert runs.mean_move(77, "stiff") >= 0
    for how in ("whole/full", "alone/start", "alone/self", "pixels"):
        assert 0 <= runs.retrieval_of(77, how, False) <= 100
    assert len(runs.slope(77, runs.SHEAR)) == len(runs.slope(77, 2)) == 2


def test_leaning_fonts_are_added_to_those_that_are_trained_on() -> None:
    glyphs = runs.leaning()
    assert glyphs.ink.shape[0] == len(glyphs.fonts) == 48
    assert glyphs.seen[0].stop == 42
    assert glyphs.fonts[42:] == shipped().fonts[30:]
    rows = np.arange(32) - 15.5
    middle = (glyphs.ink[:, :, :, :].astype(float) * np.arange(32)).sum(3) / np.maximum(glyphs.ink.sum(3), 1)
    heavy = glyphs.ink.sum(3) > 200

    def leans(font: int) -> float:
        """Slope of where ink is on the row, over rows with ink in both."""
        plain, both = runs.LEANING[0], heavy[font] & heavy[runs.LEANING[0]]
        away = (middle[font] - middle[plain])[both]
        at = np.broadcast_to(rows, heavy[font].shape)[both]
        return float(np.polyfit(at, away, 1)[0])

    assert leans(30) == pytest.approx(-runs.SHEAR, abs=0.05)  # the top, at negative rows, is pushed right
    assert leans(31) == pytest.approx(runs.SHEAR, abs=0.05)


def test_the_penalty_is_taken_now_and_then_and_is_as_heavy() -> None:
    seen: list[int] = []
    real = losses.r1_penalty
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "r1_penalty", lambda a, b: (seen.append(every), real(a, b))[1])
        for every in (1, 4):
            trainer = Trainer(replace(TINY, every=every), fonts=30, size=32, seed=2)
            for number in range(4, 12):
                trainer.step(number, Sampler(shipped()), batches.chance(0, number))
    assert (seen.count(1), seen.count(4)) == (8, 2)


def test_processes_that_cannot_share_a_batch_are_refused():
    class Three:
        num_processes = 3

    with pytest.raises(UserError, match="3 processes cannot share a batch of 16 of which 8 are rebuilt"):
        Trainer(Recipe(width=4, judge_width=4), fonts=3, size=32, accelerator=Three())
