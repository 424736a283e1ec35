"""The checkers of the chapter's exercises: truths are computed, and so are the usual mistakes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from firsthand.dgfont.deform import deform_conv2d
from firsthand.dgfont.lab.runs import slanted
from firsthand.dgfont.losses import info_nce
from firsthand.dgfont.networks import Discriminator
from firsthand.kit.page.exercises import Exercise, Wrong, call, compare, need_function, need_number, need_tensor


def _read(answer: Any) -> str:
    function = need_function(answer, 3)
    x = torch.from_numpy(np.random.default_rng(2).normal(size=(6, 7)))
    for down, right in ((2.0, 3.0), (2.25, 3.5), (0.5, 6.0), (-0.5, 2.25), (5.75, 6.5), (9.0, 1.0)):
        offset = torch.tensor([down, right], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 6, 7)
        truth = float(deform_conv2d(x[None, None], offset, torch.ones(1, 1, 1, 1, dtype=x.dtype))[0, 0, 0, 0])
        value = need_number(call(function, x.numpy().copy(), down, right))
        slips = {}
        if down % 1 or right % 1:
            corner = x[min(max(int(down), 0), 5), min(max(int(right), 0), 6)]
            sentence = "That is the nearest pixel above and to the left; between pixels all four neighbours count."
            slips[sentence] = float(corner)
        if 0 <= down <= 5 and 0 <= right <= 6:
            otherwise = f"At ({down:g}, {right:g}) it is {truth:.4f}, not {value:.4f}."
        else:
            otherwise = f"At ({down:g}, {right:g}) each corner outside counts as nought, and those inside still count."
        compare(value, truth, slips, otherwise, within=1e-6)
    return "A tap that stands between pixels reads all four, so its gradient tells it which way to go."


def _slant(answer: Any) -> str:
    function = need_function(answer, 2)
    glyph = torch.zeros(1, 1, 16, 16)
    glyph[..., 3:13, 7:9] = 1
    for shear in (0.25, -0.5, 0.1):
        found = need_tensor(call(function, shear, 16), torch.Size((16, 16))).float()
        offset = torch.stack([torch.zeros(16, 16), found])[None]
        moved = deform_conv2d(glyph, offset, torch.ones(1, 1, 1, 1))
        truth = 1 - slanted(1 - glyph, shear)
        mirror = 1 - slanted(1 - glyph, -shear)
        if torch.allclose(moved, truth, atol=1e-4):
            continue
        if torch.allclose(moved, mirror, atol=1e-4):
            raise Wrong("The stroke leans the other way: an offset says where to read, and ink moves against it.")
        if torch.allclose(found, found[:1].expand_as(found)):
            raise Wrong("All rows move alike: that shifts. A slant moves every row by its own amount.")
        if float(found[7:9].abs().max()) > abs(shear):
            raise Wrong("The middle of the glyph, between rows 7 and 8, should stay where it is.")
        raise Wrong("The stroke does not lean by so many pixels a row.")
    return "Reading further left in upper rows pushes their ink to the right: italics are a ramp of offsets."


def _sharing(answer: Any) -> str:
    function = need_function(answer, 1)
    for size in (32, 48, 64, 80, 96, 112, 128):
        value = need_number(call(function, size))
        with torch.device("meta"):
            net = Discriminator(size=size, fonts=2, channels=1, width=2, most=2, head="official")
            side = net.raw(torch.zeros(1, 1, size, size)).shape[-1]
        before = size // 2 ** (int(math.log2(size)) - 2)
        slips = {
            "That is the side of the map; it is flattened, so all its places count.": side,
            "That is the side before the last convolution, which is four wide and has no padding.": before,
        }
        otherwise = "halve as often as the network does, then take the last convolution."
        compare(value, side**2, slips, f"At {size} pixels it is not {value:g}: {otherwise}", within=0)
    return "Only powers of two are safe: at 80 pixels a font competes with three others for one channel."


def _price(answer: Any) -> str:
    function = need_function(answer, 2)
    for length, fonts in ((1024, 32), (256, 8), (100, 50)):
        same = length // fonts
        own, other = torch.tensor([[1.0, 0.0]]), torch.tensor([-1.0, 0.0])
        queue = torch.cat([own.expand(same, 2), other.expand(length - same, 2)])
        truth = float(info_nce(own, own, queue))
        value = need_number(call(function, length, fonts))
        slips = {
            "The positive itself stands in the denominator too.": math.log(same),
            "That is pure chance; entries of other fonts cost a perfect encoder nothing.": math.log(length + 1),
            "So many entries are false negatives; the loss is the logarithm of a share.": same,
        }
        otherwise = f"With {length} entries and {fonts} fonts it is {truth:.3f} nats, not {value:.3f}."
        compare(value, truth, slips, otherwise, within=1e-3)
    return "And its gradient pulls glyphs of one font apart to pay less: exactly what should not happen."


def _mean(answer: Any) -> str:
    function = need_function(answer, 1)
    rng = np.random.default_rng(6)
    for fonts in (3, 5, 9):
        glyphs = rng.random((fonts, 4, 6, 6))
        mean = glyphs.mean(0)
        away = ((glyphs - mean) ** 2).mean()
        pairs = [((glyphs[i] - glyphs[j]) ** 2).mean() for i in range(fonts) for j in range(fonts) if i != j]
        truth = float(np.mean(pairs) / away)
        value = need_number(call(function, fonts))
        slips = {
            "Two is the limit of many fonts; here the mean contains the font itself.": 2.0,
            "The other way round: pairs over distance to the mean.": 1 / truth,
        }
        otherwise = f"For {fonts} fonts, whatever their glyphs, it is {truth:.4f}."
        compare(value, truth, slips, otherwise, within=1e-6)
    return "Any real font is about twice as far, in squared error, as the grey mean of all: that is why grey wins."


def _bias(answer: Any) -> str:
    function = need_function(answer, 2)
    for fan_in, kernel in ((1, 3), (128, 3), (3, 7)):
        value = need_number(call(function, fan_in, kernel))
        truth = math.sqrt(2 / (fan_in * kernel**2))
        slips = {
            "That is the variance; the deviation is its root.": truth**2,
            "The fan-in counts all taps of all channels.": math.sqrt(2 / fan_in),
            "Kaiming's factor is two, for the half that a ReLU removes.": truth / math.sqrt(2),
        }
        otherwise = f"With {fan_in} channels and a kernel of {kernel} it is {truth:.4f}, not {value:.4f}."
        compare(value, truth, slips, otherwise, within=1e-6)
    return "With 128 channels and three by three taps that is 0.042, as measured in the released generator."


def _adain(answer: Any) -> str:
    function = need_function(answer, 3)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        h = torch.randn(3, 4, 5, 5, generator=generator) * 2 + 1
        weight, bias = (torch.randn(3, 4, generator=generator) for _ in range(2))
        normed = F.instance_norm(h)
        scale, shift = weight[..., None, None], bias[..., None, None]
        together = F.batch_norm(h, None, None, training=True)
        found = need_tensor(call(function, h.clone(), weight.clone(), bias.clone()), h.shape)
        slips = {
            "Here the weight is used as it is, without a one added.": (1 + scale) * normed + shift,
            "Weight and bias have changed places.": shift * normed + scale,
            "Mean and spread are of each picture and channel, not of the batch.": scale * together + shift,
        }  # fmt: skip
        compare(found, scale * normed + shift, slips, "That is not adaptive instance normalisation.")
    return "Two numbers a channel: that is all that this generator knows of a style."


EXERCISES: dict[int, Exercise] = {
    1: Exercise("Between pixels", 20, 2, "Four corners, each weighted by how near it is.", _read),
    2: Exercise("Italics", 15, 2, "An offset says where to read.", _slant),
    3: Exercise("Four fonts, one judge", 15, 2, "Follow the side of the map to the end.", _sharing),
    4: Exercise("False negatives", 15, 2, "How many entries look like the positive?", _price),
    5: Exercise("Why grey wins", 20, 3, "E (a - b)^2 is twice a variance.", _mean),
    6: Exercise("A start that is overwritten", 10, 1, "Kaiming: two over the fan-in.", _bias),
    7: Exercise(
        "A style in two numbers a channel",
        10,
        1,
        "Normalise each channel of each picture, then scale and shift.",
        _adain,
    ),
}
