"""DMJD: several disjoint views of every image, one encoder, a branch for hidden and a branch for visible tokens.

B images, K views, L tokens of which V are visible and M hidden, D numbers a target.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.convnextv2 import patchify
from firsthand.convnextv2.fcmae import normalise_patches
from firsthand.dmjd.encoders import Encoder, Size, size_of
from firsthand.dmjd.hog import hog_targets
from firsthand.dmjd.layers import AttentionBlock, initialise, positions, take_tokens
from firsthand.dmjd.masks import counts, disjoint_masks, first_visible, independent_masks

PAIRINGS = ("aligned", "released")
MASKINGS = ("disjoint", "independent")
TARGETS = ("hog", "pixels")


def hidden_loss(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over hidden tokens, the first term of equation (1).

    Args:
        prediction, target: (N, L, D).
        mask: (N, L) bool, True = hidden.

    Raises:
        ValueError: a mask that hides nothing.
    """
    if mask.device.type == "cpu" and not mask.any():  # a GPU would have to be waited for
        raise ValueError("The mask hides nothing, so there is nothing to compare.")
    error = (prediction - target).square().mean(-1)
    return (error * mask).sum() / mask.sum()


def visible_loss(
    prediction: Tensor, target: Tensor, visible_ids: Tensor, *, beta: float = 2.0, pairing: str = "aligned"
) -> Tensor:
    """Mean smooth L1 error over visible tokens: d^2 / (2 beta) below beta, the magnitude of d minus beta / 2 beyond.

    The second term of equation (1).

    Args:
        prediction: (N, V, D), in the order of `visible_ids`.
        target: (N, L, D), in raster order.
        visible_ids: (N, V) indices of the visible tokens.
        beta: where the square becomes a line.
        pairing: "aligned" compares each prediction with the target of its own token; "released" takes targets in
            raster order, as the released code does, whatever the order of the predictions. With random masks that
            order is chance; with block masks it goes corner by corner, see `first_visible`.

    Raises:
        ValueError: an unknown pairing.
    """
    if pairing not in PAIRINGS:
        raise ValueError(f"pairing must be one of {', '.join(PAIRINGS)}; got {pairing!r}.")
    ids = visible_ids if pairing == "aligned" else visible_ids.sort(-1).values
    return F.smooth_l1_loss(prediction, take_tokens(target, ids).to(prediction.dtype), beta=beta)


class Decoder(nn.Module):
    """The branch for hidden tokens: mask tokens fill the gaps, a few blocks, one linear layer to the target.

    Args:
        size: of the network.
        depth: blocks; the release has 8, and a variant of 2.
        outputs: D.
    """

    def __init__(self, size: Size, depth: int, outputs: int) -> None:
        super().__init__()
        width = size.decoder_dim
        self.embed = nn.Linear(size.width, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.position = nn.Parameter(positions(size.grid, width)[None], requires_grad=False)
        self.blocks = nn.ModuleList(AttentionBlock(width, size.decoder_heads, size.decoder_ratio) for _ in range(depth))
        self.norm, self.pred = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, outputs)
        self.apply(initialise)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, latents: Tensor, ids: Tensor) -> Tensor:
        """Latents (N, V, d) of tokens ids (N, V) -> predictions (N, L, D) for all tokens, raster order."""
        seen = self.embed(latents)
        x = self.mask_token.to(seen.dtype).expand(len(seen), self.position.shape[1], -1)
        x = x.scatter(1, ids.unsqueeze(-1).expand_as(seen), seen) + self.position
        for block in self.blocks:
            x = block(x)
        return self.pred(self.norm(x))


class VisibleBranch(nn.Sequential):
    """The branch for visible tokens: three linear layers, each normalised, and one to the target.

    Args:
        size: of the network.
        outputs: D.
    """

    def __init__(self, size: Size, outputs: int) -> None:
        width = size.visible_dim
        super().__init__(
            nn.Linear(size.width, width), nn.LayerNorm(width, eps=1e-6), nn.GELU(),
            nn.Linear(width, width), nn.LayerNorm(width, eps=1e-6), nn.GELU(),
            nn.Linear(width, width), nn.LayerNorm(width, eps=1e-6, elementwise_affine=False),
            nn.Linear(width, outputs),
        )  # fmt: skip
        self.apply(initialise)


class DMJD(nn.Module):
    """Disjoint masking with joint distillation; every ablation of the chapter is a switch.

    Args:
        size: a name of SIZES, or a Size.
        decoder_depth: blocks of the decoder.
        corruption, prediction, views, block: as `disjoint_masks`.
        masking: "disjoint" or "independent" views.
        target: "hog" or "pixels" (normalised by token, as masked autoencoders do).
        visible_weight: theta, of the visible branch's loss; 0 leaves the branch out.
        beta, pairing: as `visible_loss`.
    """

    def __init__(
        self,
        size: str | Size,
        *,
        decoder_depth: int = 8,
        corruption: float = 0.6,
        prediction: float = 1.0,
        views: int = 2,
        block: int = 2,
        masking: str = "disjoint",
        target: str = "hog",
        visible_weight: float = 1.0,
        beta: float = 2.0,
        pairing: str = "aligned",
    ) -> None:
        super().__init__()
        for name, value, known in (("masking", masking, MASKINGS), ("target", target, TARGETS)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}.")
        shape = self.size = size_of(size)
        self.corruption, self.prediction, self.views, self.block = corruption, prediction, views, block
        self.masking, self.target, self.visible_weight = masking, target, visible_weight
        self.beta, self.pairing = beta, pairing
        covered = corruption if masking == "independent" else prediction
        wanted = counts(shape.grid, corruption, prediction=covered, views=views, block=block)
        self.visible_tokens = wanted.visible * block**2
        outputs = shape.target if target == "hog" else shape.token**2 * shape.in_chans
        self.encoder = Encoder(shape)
        self.decoder = Decoder(shape, decoder_depth, outputs)
        self.visible_branch = VisibleBranch(shape, outputs) if visible_weight else None

    def draw_masks(
        self, batch: int, generator: torch.Generator | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """Masks of a batch as the settings have them, (views, B, L) bool."""
        options: dict[str, Any] = {
            "views": self.views, "block": self.block, "generator": generator, "device": device
        }  # fmt: skip
        if self.masking == "independent":
            return independent_masks(batch, self.size.grid, self.corruption, **options)
        return disjoint_masks(batch, self.size.grid, self.corruption, prediction=self.prediction, **options)

    def draw_order(self, mask: Tensor, count: int | None = None, generator: torch.Generator | None = None) -> Tensor:
        """The order in which visible tokens are encoded, (…, n_v); `count` where it is not the settings' own."""
        count = self.visible_tokens if count is None else count
        return first_visible(mask, count, block=self.block, generator=generator)

    def targets(self, images: Tensor) -> Tensor:
        """(B, C, H, W) bytes -> (B, L, D)."""
        if self.target == "hog":
            return hog_targets(images, cell=self.size.cell, token=self.size.token)
        return normalise_patches(patchify(images.float() / 255, self.size.token))

    def encode(self, images: Tensor, visible_ids: Tensor, mask: Tensor) -> Tensor:
        """Latents of visible tokens.

        Args:
            images: (N, C, H, W) bytes, or floats, which are taken as standardised.
            visible_ids: (N, V), or (K N, V) for several views, all images of view 1 first.
            mask: (N, L) or (K N, L) bool, True = hidden.

        Returns:
            (N, V, d), or (K N, V, d), in the order of visible_ids.
        """
        return self.encoder(images, visible_ids, mask)

    def forward(
        self,
        images: Tensor,
        masks: Tensor | None = None,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, equation (1).

        Args:
            images: (B, C, H, W) bytes, or floats in [0, 1], which are rounded to bytes: HOG is taken of bytes.
            masks: (views, B, L) bool; drawn where None.
            generator: of masks and of the order of tokens.
            ids: (K B, V) order of the visible tokens, all images of view 1 first; drawn where None.

        Returns:
            The loss L = L_hidden + theta L_visible, a scalar, and its parts: "hidden", "visible" (losses), "masks"
            (K, B, L), "visible_ids" (K B, V), "prediction" (K B, L, D) and "visible_prediction" (K B, V, D), all images
            of view 1 first.

        Raises:
            ValueError: masks of another shape, or that leave another number of tokens visible; images of another size,
                or in whole numbers that are not bytes.
        """
        if not (images.dtype == torch.uint8 or images.is_floating_point()):
            raise ValueError(f"Images must be bytes (uint8), or floats in [0, 1]; got {images.dtype}.")
        if images.shape[2:] != (self.size.image, self.size.image):
            raise ValueError(f"Images of {self.size.image} pixels a side are needed; got {tuple(images.shape)}.")
        if masks is not None and masks.shape[-1:] != (self.size.grid**2,):
            raise ValueError(f"masks must have {self.size.grid**2} tokens an image; got shape {tuple(masks.shape)}.")
        if images.dtype != torch.uint8:
            images = (255 * images.clamp(0, 1)).round().to(torch.uint8)
        where = images.device if generator is None else None
        if masks is None:
            masks, count = self.draw_masks(len(images), generator, where).to(images.device), self.visible_tokens
        else:
            count = _same_count(masks, len(images))
        mask = masks.flatten(0, 1)
        if ids is None:
            ids = self.draw_order(mask if generator is None else mask.to(generator.device), count, generator)
        ids = ids.to(images.device)
        latents = self.encode(images, ids, mask)
        target = self.targets(images).repeat(len(masks), 1, 1)
        prediction = self.decoder(latents, ids)
        loss = hidden = hidden_loss(_at_least_single(prediction), target, mask)
        parts = {"hidden": hidden, "masks": masks, "visible_ids": ids, "prediction": prediction}
        if self.visible_branch is not None:
            guess = self.visible_branch(latents)
            visible = visible_loss(_at_least_single(guess), target, ids, beta=self.beta, pairing=self.pairing)
            loss = hidden + self.visible_weight * visible
            parts |= {"visible": visible, "visible_prediction": guess}
        return loss, parts


def _at_least_single(x: Tensor) -> Tensor:
    """Half precision becomes single, double stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _same_count(masks: Tensor, batch: int) -> int:
    """Visible tokens of every view, checked."""
    if masks.ndim != 3 or masks.shape[1] != batch:
        raise ValueError(f"masks must have shape (views, {batch}, tokens); got {tuple(masks.shape)}.")
    visible = (~masks).sum(-1)
    if (visible != visible[0, 0]).any():
        raise ValueError("Every view of every image must leave the same number of tokens visible.")
    return int(visible[0, 0])


class Classifier(nn.Module):
    """The encoder with what fine-tuning adds: learnt positions, the mean over tokens, a norm and a linear layer.

    The fusion of early stages and the last norm of pre-training are not used, as in the release.

    Args:
        size: a name of SIZES, or a Size.
        num_classes: outputs.
        drop_path: of the last block.
    """

    def __init__(self, size: str | Size, *, num_classes: int = 1000, drop_path: float = 0.0) -> None:
        super().__init__()
        self.encoder = Encoder(size, pretraining=False, learnt_positions=True, drop_path=drop_path)
        self.norm = nn.LayerNorm(self.encoder.size.width, eps=1e-6)
        self.head = nn.Linear(self.encoder.size.width, num_classes)
        nn.init.trunc_normal_(self.head.weight, std=2e-5)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) bytes, or standardised floats -> logits (N, classes)."""
        return self.head(self.norm(self.encoder(images).mean(1)))

    def take(self, encoder: Encoder) -> Classifier:
        """Copy a pre-trained encoder's weights and return self."""
        found = self.encoder.load_state_dict(encoder.state_dict(), strict=False)
        foreign = [n for n in (*found.missing_keys, *found.unexpected_keys) if not n.startswith(("fusion.", "norm."))]
        if foreign:
            raise ValueError(f"The encoder does not fit the classifier: {', '.join(foreign)}.")
        return self


def build(size: str | Size, *, decoder_depth: int = 8, **switches: Any) -> DMJD:
    """A DMJD by size: "tiny-vit", "tiny-convvit", "base", "large"; `switches` as `DMJD`."""
    return DMJD(size, decoder_depth=decoder_depth, **switches)


def classifier(size: str | Size, *, num_classes: int = 1000, drop_path: float = 0.0) -> Classifier:
    """A classifier to fine-tune, by size."""
    return Classifier(size, num_classes=num_classes, drop_path=drop_path)
