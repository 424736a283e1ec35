"""ConvNeXt V2: masked autoencoding for convolutional networks, and channels that compete.

Paper: S. Woo, S. Debnath, R. Hu, X. Chen, Z. Liu, I. S. Kweon, S. Xie, "ConvNeXt V2: Co-designing and Scaling
ConvNets with Masked Autoencoders", CVPR 2023, arXiv 2301.00808.

In this folder, in reading order: `layers` (GRN, the block, visible sites), `model` (the network and its sizes),
`fcmae` (hiding, encoding, filling in), `recipes` (pre-training, probe, fine-tuning), `diversity` (how alike channels
are). `lab` is how it is measured, `page` what its chapter draws and asks.

What differs from the paper: layers that do not mix sites run on gathered visible sites instead of a sparse
convolution library; GRN's norm is taken image by image in pre-training too (the released sparse code takes it over
the batch); weights start with a deviation of 0.02 everywhere (the released pre-training code overwrites that); GRN's
parameters and the mask token do not decay; the book's own net has three stages and a stem of 2 for pictures of 32
pixels.
"""

from typing import Any

from firsthand.convnextv2.diversity import class_selectivity, dead_channels, diversity_by_block, feature_diversity
from firsthand.convnextv2.fcmae import FCMAE, normalise_patches, patchify, random_mask, unpatchify
from firsthand.convnextv2.layers import GRN, Block, Sites, depthwise_conv
from firsthand.convnextv2.model import MICRO, SIZES, ConvNeXtV2, Report, Size, build, load_weights
from firsthand.convnextv2.recipes import classifier_from, embed, fine_tune, layer_scales, pretrain
from firsthand.kit.lazy import from_lab

__all__ = [
    "CLAIMS", "FCMAE", "GRN", "MICRO", "PRESETS", "SIZES", "Block", "Config", "ConvNeXtV2", "Report", "Sites", "Size",
    "build", "class_selectivity", "classifier_from", "dead_channels", "depthwise_conv", "diversity_by_block", "embed",
    "feature_diversity", "fine_tune", "layer_scales", "load_weights", "normalise_patches", "patchify", "pretrain",
    "random_mask", "run", "unpatchify",
]  # fmt: skip

_LAB = {
    "claims": "CLAIMS",
    "config": "PRESETS Config",
    "pipeline": "run",
}


def __getattr__(name: str) -> Any:
    return from_lab(__name__, _LAB, name)
