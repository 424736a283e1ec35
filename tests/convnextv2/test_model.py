"""The layers and networks of chapter 03 against references, published counts and timm."""

from __future__ import annotations

import pytest
import timm
import torch
from scipy import stats
from torch import nn

from firsthand.convnextv2 import (
    FCMAE,
    GRN,
    MICRO,
    SIZES,
    Block,
    Size,
    build,
    class_selectivity,
    dead_channels,
    depthwise_conv,
    feature_diversity,
    load_weights,
    normalise_patches,
    patchify,
    random_mask,
    unpatchify,
)  # fmt: skip
from firsthand.convnextv2.lab.macs import classifier_macs
from tests.convnextv2.reference import grn_nchw, sparse_encode

COUNTS = {  # version 2, version 1, autoencoder
    "atto": (3_708_400, 3_695_520, 7_257_992),
    "femto": (5_233_240, 5_217_784, 8_751_472),
    "pico": (9_066_280, 9_045_672, 12_521_792),
    "nano": (15_623_800, 15_593_560, 19_016_592),
    "tiny": (28_635_496, 28_589_128, 31_965_568),
    "base": (88_717_800, 88_591_464, 91_922_432),
    "large": (197_956_840, 197_767_336, 200_910_592),
    "huge": (660_289_640, 659_942_216, 662_616_192),
}
GIGA_MACS = {"atto": 0.547, "femto": 0.780, "tiny": 4.456, "base": 15.355, "huge": 114.92}


def _wild(model: nn.Module, seed: int = 0, scale: float = 0.3) -> nn.Module:
    """Weights so large that no error hides."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return model.eval()


def _parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# --------------------------------------------------------------------------------------------------- GRN


def test_grn_by_hand():
    layer = GRN(2).double()
    nn.init.ones_(layer.gamma)
    nn.init.constant_(layer.beta, 0.5)
    x = torch.arange(1.0, 9.0, dtype=torch.float64).reshape(1, 2, 2, 2)
    expected = [2.411067, 4.677866, 6.233200, 8.855733, 10.055334, 13.033598, 13.877467, 17.211464]
    assert layer(x).flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_grn_equals_the_formula_in_the_other_layout():
    layer, x = _wild(GRN(6).double()), torch.randn(3, 5, 4, 6, dtype=torch.float64)
    other = grn_nchw(x.permute(0, 3, 1, 2), layer.gamma, layer.beta).permute(0, 2, 3, 1)
    torch.testing.assert_close(layer(x), other, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer(x.flatten(1, 2)), other.flatten(1, 2), rtol=1e-12, atol=1e-12)


def test_grn_starts_as_the_identity_but_can_learn():
    layer, x = GRN(4), torch.randn(2, 3, 3, 4)
    assert torch.equal(layer(x), x)
    layer(x).square().sum().backward()
    assert layer.gamma.grad.abs().min() > 0


def test_grn_competes():
    x = torch.randn(2, 4, 4, 8, dtype=torch.float64)
    layer = GRN(8).double()
    nn.init.ones_(layer.gamma)
    share = (layer(x) - x) / x
    torch.testing.assert_close(
        share.mean((1, 2)).sum(-1), torch.full((2,), 8.0, dtype=torch.float64), rtol=1e-5, atol=0
    )
    torch.testing.assert_close((layer(7 * x) - 7 * x) / 7, layer(x) - x, rtol=1e-5, atol=1e-6)  # scale-free


def test_grn_has_a_gradient_where_a_channel_is_empty():
    x = torch.randn(1, 3, 3, 4)
    x[..., 1] = 0
    x.requires_grad_()
    layer = GRN(4)
    nn.init.ones_(layer.gamma)
    layer(x).sum().backward()
    assert x.grad.isfinite().all()


def test_grn_gradient():
    layer = _wild(GRN(3).double())
    assert torch.autograd.gradcheck(layer, torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True))


# ------------------------------------------------------------------------------------------- convolution


@pytest.mark.parametrize("shape", [(2, 4, 4, 3), (2, 3, 5, 3), (1, 8, 8, 3), (1, 12, 9, 3), (3, 1, 1, 3)])
def test_depthwise_convolution_in_both_forms(shape):
    x = torch.randn(*shape, dtype=torch.float64)
    weight, bias = torch.randn(3, 1, 7, 7, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    expected = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=3, groups=3)
    torch.testing.assert_close(depthwise_conv(x, weight, bias), expected.permute(0, 2, 3, 1), rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------------------ counts


@pytest.mark.parametrize("name", SIZES)
def test_published_parameter_counts(name):
    with torch.device("meta"):
        found = (_parameters(build(name)), _parameters(build(name, version=1)), _parameters(FCMAE(name)))
    assert found == COUNTS[name]


@pytest.mark.parametrize("name", GIGA_MACS)
def test_published_multiply_adds(name):
    assert classifier_macs(name, 224) / 1e9 == pytest.approx(GIGA_MACS[name], rel=1e-3)


@pytest.mark.parametrize("options", [{}, {"version": 1}, {"grn": False}, {"version": 1, "layer_scale": 0.0}])
def test_forward_makes_no_tensor_elsewhere(options):
    with torch.device("meta"):
        model = build("atto", **options)
        assert model(torch.empty(2, 3, 64, 64)).shape == (2, 1000)
        assert FCMAE("atto")(torch.empty(2, 3, 64, 64), generator=None)[0].device.type == "meta"


# -------------------------------------------------------------------------------------------------- timm


@pytest.mark.parametrize("name", ["atto", "femto", "tiny"])
def test_logits_equal_timms(name):
    torch.manual_seed(0)
    other = timm.create_model(f"convnextv2_{name}", pretrained=False).eval()
    with torch.no_grad():
        for p in other.parameters():
            p.add_(0.02 * torch.randn_like(p))  # GRN starts at zero and would hide
    model = build(name).eval()
    report = load_weights(model, other.state_dict())
    assert (report.missing, report.unexpected) == ([], [])
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(images), other(images), rtol=1e-4, atol=1e-5)


def _as_released_sparse(name: str, tensor: torch.Tensor) -> tuple[str, torch.Tensor]:
    """A tensor of an encoder under the name and in the layout of the sparse release."""
    first = name.startswith("downsample_layers.0")
    if tensor.ndim == 4 and not first:
        out, inside, k, _ = tensor.shape
        kernel = tensor.permute(3, 2, 1, 0).reshape(k * k, inside, out)
        return f"encoder.{name.removesuffix('weight')}kernel", kernel.squeeze(1) if inside == 1 else kernel
    if ".norm." in name or (name.startswith("downsample_layers") and tensor.ndim == 1 and ".0." in name[18:]):
        name = name.replace(".weight", ".ln.weight").replace(".bias", ".ln.bias") if not first else name
    if "pwconv" in name:
        name = name.replace(".weight", ".linear.weight").replace(".bias", ".linear.bias")
    return f"encoder.{name}", tensor.reshape(1, -1) if "grn" in name else tensor


def test_sparse_releases_load():
    torch.manual_seed(0)
    model = _wild(FCMAE("atto"), scale=0.1)
    released = dict(_as_released_sparse(n, t) for n, t in model.encoder.state_dict().items())
    released["mask_token"] = torch.zeros(1, 512, 1, 1)
    other = FCMAE("atto")
    report = load_weights(other, {"model": released})
    assert report.missing == []
    assert report.unexpected == ["mask_token"]
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, other.encoder.state_dict()[name]), name


def test_weights_that_do_not_fit_are_named_and_change_nothing():
    model = build(MICRO, num_classes=10, in_chans=1)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"head.weight has shape \(5, 64\), the model \(10, 64\)"):
        load_weights(model, {"stem.0.bias": torch.ones(16), "head.weight": torch.zeros(5, 64)})
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    report = load_weights(model, {"stem.0.bias": torch.ones(16), "stranger": torch.zeros(1)})
    assert report.unexpected == ["stranger"]
    assert "head.weight" in report.missing
    assert "downsample_layers.0.0.bias" not in report.missing


def test_bad_requests_get_a_sentence():
    with pytest.raises(ValueError, match="Unknown size 'giant'"):
        build("giant")
    with pytest.raises(ValueError, match="version must be 1 or 2"):
        build("atto", version=3)


# ----------------------------------------------------------------------------------------------- masking


@pytest.mark.parametrize("options", [{}, {"grn": False}, {"grn": False, "layer_scale": 1.0}])
def test_masked_encoder_equals_one_that_knows_only_visible_sites(options):
    size = Size((1, 1), (4, 6), stem=2)
    model = _wild(FCMAE(size, in_chans=2, decoder_dim=8, **options).double())
    images, mask = torch.randn(3, 2, 16, 16, dtype=torch.float64), random_mask(3, 16, 0.6)
    with torch.no_grad():
        slow = torch.stack([sparse_encode(model.encoder, i, m.view(4, 4)) for i, m in zip(images, mask, strict=True)])
        for encode in (model.encode, model.encode_masked):
            torch.testing.assert_close(encode(images, mask).permute(0, 2, 3, 1), slow, rtol=1e-10, atol=1e-10)


def test_nothing_leaks_and_an_empty_mask_is_the_plain_network():
    model = _wild(FCMAE("micro", in_chans=1, decoder_dim=16).double())
    images, mask = torch.randn(4, 1, 32, 32, dtype=torch.float64), random_mask(4, 16, 0.6)
    changed = torch.where(mask.view(4, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3), 9.0, images)
    assert torch.equal(model.encode(images, mask), model.encode(changed, mask))
    none = torch.zeros_like(mask)
    plain = model.encoder.features(images).permute(0, 3, 1, 2)
    torch.testing.assert_close(model.encode(images, none), plain, rtol=1e-10, atol=1e-10)


def test_fast_path_gradients_equal_the_plain_path():
    model = _wild(FCMAE("micro", in_chans=1, decoder_dim=16).double(), scale=0.1)
    images, mask = torch.randn(4, 1, 32, 32, dtype=torch.float64), random_mask(4, 16, 0.6)
    gradients = []
    for encode in (model.encode, model.encode_masked):
        model.zero_grad()
        encode(images, mask).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.encoder.parameters()])
    for fast, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-8, atol=1e-8)


def test_ragged_masks_take_the_plain_path():
    model = _wild(FCMAE("micro", in_chans=1, decoder_dim=16).double())
    images = torch.randn(2, 1, 32, 32, dtype=torch.float64)
    mask = torch.ones(2, 16, dtype=torch.bool)
    mask[0, :3] = mask[1, :5] = False
    alone = torch.cat([model.encode(images[i : i + 1], mask[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(model.encode(images, mask), alone, rtol=1e-10, atol=1e-10)


def test_any_multiple_of_the_patch_works():
    model = FCMAE("micro", in_chans=1, decoder_dim=16)
    loss, prediction, mask = model(torch.randn(2, 1, 48, 48))
    assert (loss.ndim, prediction.shape, mask.shape) == (0, (2, 36, 64), (2, 36))
    with pytest.raises(ValueError, match="do not divide into patches of 8"):
        patchify(torch.zeros(1, 1, 30, 30), 8)


@pytest.mark.parametrize(("tokens", "kept"), [(49, 19), (16, 6), (64, 25)])
def test_mask_counts(tokens, kept):
    assert (~random_mask(50, tokens, 0.6)).sum(1).tolist() == [kept] * 50
    assert (~random_mask(1, tokens, 0.0)).all()
    with pytest.raises(ValueError, match="leaves 0 of"):
        random_mask(1, tokens, 1.0)


def test_masks_are_fair():
    counts = random_mask(10_000, 16, 0.6, torch.Generator().manual_seed(0)).sum(0).numpy()
    # Places of one mask are not independent, which only makes the statistic smaller than chi-squared.
    assert stats.chisquare(counts).pvalue > 1e-3


def test_patches_come_row_by_row_with_colour_last():
    images = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
    patches = patchify(images, 2)
    assert torch.equal(patches[0, 1].view(2, 2, 3), images[0, :, 0:2, 2:4].permute(1, 2, 0))
    assert torch.equal(unpatchify(patches, 2, 3), images)


def test_loss_by_hand():
    model = FCMAE("micro", in_chans=1, decoder_dim=16).double()
    images, mask = torch.rand(2, 1, 32, 32, dtype=torch.float64), random_mask(2, 16, 0.6)
    with torch.no_grad():
        loss, prediction, _ = model(images, mask)
    target = normalise_patches(patchify(images, 8))
    by_hand = [((prediction[n, t] - target[n, t]) ** 2).mean() for n in range(2) for t in range(16) if mask[n, t]]
    assert float(loss) == pytest.approx(float(torch.stack(by_hand).mean()), rel=1e-12)
    torch.testing.assert_close(target.var(-1), torch.ones(2, 16, dtype=torch.float64), rtol=1e-3, atol=0)


def test_dropped_paths_leave_the_expectation():
    torch.manual_seed(0)
    block = Block(4, drop_path=0.5).train()
    nn.init.normal_(block.pwconv2.weight)
    x = torch.randn(1, 3, 3, 4).expand(4000, 3, 3, 4)
    with torch.no_grad():
        mean = (block(x) - x).mean(0)
        branch = (block.eval()(x) - x)[0]
    torch.testing.assert_close(mean, branch, rtol=0.1, atol=0.02)


# --------------------------------------------------------------------------------------------- diversity


def test_diversity_of_known_channels():
    same = torch.ones(1, 3, 3, 5)
    orthogonal = torch.eye(9).reshape(1, 3, 3, 9)
    antipodal = torch.cat([same, -same], -1)
    assert float(feature_diversity(same)) == pytest.approx(0, abs=1e-6)
    assert float(feature_diversity(orthogonal)) == pytest.approx((1 - 1 / 9) / 2)
    assert float(feature_diversity(antipodal)) == pytest.approx(0.5)


def test_dead_channels_are_counted():
    x = torch.randn(3, 4, 4, 10)
    x[..., :4] = 0
    assert dead_channels(x).tolist() == pytest.approx([0.4] * 3)


def test_selectivity_of_known_channels():
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    activations = torch.stack([(labels == 1).float(), torch.ones(6), labels.float()], 1)
    assert class_selectivity(activations, labels).tolist() == pytest.approx([1.0, 0.0, (2 - 0.5) / 2.5], abs=1e-6)
    maps = activations[:, None, None].expand(6, 2, 2, 3)
    torch.testing.assert_close(class_selectivity(maps, labels), class_selectivity(activations, labels))


def _seeded(**options) -> FCMAE:
    torch.manual_seed(0)
    return FCMAE("micro", in_chans=1, decoder_dim=16, **options)


@pytest.mark.parametrize("shape", [(2, 1, 64, 32), (2, 1, 32, 64), (2, 1, 36, 36), (1, 32, 32)])
def test_pictures_that_are_not_square_are_refused(shape):
    # 8 x 4 patches have as many as no square: without the refusal one picture's pixels enter the other's code.
    model, images = _seeded(), torch.rand(shape)
    mask = torch.zeros(shape[0], 16, dtype=torch.bool)
    for call in (
        model,
        lambda x: model(x, mask),
        lambda x: model.encode(x, mask),
        lambda x: model.encode_masked(x, mask),
    ):
        with pytest.raises(ValueError, match=r"square, a multiple of 8 pixels a side; got \("):
            call(images)


@pytest.mark.parametrize("leaky", [False, True])
def test_masks_of_another_shape_or_kind_are_refused(leaky):
    model, images = _seeded(leaky=leaky), torch.rand(2, 1, 32, 32)
    for mask in (torch.zeros(2, 64, dtype=torch.bool), torch.zeros(1, 16, dtype=torch.bool), torch.zeros(2, 16)):
        for call in (model.encode, model.encode_masked):
            with pytest.raises(ValueError, match=r"bool of shape \(2, 16\), True = hidden"):
                call(images, mask)


def test_a_loss_over_nothing_is_refused():
    for ratio in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="mask_ratio must lie in"):
            FCMAE("micro", in_chans=1, mask_ratio=ratio)
    with pytest.raises(ValueError, match="hides nothing"):
        _seeded()(torch.rand(2, 1, 32, 32), torch.zeros(2, 16, dtype=torch.bool))


def test_a_border_is_not_cut_off_silently():
    model = build("micro", in_chans=1, num_classes=3)
    assert model(torch.rand(2, 1, 64, 32)).shape == (2, 3)  # rectangles are fine for a classifier
    with pytest.raises(ValueError, match=r"multiples of 8 pixels; got \(2, 1, 33, 32\)"):
        model(torch.rand(2, 1, 33, 32))


def test_patches_that_fill_no_square_are_refused():
    with pytest.raises(ValueError, match="8 patches fill no square"):
        unpatchify(torch.rand(1, 8, 16), 4, 1)


def test_selectivity_needs_two_classes():
    activations = torch.tensor([[1.0, 0.0], [3.0, 2.0]])
    assert class_selectivity(activations, torch.tensor([0, 1]), eps=0).tolist() == [0.5, 1.0]
    with pytest.raises(ValueError, match="two classes or more"):
        class_selectivity(activations, torch.tensor([1, 1]))
