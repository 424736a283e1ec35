"""HOG against scikit-image, networks against published counts, branches against oracles, no leak from hidden pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.feature import hog

from firsthand.dmjd import build, classifier, disjoint_masks, hog_cells, hog_targets, visible_loss, visible_order
from firsthand.dmjd.layers import positions

TINY = ("tiny-vit", "tiny-convvit")


def _bytes(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def _trainable(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


# ---------------------------------------------------------------------------------------------------- HOG


@pytest.mark.parametrize("cell", [4, 8])
def test_histograms_are_those_of_scikit_image(cell):
    images = _bytes(2, 3, 48, 32)
    images[0, :, 8:24] //= 16
    ours = hog_cells(images, cell=cell).double().numpy()
    ours = ours / np.sqrt((ours**2).sum(-1, keepdims=True) + 1e-10)
    for image, found in zip(images.numpy(), ours, strict=True):
        for plane, mine in zip(image, found, strict=True):
            options = {"pixels_per_cell": (cell, cell), "cells_per_block": (1, 1), "block_norm": "L2"}
            theirs = hog(plane, orientations=9, feature_vector=False, **options)
            np.testing.assert_allclose(mine, theirs[:, :, 0, 0], atol=1e-6)


def test_one_edge_by_hand():
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    image[..., 4:] = 100  # an upright edge: columns 3 and 4 see a difference of 100, orientation 0
    cells = hog_cells(image)
    assert cells[0, 0, 0, 0].tolist() == pytest.approx([16 * 100 / 64] + [0] * 8)
    white = hog_targets(image, token=8)[0, 0]
    assert float(white[0]) == pytest.approx(8**0.5, abs=1e-3)  # one bin of nine: mean 0, variance 1
    assert hog_targets(torch.full((1, 3, 16, 16), 7, dtype=torch.uint8)).abs().max() == 0


def test_targets_are_ordered_cell_row_cell_column_bin_colour():
    image = _bytes(1, 3, 32, 32)
    cells = F.layer_norm(hog_cells(image, cell=4), (9,))
    target = hog_targets(image, cell=4, token=8)
    assert target.shape == (1, 16, 2 * 2 * 9 * 3)
    token, row, column, which, colour = 6, 1, 0, 5, 2  # the token in row 1, column 2
    assert target[0, token].view(2, 2, 9, 3)[row, column, which, colour] == cells[0, colour, 2 + row, 4 + column, which]


def test_bad_images_get_a_sentence():
    with pytest.raises(ValueError, match="takes the image's bytes"):
        hog_cells(torch.rand(1, 1, 8, 8))
    with pytest.raises(ValueError, match="do not divide into cells of 8"):
        hog_cells(_bytes(1, 1, 12, 8))
    with pytest.raises(ValueError, match="token of 12 pixels does not divide"):
        hog_targets(_bytes(1, 1, 24, 24), token=12)
    with pytest.raises(ValueError, match="do not divide into tokens of 16"):
        hog_targets(_bytes(1, 1, 24, 24))


# ----------------------------------------------------------------------------------------------- networks


def test_parts_of_the_base_model_as_published():
    with torch.device("meta"):
        model = build("base")
    encoder = model.encoder
    assert [_trainable(down) for down in encoder.downs] == [13_056, 394_368, 1_181_952]
    assert [_trainable(stage) for stage in encoder.convs] == [2_380_288, 5_339_904]
    assert [_trainable(fuse) for fuse in encoder.fusion] == [3_146_496, 1_180_416]
    assert (_trainable(encoder.mix), _trainable(encoder.blocks)) == (590_592, 77_966_592)
    assert _trainable(model.decoder.blocks) == 42_012_672
    assert _trainable(model.visible_branch) == 921_088 + 55_404
    assert encoder.position.numel() + model.decoder.position.numel() == 250_880


@pytest.mark.parametrize("size", ["base", *TINY])
def test_the_loss_runs_on_the_meta_device(size):
    with torch.device("meta"):
        model = build(size, decoder_depth=1)
        images = torch.empty(2, model.size.in_chans, model.size.image, model.size.image, dtype=torch.uint8)
        loss, parts = model(images)
    assert loss.shape == ()
    assert parts["prediction"].shape == (4, model.size.grid**2, model.size.target)


def test_positions_differ_and_are_smooth():
    code = positions(8, 64)
    assert code.shape == (64, 64)
    distance = torch.cdist(code, code)
    assert float(distance[0, 1]) < float(distance[0, 4])
    assert float(distance[0, 8]) == pytest.approx(float(distance[0, 1]))
    assert (distance + 9 * torch.eye(64)).min() > 0.1
    with pytest.raises(ValueError, match="4 divides"):
        positions(4, 6)


# ----------------------------------------------------------------------------------------------- branches


@pytest.mark.parametrize("size", TINY)
def test_hidden_pixels_change_no_visible_latent(size):
    torch.manual_seed(0)
    model, images = build(size, decoder_depth=1).double(), _bytes(6, 1, 32, 32)
    masks = model.draw_masks(6, torch.Generator().manual_seed(0))
    ids = visible_order(masks.flatten(0, 1))
    hidden = masks.view(2, 6, 1, 8, 8).repeat_interleave(4, 3).repeat_interleave(4, 4)
    with torch.no_grad():
        both = model.encode(images, ids, masks.flatten(0, 1))
        for view in range(2):  # all of view 1 first
            edited = torch.where(hidden[view], 255 - images, images)
            alone = model.encode(edited, ids[6 * view : 6 * view + 6], masks[view])
            torch.testing.assert_close(both[6 * view : 6 * view + 6], alone, rtol=0, atol=1e-12)
        assert not torch.allclose(both[:6], both[6:])


@pytest.mark.parametrize("size", TINY)
def test_latents_follow_the_order_of_the_ids(size):
    torch.manual_seed(0)
    model, images = build(size, decoder_depth=1).eval(), _bytes(3, 1, 32, 32)
    mask = model.draw_masks(3)[0]
    ids = visible_order(mask, shuffle=False)
    turned = ids.flip(-1)
    with torch.no_grad():
        straight, reverse = model.encode(images, ids, mask), model.encode(images, turned, mask)
        torch.testing.assert_close(straight.flip(1), reverse, rtol=1e-4, atol=1e-5)
        predictions = model.decoder(straight, ids), model.decoder(reverse, turned)
    torch.testing.assert_close(*predictions, rtol=1e-4, atol=1e-4)


def test_an_oracle_has_no_loss_only_if_targets_are_aligned():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(5, 64, 9, generator=generator)
    ids = visible_order(disjoint_masks(5, 8, 0.6, generator=generator)[0], generator=generator)
    perfect = target.gather(1, ids.unsqueeze(-1).expand(-1, -1, 9))
    assert float(visible_loss(perfect, target, ids)) == 0
    assert float(visible_loss(perfect, target, ids, pairing="released")) > 0.3
    raster = ids.sort(-1).values
    in_raster = target.gather(1, raster.unsqueeze(-1).expand(-1, -1, 9))
    assert float(visible_loss(in_raster, target, raster, pairing="released")) == 0
    with pytest.raises(ValueError, match="pairing must be one of"):
        visible_loss(perfect, target, ids, pairing="sorted")


def test_smooth_l1_by_hand():
    target, ids = torch.zeros(1, 1, 2), torch.zeros(1, 1, dtype=torch.long)
    loss = visible_loss(torch.tensor([[[1.0, 5.0]]]), target, ids)
    assert float(loss) == pytest.approx((1 / 4 + (5 - 1)) / 2)


def test_the_loss_is_the_sum_of_its_parts():
    images = _bytes(4, 1, 32, 32)
    torch.manual_seed(0)
    model = build("tiny-vit", decoder_depth=1, visible_weight=0.5)
    loss, parts = model(images, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss, parts["hidden"] + 0.5 * parts["visible"])
    mask = parts["masks"].flatten(0, 1)
    target = model.targets(images).repeat(2, 1, 1)
    error = (parts["prediction"] - target).square().mean(-1)
    torch.testing.assert_close(parts["hidden"], error[mask].mean())
    again, _ = model(images.float() / 255, generator=torch.Generator().manual_seed(0))  # floats are rounded to bytes
    torch.testing.assert_close(again, loss)
    given, _ = model(images, parts["masks"], torch.Generator().manual_seed(0))
    assert given.isfinite()
    assert build("tiny-vit", decoder_depth=1, visible_weight=0).visible_branch is None


def test_masks_that_do_not_fit_are_refused():
    model, images = build("tiny-vit", decoder_depth=1), _bytes(2, 1, 32, 32)
    with pytest.raises(ValueError, match=r"masks must have shape \(views, 2, tokens\)"):
        model(images, torch.zeros(2, 3, 64, dtype=torch.bool))
    uneven = torch.zeros(2, 2, 64, dtype=torch.bool)
    uneven[0, 0, :5] = True
    with pytest.raises(ValueError, match="same number of tokens"):
        model(images, uneven)
    for options in ({"masking": "both"}, {"target": "clip"}):
        with pytest.raises(ValueError, match="must be one of"):
            build("tiny-vit", **options)
    with pytest.raises(ValueError, match="Unknown size"):
        build("huge")


def test_every_switch_trains():
    images = _bytes(4, 1, 32, 32)
    for options in ({"masking": "independent"}, {"target": "pixels"}, {"views": 1, "prediction": 0.6}, {"views": 3}):
        model = build("tiny-vit", decoder_depth=1, **options)
        model(images)[0].backward()
        used = [p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("encoder.fusion")]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in used)


def test_a_classifier_takes_an_encoder():
    encoder = build("tiny-convvit", decoder_depth=1).encoder
    model = classifier("tiny-convvit", num_classes=10).take(encoder)
    assert torch.equal(model.encoder.blocks[1].qkv.weight, encoder.blocks[1].qkv.weight)
    assert model.encoder.position.requires_grad
    assert model(_bytes(2, 1, 32, 32)).shape == (2, 10)
    with pytest.raises((ValueError, RuntimeError)):
        classifier("tiny-vit").take(encoder)


@pytest.mark.parametrize("size", ["tiny-vit", "tiny-convvit"])
def test_images_of_another_size_are_refused(size):
    # 64 x 16 pixels make as many tokens as 32 x 32, but at other places.
    model, head = build(size, decoder_depth=1), classifier(size, num_classes=3)
    for shape in ((2, 1, 64, 16), (2, 1, 64, 64)):
        for call in (model, head):
            with pytest.raises(ValueError, match="are needed; got"):
                call(torch.zeros(shape, dtype=torch.uint8))
    with pytest.raises(ValueError, match="1 x 32 x 32 are needed"):
        head(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))


def test_whole_numbers_that_are_no_bytes_are_refused():
    images = torch.full((2, 1, 32, 32), 200)  # int64: as a float in [0, 1] it would be white
    for call in (build("tiny-vit", decoder_depth=1), classifier("tiny-vit", num_classes=3)):
        with pytest.raises(ValueError, match=r"bytes \(uint8\), or .*; got torch.int64"):
            call(images)


def test_masks_that_do_not_fit_or_hide_nothing_are_refused():
    model, images = build("tiny-vit", decoder_depth=1), torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    with pytest.raises(ValueError, match="64 tokens an image"):
        model(images, torch.ones(2, 2, 16, dtype=torch.bool))
    with pytest.raises(ValueError, match="hides nothing"):
        model(images, torch.zeros(2, 2, 64, dtype=torch.bool))
