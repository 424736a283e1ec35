"""Which tokens of which view are hidden: disjoint, independent and partitioned masks, and what they cover.

B images, K views, g x g tokens, L = g * g of them in raster order. Masks are bool, True = hidden. A block mask hides
square cells of tokens; then every count below is one of cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDING = 1e-9  # 196 * (1 - 0.5) must not become 97.99…


@dataclass(frozen=True)
class Counts:
    """How many cells a setting hides.

    Attributes:
        cells: L of the coarse grid.
        hidden: n_m, of every view.
        union: cells hidden in one view or more.
    """

    cells: int
    hidden: int
    union: int

    @property
    def visible(self) -> int:
        """n_v, of every view."""
        return self.cells - self.hidden


def counts(
    grid: int, corruption: float, *, prediction: float = 1.0, views: int = 2, block: int = 1, strict: bool = True
) -> Counts:
    """The cardinalities that `disjoint_masks` keeps, rounded as in the released code (which caps the union a little
    earlier where two views can hardly reach the coverage).

    n_v = floor(L (1 - corruption)) cells stay visible in a view; n_m + floor((prediction - corruption) L) are hidden
    at least once.

    Args:
        grid: g, tokens a side.
        corruption: share of a view that is hidden, in (0, 1).
        prediction: share of the image that is hidden in one view or more, from corruption to 1.
        views: K.
        block: tokens a side of a cell.
        strict: refuse a coverage that the views cannot reach; else return what the released code reaches.

    Raises:
        ValueError: a share outside its range, a grid that cells do not fill, or an unreachable coverage.
    """
    if grid < 1 or block < 1 or grid % block:
        raise ValueError(f"A grid of {grid} tokens a side does not divide into cells of {block}.")
    if not 0 < corruption < 1:
        raise ValueError(f"corruption must lie strictly between 0 and 1; got {corruption}.")
    if not corruption <= prediction <= 1:
        raise ValueError(f"prediction must lie between corruption ({corruption}) and 1; got {prediction}.")
    if views < 1:
        raise ValueError(f"views must be at least 1; got {views}.")
    cells = (grid // block) ** 2
    visible = int(cells * (1 - corruption) + ROUNDING)
    hidden = cells - visible
    if visible == 0:
        raise ValueError(f"A corruption of {corruption} leaves none of {cells} cells visible.")
    union = hidden + int((prediction - corruption) * cells + ROUNDING)
    if union > views * hidden:
        if strict:
            bound = views * hidden / cells
            raise ValueError(
                f"{views} views that hide {hidden} of {cells} cells each reach a coverage of at most {bound:.4g}; "
                f"got prediction={prediction}."
            )
        union = hidden + (views - 1) * int(corruption * cells + ROUNDING)
    return Counts(cells, hidden, union)


def views_needed(corruption: float, prediction: float = 1.0) -> int:
    """The fewest views that can reach a coverage: ceil(prediction / corruption)."""
    return math.ceil(prediction / corruption - ROUNDING)


def disjoint_masks(
    batch: int,
    grid: int,
    corruption: float,
    *,
    prediction: float = 1.0,
    views: int = 2,
    block: int = 1,
    strict: bool = True,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Masks of several views of each image that first hide what no view before has hidden.

    With two views this is the released procedure; more views are our generalisation: each takes as many cells as it
    can from those never hidden, up to the coverage asked for, and fills up from those hidden before.

    Args:
        batch: B.
        grid, corruption, prediction, views, block, strict: as `counts`.
        generator: source of chance; the masks lie on its device.
        device: where they lie if no generator is given.

    Returns:
        (views, B, grid * grid) bool; every view of every image hides exactly n_m cells, all views together `union`.
    """
    found = counts(grid, corruption, prediction=prediction, views=views, block=block, strict=strict)
    rest = found.cells - found.union  # cells that no view hides
    device = device if generator is None else generator.device

    def noise() -> Tensor:
        return torch.rand(batch, found.cells, generator=generator, device=device)

    fresh = torch.ones(batch, found.cells, dtype=torch.bool, device=device)
    left, masks = found.cells, []
    for _ in range(views):
        new = min(left - rest, found.hidden)
        mask = _choose(fresh, new, noise()) | _choose(~fresh, found.hidden - new, noise())
        fresh = fresh & ~mask
        left -= new
        masks.append(mask)
    return _tokens(torch.stack(masks), grid, block)


def independent_masks(
    batch: int,
    grid: int,
    corruption: float,
    *,
    views: int = 2,
    block: int = 1,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """As `disjoint_masks`, every view drawn by itself: expected coverage 1 - (1 - corruption)^views."""
    one = {"block": block, "views": 1, "prediction": corruption, "generator": generator, "device": device}
    return torch.cat([disjoint_masks(batch, grid, corruption, **one) for _ in range(views)])  # type: ignore[arg-type]


def partition_masks(
    batch: int,
    grid: int,
    views: int,
    *,
    block: int = 1,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """As EMAE: the *visible* cells of the views partition the image, so each view hides 1 - 1 / views of it.

    Args:
        batch, grid, block, generator, device: as `disjoint_masks`.
        views: K, a divisor of the number of cells.

    Raises:
        ValueError: the cells do not divide into so many parts.
    """
    cells = counts(grid, 0.5, block=block).cells
    if views < 2 or cells % views:
        raise ValueError(f"{cells} cells do not divide into {views} equal parts.")
    device = device if generator is None else generator.device
    place = torch.rand(batch, cells, generator=generator, device=device).argsort(1).argsort(1)
    part = torch.arange(views, device=device).view(-1, 1, 1)
    return _tokens(place // (cells // views) != part, grid, block)


def _choose(allowed: Tensor, count: int, noise: Tensor) -> Tensor:
    """(B, cells) bool: `count` of the allowed cells of every image, by the order of the noise."""
    order = torch.where(allowed, noise, 2.0).argsort(1)[:, :count]
    return torch.zeros_like(allowed).scatter(1, order, True)


def _tokens(cells: Tensor, grid: int, block: int) -> Tensor:
    """(…, cells) to (…, tokens): each cell stands for block x block tokens."""
    if block == 1:
        return cells
    side = grid // block
    square = cells.unflatten(-1, (side, side))
    return square.repeat_interleave(block, -2).repeat_interleave(block, -1).flatten(-2)


def visible_order(mask: Tensor, *, shuffle: bool = True, generator: torch.Generator | None = None) -> Tensor:
    """Indices of the visible tokens, as an encoder receives them.

    Args:
        mask: (…, L) bool, the same number visible in each row.
        shuffle: random order, as in the release; False: raster order.
        generator: of the order, on the mask's device.

    Returns:
        (…, n_v).

    Raises:
        ValueError: rows with different numbers of visible tokens.
    """
    visible = (~mask).sum(-1)
    if (visible != visible.flatten()[0]).any():
        raise ValueError("Every mask must leave the same number of tokens visible.")
    return first_visible(mask, int(visible.flatten()[0]), shuffle=shuffle, generator=generator)


def first_visible(
    mask: Tensor, count: int, *, shuffle: bool = True, block: int = 1, generator: torch.Generator | None = None
) -> Tensor:
    """`visible_order` where the number of visible tokens is known, so that no device has to be asked.

    Args:
        mask, shuffle, generator: as `visible_order`.
        count: n_v.
        block: tokens a side of a cell. As in the release, a random order of cells is then repeated corner by corner:
            first the upper left token of every visible cell, then the tokens beside them, and so on.
    """
    if shuffle and block > 1:
        grid = math.isqrt(mask.shape[-1])
        side = grid // block
        cells = torch.rand(*mask.shape[:-1], side * side, generator=generator, device=mask.device)
        along = torch.arange(grid, device=mask.device) % block
        corner = (along[:, None] * block + along).flatten()  # of every token within its cell
        key = (corner + _tokens(cells, grid, block)) / block**2
    elif shuffle:
        key = torch.rand(mask.shape, generator=generator, device=mask.device)
    else:
        key = torch.linspace(0, 1, mask.shape[-1], device=mask.device).expand(mask.shape)
    return torch.where(mask, 2.0, key).argsort(-1)[..., :count]


# ------------------------------------------------------------------------------------------ closed forms


def coverage(found: Counts, *, independent: bool = False, views: int = 2) -> float:
    """Expected share of cells hidden in one view or more."""
    if independent:
        return 1 - (found.visible / found.cells) ** views
    return found.union / found.cells


def covariance(found: Counts) -> float:
    """Covariance of "hidden in view 1" and "hidden in view 2" of one cell, for two disjoint views: equation (2).

    (n_m - n_e) / L - (n_m / L)^2, with n_e = union - n_m cells hidden in view 2 only; ours.
    """
    overlap = 2 * found.hidden - found.union
    if overlap < 0:
        raise ValueError("These counts are of more than two views; the covariance is one of two.")
    return overlap / found.cells - (found.hidden / found.cells) ** 2


def variance_ratio(found: Counts) -> float:
    """Variance of the two-view estimate of an image's mean loss, disjoint over independent masks; ours.

    For losses of tokens that do not depend on the mask. The sum over two views is c_l = 0, 1 or 2 times each loss;
    c is exchangeable with a fixed total, so both variances are proportional to the variance of one c_l,
    equation (2).
    """
    share = found.hidden / found.cells
    alone = 2 * share * (1 - share)
    return (alone + 2 * covariance(found)) / alone
