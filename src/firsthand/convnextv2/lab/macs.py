"""How much arithmetic a network takes: multiply-adds of convolutions and linear layers, counted on paper."""

from __future__ import annotations

from firsthand.convnextv2.model import Size, size_of


def _block(width: int, sites: float, pointwise_sites: float) -> float:
    """Depthwise 7 x 7 on `sites`, two linear layers width -> 4 width -> width on `pointwise_sites`."""
    return 49 * width * sites + 8 * width**2 * pointwise_sites


def encoder_macs(size: str | Size, image: int, *, visible: float = 1.0, in_chans: int = 3) -> float:
    """Multiply-adds of the stages for one square image of `image` pixels a side.

    Args:
        size: name or Size.
        image: pixels a side.
        visible: share of sites on which the layers that do not mix sites run; the depthwise convolution runs on all.
        in_chans: channels of the image.
    """
    shape = size_of(size)
    total, before, side = 0.0, in_chans, image
    for stage, (depth, width) in enumerate(zip(shape.depths, shape.dims, strict=True)):
        kernel = shape.stem if stage == 0 else 2
        side //= kernel
        sites = side**2
        total += kernel**2 * before * width * sites * visible + depth * _block(width, sites, sites * visible)
        before = width
    return total


def classifier_macs(size: str | Size, image: int, *, num_classes: int = 1000, in_chans: int = 3) -> float:
    """Multiply-adds of the whole classifier, as the paper's tables count them."""
    return encoder_macs(size, image, in_chans=in_chans) + size_of(size).dims[-1] * num_classes


def pretraining_macs(
    size: str | Size,
    image: int,
    *,
    visible: float,
    in_chans: int = 3,
    decoder_dim: int = 512,
    decoder_depth: int = 1,
) -> float:
    """Multiply-adds of one masked forward pass; the decoder sees all sites.

    Args:
        size, image, visible, in_chans: as `encoder_macs`.
        decoder_dim, decoder_depth: of the decoder.
    """
    shape = size_of(size)
    sites = (image // shape.patch) ** 2
    decoder = decoder_depth * _block(decoder_dim, sites, sites)
    ends = (shape.dims[-1] + shape.patch**2 * in_chans) * decoder_dim * sites
    return encoder_macs(size, image, visible=visible, in_chans=in_chans) + decoder + ends
