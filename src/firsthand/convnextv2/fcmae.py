"""FCMAE: hide patches, encode only what is visible, let one block fill in the rest, compare pixels.

N images, P pixels a side of a patch, g x g patches of which V are visible. Masks are bool, True = hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from firsthand.convnextv2.layers import Block, Sites
from firsthand.convnextv2.model import Size, _initialise, build


def patchify(images: Tensor, patch: int) -> Tensor:
    """(N, C, H, W) -> (N, tokens, patch * patch * C), each patch in the order row, column, colour.

    Raises:
        ValueError: H or W is not a multiple of the patch.
    """
    count, channels, height, width = images.shape
    if height % patch or width % patch:
        raise ValueError(f"Images of {height} x {width} pixels do not divide into patches of {patch}.")
    x = images.view(count, channels, height // patch, patch, width // patch, patch)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(count, -1, patch * patch * channels)


def unpatchify(patches: Tensor, patch: int, channels: int) -> Tensor:
    """The inverse of `patchify` for square images: (N, tokens, patch * patch * C) -> (N, C, H, W).

    Raises:
        ValueError: tokens that fill no square.
    """
    grid = round(patches.shape[1] ** 0.5)
    if grid**2 != patches.shape[1]:
        raise ValueError(f"{patches.shape[1]} patches fill no square image.")
    x = patches.view(len(patches), grid, grid, patch, patch, channels)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(len(patches), channels, grid * patch, grid * patch)


def random_mask(
    batch: int,
    tokens: int,
    ratio: float,
    generator: torch.Generator | None = None,
    *,
    device: torch.device | str | None = None,
) -> Tensor:
    """One random mask an image; floor(tokens * (1 - ratio)) patches stay visible (section 3.1).

    Args:
        batch: N.
        tokens: patches an image.
        ratio: share to hide, in [0, 1).
        generator: the source of chance; the mask lies on its device.
        device: where the mask lies if no generator is given.

    Returns:
        (N, tokens) bool, True = hidden.

    Raises:
        ValueError: a ratio that leaves nothing visible, or a negative one.
    """
    keep = int(tokens * (1 - ratio) + 1e-9)
    if not 1 <= keep <= tokens:
        raise ValueError(f"A ratio of {ratio} leaves {keep} of {tokens} patches visible; at least 1 is needed.")
    device = device if generator is None else generator.device
    order = torch.rand(batch, tokens, generator=generator, device=device).argsort(dim=1)
    mask = torch.ones(batch, tokens, dtype=torch.bool, device=device)
    return mask.scatter(1, order[:, :keep], False)


def normalise_patches(patches: Tensor) -> Tensor:
    """Each patch minus its mean, over its (unbiased) standard deviation: the target of equation (2), section 3.1."""
    mean = patches.mean(-1, keepdim=True)
    variance = patches.var(-1, keepdim=True)
    return (patches - mean) / (variance + 1e-6).sqrt()


def _is_square(images: Tensor, patch: int) -> bool:
    return images.ndim == 4 and images.shape[2] == images.shape[3] and images.shape[3] % patch == 0


def _wrong_images(images: Tensor, patch: int) -> str:
    return f"Images must be (N, C, H, W), square, a multiple of {patch} pixels a side; got {tuple(images.shape)}."


def _fits(mask: Tensor, images: Tensor, patch: int) -> bool:
    return mask.dtype == torch.bool and mask.shape == (len(images), (images.shape[-1] // patch) ** 2)


def _wrong_mask(mask: Tensor, images: Tensor, patch: int) -> str:
    wanted = (len(images), (images.shape[-1] // patch) ** 2)
    return f"The mask must be bool of shape {wanted}, True = hidden; got {mask.dtype} of shape {tuple(mask.shape)}."


class FCMAE(nn.Module):
    """The fully convolutional masked autoencoder.

    Args:
        size: of the encoder: a name or a Size.
        in_chans: channels of the images.
        decoder_dim, decoder_depth: width and number of the decoder's blocks.
        mask_ratio: share of patches to hide, in (0, 1): where nothing is hidden the loss is a mean over nothing.
        norm_pix: compare with normalised patches.
        grn, layer_scale: of the encoder's blocks, as `build`; the decoder is always version 2.
        leaky: let the encoder see the whole image and hide patches from the decoder only (an ablation).
    """

    def __init__(
        self,
        size: str | Size,
        *,
        in_chans: int = 3,
        decoder_dim: int = 512,
        decoder_depth: int = 1,
        mask_ratio: float = 0.6,
        norm_pix: bool = True,
        grn: bool | None = None,
        layer_scale: float | None = None,
        leaky: bool = False,
    ) -> None:
        super().__init__()
        if not 0 < mask_ratio < 1:
            raise ValueError(f"mask_ratio must lie in (0, 1), so that something is hidden; got {mask_ratio}.")
        self.encoder = build(size, num_classes=0, in_chans=in_chans, grn=grn, layer_scale=layer_scale)
        self.patch = self.encoder.size.patch
        self.proj = nn.Linear(self.encoder.size.dims[-1], decoder_dim)
        self.mask_token = nn.Parameter(torch.zeros(decoder_dim))
        self.decoder = nn.ModuleList(Block(decoder_dim) for _ in range(decoder_depth))
        self.pred = nn.Linear(decoder_dim, self.patch**2 * in_chans)
        self.mask_ratio, self.norm_pix, self.leaky = mask_ratio, norm_pix, leaky
        for part in (self.proj, self.decoder, self.pred):
            part.apply(_initialise)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self, images: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruct hidden patches; the loss is equation (2).

        Args:
            images: (N, C, H, W), square, a multiple of the patch.
            mask: (N, g * g) bool, True = hidden; drawn where None.
            generator: for that draw.

        Returns:
            loss: mean squared error over the hidden patches, a scalar.
            prediction: (N, g * g, P * P * C).
            mask: the mask used.

        Raises:
            ValueError: images or a mask of another shape, or a mask that hides nothing.
        """
        if not _is_square(images, self.patch):
            raise ValueError(_wrong_images(images, self.patch))
        tokens = (images.shape[-1] // self.patch) ** 2
        if mask is None:
            where = None if generator is not None else images.device
            mask = random_mask(len(images), tokens, self.mask_ratio, generator, device=where).to(images.device)
            keep: int | None = int(tokens * (1 - self.mask_ratio) + 1e-9)
        else:
            keep = None
        if mask.device.type == "cpu" and not mask.any():  # a GPU would have to be waited for
            raise ValueError("The mask hides nothing, so there is nothing to compare.")
        prediction = self._decode(self._encode(images, mask, keep), mask)
        target = patchify(images, self.patch)
        if self.norm_pix:
            target = normalise_patches(target)
        error = (prediction.to(target.dtype) - target).square().mean(-1)
        return (error * mask).sum() / mask.sum(), prediction, mask

    def encode(self, images: Tensor, mask: Tensor) -> Tensor:
        """(N, C, H, W) and a mask (N, g * g) -> (N, width, g, g), zero at hidden sites, before any last norm.

        Raises:
            ValueError: images that are not square or no multiple of the patch, or a mask of another shape.
        """
        return self._encode(images, mask, None).permute(0, 3, 1, 2)

    def encode_masked(self, images: Tensor, mask: Tensor) -> Tensor:
        """`encode` by the plain form, which computes hidden sites as well and sets them to zero."""
        if not _is_square(images, self.patch):
            raise ValueError(_wrong_images(images, self.patch))
        if not _fits(mask, images, self.patch):
            raise ValueError(_wrong_mask(mask, images, self.patch))
        grid = images.shape[-1] // self.patch
        return self.encoder.features_masked(images, ~mask.view(-1, grid, grid)).permute(0, 3, 1, 2)

    def _encode(self, images: Tensor, mask: Tensor, keep: int | None) -> Tensor:
        """(N, g, g, width). `keep`: visible patches of every image, where that is known without looking."""
        if not _is_square(images, self.patch):
            raise ValueError(_wrong_images(images, self.patch))
        if not _fits(mask, images, self.patch):
            raise ValueError(_wrong_mask(mask, images, self.patch))
        grid = images.shape[-1] // self.patch
        if self.leaky:
            return self.encoder.features(images) * ~mask.view(-1, grid, grid, 1)
        if keep is None:
            counts = (~mask).sum(1)
            if (counts != counts[0]).any():  # ragged batches have no rectangular gathered form
                return self.encoder.features_masked(images, ~mask.view(-1, grid, grid))
            keep = int(counts[0])
        visible = mask.to(torch.uint8).argsort(dim=1, stable=True)[:, :keep]
        x = self.encoder.features_visible(images, visible, grid)
        return Sites(visible, grid, 1).scatter(x)

    def _decode(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, g, g, width) -> (N, g * g, P * P * C)."""
        hidden = mask.view(*x.shape[:3], 1)
        x = torch.where(hidden, self.mask_token.to(x.dtype), self.proj(x))
        for block in self.decoder:
            x = block(x)
        return self.pred(x).flatten(1, 2)
