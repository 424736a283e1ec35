"""The deformable convolution against torchvision's, and the networks against the released ones' sizes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torchvision.ops import deform_conv2d as peer

from firsthand.dgfont.deform import DeformConv, Skip, deform_conv2d
from firsthand.dgfont.networks import COMPACT, Discriminator, Generator, StyleEncoder, adain


def _count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@given(
    st.integers(0, 10**6), st.sampled_from([1, 3, 4]), st.sampled_from([1, 2]), st.integers(0, 2), st.integers(1, 2),
    st.booleans(), st.booleans(),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_values_and_gradients_are_torchvisions(seed, kernel, stride, padding, dilation, with_mask, with_bias) -> None:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, weight = draw(2, 3, 9, 8), draw(4, 3, kernel, kernel)
    h, w = F.conv2d(x, weight, None, stride, padding, dilation).shape[2:]
    offset = 2 * draw(2, 2 * kernel**2, h, w) + 0.013  # a gradient jumps where a tap sits on a pixel
    mask = draw(2, kernel**2, h, w).sigmoid() if with_mask else None
    bias = draw(4) if with_bias else None
    inputs = [v for v in (x, offset, weight, bias, mask) if v is not None]
    results = []
    for function in (deform_conv2d, peer):
        for v in inputs:
            v.requires_grad_()
            v.grad = None
        out = function(x, offset, weight, bias, stride, padding, dilation, mask)
        (out * torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out)).sum().backward()
        results.append([out.detach(), *(v.grad for v in inputs)])
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-9)


def test_without_moves_it_is_a_convolution_and_with_equal_moves_a_shifted_one() -> None:
    x, weight = torch.randn(1, 2, 12, 12), torch.randn(3, 2, 3, 3)
    still = torch.zeros(1, 18, 12, 12)
    assert torch.allclose(deform_conv2d(x, still, weight, padding=1), F.conv2d(x, weight, padding=1), atol=1e-5)
    right = still.clone()
    right[:, 1::2] = 1  # every tap reads one pixel to the right: the picture moves left
    moved = deform_conv2d(x, right, weight, padding=1)
    assert torch.allclose(moved[..., :-1], F.conv2d(x, weight, padding=1)[..., 1:], atol=1e-5)


def test_shapes_that_do_not_fit_are_named() -> None:
    x, weight = torch.zeros(1, 2, 8, 8), torch.zeros(3, 2, 3, 3)
    with pytest.raises(ValueError, match="9 taps and a result of 8 by 8"):
        deform_conv2d(x, torch.zeros(1, 18, 6, 6), weight, padding=1)
    with pytest.raises(ValueError, match="reads 2 channels, x has 4"):
        deform_conv2d(torch.zeros(1, 4, 8, 8), torch.zeros(1, 18, 8, 8), weight, padding=1)


def test_parts_of_the_released_generator_have_the_released_numbers_of_parameters() -> None:
    with torch.device("meta"):
        generator = Generator()
        assert _count(generator.encoder) == 3_194_844
        assert _count(generator.style) == 723_840


@pytest.mark.parametrize("fdsc", ["conv", "attn", "plain", "none"])
def test_a_generator_paints_what_it_is_given(fdsc: str) -> None:
    torch.manual_seed(0)
    net = Generator(size=32, width=4, channels=1, style_dim=8, fdsc=fdsc, first=3)
    pictures, offsets = net(torch.rand(3, 1, 32, 32) * 2 - 1, torch.randn(3, 8))
    assert pictures.shape == (3, 1, 32, 32)
    assert pictures.abs().max() <= 1
    assert [tuple(o.shape) for o in offsets] == ([] if fdsc == "none" else [(3, 18, 32, 32), (3, 18, 16, 16)])
    assert all(not o.any() for o in offsets)


def test_moves_start_at_nought_or_as_released() -> None:
    torch.manual_seed(0)
    content, code = torch.rand(4, 3, 80, 80) * 2 - 1, torch.randn(4, 128)
    with torch.no_grad():
        released = Generator(zero_offsets=False)(content, code)[1]
        ours = Generator()(content, code)[1]
    assert 0.2 < sum(float(o.abs().mean()) for o in released) / 2 < 1.2  # about 0.6 pixels
    assert all(float(o.abs().max()) == 0 for o in ours)


def test_attention_adds_a_little_at_the_start_and_learns_once_moves_do() -> None:
    torch.manual_seed(0)
    with_it, content, styled = Skip(8, "attn"), torch.randn(2, 8, 6, 6), torch.randn(2, 8, 6, 6)
    torch.nn.init.normal_(with_it.weight)
    added = with_it.attention(styled, content) - content
    with torch.no_grad():
        with_it.attention.strength.mul_(10)
    assert torch.allclose(with_it.attention(styled, content) - content, 10 * added, atol=1e-5)
    torch.nn.init.normal_(with_it.offsets.conv.weight, std=0.01)
    with_it(content, styled)[0].square().mean().backward()
    assert all(float(p.grad.abs().max()) > 0 for p in with_it.attention.parameters() if p.dim() != 1)


def test_one_level_of_skip_connections_can_be_left_out() -> None:
    for levels in ((1,), (2,)):
        net = Generator(size=32, width=4, channels=1, style_dim=8, levels=levels, first=3)
        pictures, offsets = net(torch.rand(1, 1, 32, 32), torch.randn(1, 8))
        assert pictures.shape == (1, 1, 32, 32)
        assert len(offsets) == 1


def test_adain_gives_each_channel_the_mean_and_spread_it_is_told() -> None:
    h = 3 + 2 * torch.randn(2, 4, 16, 16)
    weight, bias = torch.rand(2, 4) + 0.5, torch.randn(2, 4)
    found = adain(h, weight, bias)
    assert torch.allclose(found.mean((2, 3)), bias, atol=1e-4)
    assert torch.allclose(found.std((2, 3), correction=0), weight, atol=1e-3)


def test_styles_put_biases_before_weights() -> None:
    net = Generator(size=32, width=2, channels=1, style_dim=3, first=3, unit_scale=True)
    weight, bias = net.styles(torch.zeros(1, 3))[0]
    assert torch.equal(weight, torch.ones(1, 8))
    assert torch.equal(bias, torch.zeros(1, 8))


@pytest.mark.parametrize(("size", "side"), [(32, 1), (64, 1), (80, 2), (48, 3), (96, 3), (112, 4)])
def test_the_released_head_leaves_a_map_unless_the_size_is_a_power_of_two(size: int, side: int) -> None:
    with torch.device("meta"):
        judge = Discriminator(size=size, fonts=5, channels=1, width=4, most=8, head="official")
        assert judge.raw(torch.zeros(2, 1, size, size)).shape == (2, 5, side, side)


def test_at_80_pixels_four_fonts_share_a_channel_in_the_released_order() -> None:
    torch.manual_seed(0)
    judge = Discriminator(size=80, fonts=8, channels=1, width=2, most=4, head="official")
    images = torch.rand(1, 1, 80, 80).expand(8, -1, -1, -1)
    raw = judge.raw(images)[0]
    found = judge(images, torch.arange(8))
    for font in range(8):
        assert found[font] == raw[font // 4].flatten()[font % 4]
    judge.head = "pooled"
    assert torch.allclose(judge(images, torch.arange(8)), raw.mean((1, 2)), atol=1e-6)


def test_a_single_judge_does_not_look_at_the_font() -> None:
    judge = Discriminator(size=32, fonts=8, channels=1, width=4, most=8, head="single")
    images = torch.rand(2, 1, 32, 32)
    assert torch.equal(judge(images, torch.tensor([0, 1])), judge(images, torch.tensor([5, 7])))


def test_a_deformable_convolution_halves() -> None:
    assert DeformConv(2, 3, 4, 2, 1)(torch.rand(1, 2, 16, 16)).shape == (1, 3, 8, 8)


def test_a_style_encoder_of_any_plan() -> None:
    net = StyleEncoder(channels=1, style_dim=5, fonts=0, plan=COMPACT)
    assert net(torch.rand(4, 1, 32, 32)).shape == (4, 5)
    for wrong in ({"fdsc": "other"}, {"size": 30}):
        with pytest.raises(ValueError, match=r"choose one of|multiple of 4"):
            Generator(**wrong)
