"""Hyper-balls: groups of neighbouring points, made by splitting from coarse to fine.

Shapes: n points, d features, M balls. Points travel as columns (d, n), the points of one ball side by
side, so that every quantity of every ball is one segment reduction and no Python loop runs over points or
balls. The arithmetic is torch's on every device; NumPy arrays go in and come out as NumPy arrays.

Definitions (centre, radius, average radius) are the paper's (arXiv 2212.14524). The splitting rule is that of
`HyperBallClustering_acceleration_v4.py` in GitHub xjnine/GB-CVIs at commit fd22039, code of the same group for a
later paper; its quality is the average radius.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = Any  # a NumPy array or a torch tensor, as the caller gave it


@dataclass(frozen=True)
class Balls:
    """The kept hyper-balls of a data set, in the order of their first point, with what equation (1) says of them.

    Attributes:
        centers: (M, d) mean of each ball's points, in scaled coordinates.
        radii: (M,) largest distance of a ball's point from its centre.
        mean_radii: (M,) average distance.
        sizes: (M,) number of distinct points.
        labels: (n,) index of each row's ball; -1 where the ball was dropped.
    """

    centers: Array
    radii: Array
    mean_radii: Array
    sizes: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.sizes)


@dataclass
class Group:
    """Balls under construction. Internal: columns X (d, n) in ball order, `rows` (n,) their row numbers."""

    X: Tensor
    rows: Tensor
    counts: Tensor  # (M,)
    centers: Tensor  # (d, M)
    distances: Tensor  # (n,) of each point from its own centre
    radii: Tensor  # (M,)
    mean_radii: Tensor  # (M,)

    def select(self, keep: Tensor) -> Group:
        """The balls where `keep` (M,) is true, with their points."""
        if bool(keep.all()):
            return self
        points = keep.repeat_interleave(self.counts).nonzero().squeeze(1)
        return Group(
            self.X[:, points],
            self.rows[points],
            self.counts[keep],
            self.centers[:, keep],
            self.distances[points],
            self.radii[keep],
            self.mean_radii[keep],
        )


def distribution_measure(counts: Tensor, mean_radii: Tensor) -> Tensor:
    """DM of a ball, equation (1): its average radius; 1 for one or two points, 0 for none (the group's code).

    Smaller is better. The constant 1 keeps balls from crumbling as long as average radii stay below 1, which data
    scaled to [0, 1] do in a few features but need not in many.
    """
    return torch.where(counts > 2, mean_radii, (counts > 0).to(mean_radii.dtype))


def _reduce(values: Tensor, counts: Tensor, how: str) -> Tensor:
    return torch.segment_reduce(values, how, lengths=counts, unsafe=True)


def _distance(X: Tensor, centers: Tensor, counts: Tensor) -> Tensor:
    """Distance of every point from the centre of its segment, feature by feature to stay small."""
    total = torch.zeros_like(X[0])
    for x, c in zip(X, centers, strict=True):
        difference = x - c.repeat_interleave(counts)
        total.addcmul_(difference, difference)
    return total.sqrt_()


def _measure(X: Tensor, rows: Tensor, counts: Tensor) -> Group:
    """Centres, radii and average radii of the segments of X; an empty segment has radius 0."""
    n = counts.clamp(min=1).to(X.dtype)
    centers = torch.stack([_reduce(x, counts, "sum") for x in X]) / n
    distances = _distance(X, centers, counts)
    radii = _reduce(distances, counts, "max").clamp(min=0)
    return Group(X, rows, counts, centers, distances, radii, _reduce(distances, counts, "sum") / n)


def _farthest(X: Tensor, distances: Tensor, radii: Tensor, counts: Tensor) -> Tensor:
    """(d, M) the first point of every segment that lies at the segment's largest distance."""
    at_rim = (distances == radii.repeat_interleave(counts)).nonzero().squeeze(1)
    ball = torch.arange(len(counts), device=X.device).repeat_interleave(counts)[at_rim]
    first = torch.ones_like(ball, dtype=torch.bool)
    first[1:] = ball[1:] != ball[:-1]
    return X[:, at_rim[first]]


def _halve(parents: Group) -> Group:
    """Cut every ball in two: 2M segments, children side by side, a child possibly empty.

    p1 is the point farthest from the centre, p2 the point farthest from p1; the seeds lie halfway between
    the centre and each; a point goes with the nearer seed, the first seed winning ties.
    """
    X, counts = parents.X, parents.counts
    p1 = _farthest(X, parents.distances, parents.radii, counts)
    from_p1 = _distance(X, p1, counts)
    p2 = _farthest(X, from_p1, _reduce(from_p1, counts, "max"), counts)
    to_first = _distance(X, (parents.centers + p1) / 2, counts)
    to_second = _distance(X, (parents.centers + p2) / 2, counts)
    left = to_first <= to_second

    # A stable partition of each segment: left points keep their order, then right points keep theirs.
    ends = counts.cumsum(0)
    starts = ends - counts
    lefts = left.cumsum(0)
    before = torch.where(starts > 0, lefts[(starts - 1).clamp(min=0)], 0)
    n_left = lefts[ends - 1] - before
    here = torch.arange(len(left), device=X.device)
    ranks = lefts - before.repeat_interleave(counts)  # left points up to and including this one
    position = torch.where(
        left, starts.repeat_interleave(counts) + ranks - 1, here + n_left.repeat_interleave(counts) - ranks
    )
    order = torch.empty_like(here).scatter_(0, position, here)
    children = torch.stack([n_left, counts - n_left], dim=1).flatten()
    return _measure(X[:, order], parents.rows[order], children)


def improves(parents: Group, children: Group) -> Tensor:
    """(M,) where the children's size-weighted DM is below the parent's: the quality rule of phase 1, inequality (2)."""
    dm = distribution_measure(children.counts, children.mean_radii).view(-1, 2)
    share = children.counts.view(-1, 2) / parents.counts[:, None].to(dm.dtype)
    return (share * dm).sum(1) < distribution_measure(parents.counts, parents.mean_radii)


def _split(balls: Group, accept: Callable[[Group, Group], Tensor], smallest: int) -> Iterator[tuple[Group, Group]]:
    """Halve all balls of more than `smallest` points, round by round; yield (final, still active).

    A cut that leaves one child empty (all points equal) is never accepted.
    """
    while len(balls.counts):
        children = _halve(balls)
        cut = accept(balls, children) & (children.counts.view(-1, 2) > 0).all(1)
        final = balls.select(~cut)
        children = children.select(cut.repeat_interleave(2))
        large = children.counts > smallest
        balls = children.select(large)
        yield _join([final, children.select(~large)]), balls


def _join(groups: list[Group]) -> Group:
    return Group(*(torch.cat([getattr(g, f.name) for g in groups], dim=-1) for f in fields(Group)))


def _finish(rounds: Iterator[tuple[Group, Group]], history: list[Group] | None) -> list[Group]:
    """Collect the final balls of all rounds; `history` receives every ball alive after each round."""
    final: list[Group] = []
    for done, active in rounds:
        final.append(done)
        if history is not None:
            history.append(_join([*final, active]))
    return final


def grow(X: Tensor, *, force_root_split: bool = False, history: list[Group] | None = None) -> Group:
    """All hyper-balls of the distinct rows X (n, d): quality splits, then radius normalisation.

    Phase 1 halves a ball while `improves` says so; `force_root_split` exempts the first cut from the test.
    Phase 2 halves every ball whose radius exceeds 2 max(median, mean) of the radii of balls with at least
    two points, until none does.
    """
    columns = X.T.contiguous()
    rows = torch.arange(len(X), device=X.device)
    start = _measure(columns, rows, torch.tensor([len(X)], device=X.device))
    if history is not None:
        history.append(start)
    if force_root_split:
        children = _halve(start)
        if bool((children.counts > 0).all()):
            start = children
            if history is not None:
                history.append(start)
    tiny = start.counts <= 2
    final = _join([start.select(tiny), *_finish(_split(start.select(~tiny), improves, 2), history)])

    radii = final.radii[final.counts >= 2]
    if len(radii) == 0:
        return final
    rho = torch.maximum(_median(radii), radii.mean())
    too_wide = (final.radii > 2 * rho) & (final.counts >= 2)
    if not bool(too_wide.any()):
        return final
    small = final.select(~too_wide)

    def still_too_wide(parents: Group, children: Group) -> Tensor:
        return parents.radii > 2 * rho

    late: list[Group] | None = None if history is None else []
    wide = _finish(_split(final.select(too_wide), still_too_wide, 1), late)
    if history is not None:
        history.extend(_join([small, balls]) for balls in late or [])
    return _join([small, *wide])


def _median(values: Tensor) -> Tensor:
    """Median that averages the middle pair, as NumPy's does and torch's does not."""
    ordered = values.sort().values
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2


def as_points(X: Array) -> Tensor:
    """Check X and return it as a floating (n, d) tensor, in its own dtype where that is floating.

    Raises:
        ValueError: X is not 2-D, empty, not finite, or of numbers that are not real, or that NumPy or torch lacks.
    """
    if isinstance(X, Tensor) and (X.is_complex() or X.dtype == torch.bfloat16):
        raise ValueError(f"X must hold real numbers that NumPy has as well; got a tensor of {X.dtype}.")
    if isinstance(X, Tensor):
        points = X
    else:
        array = np.asarray(X)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"X must hold real numbers; got an array of {array.dtype}.")
        if not array.dtype.isnative or array.dtype.itemsize > 8:
            raise ValueError(f"torch knows no {array.dtype.str} numbers; give X.astype(float).")
        points = torch.tensor(array)  # a copy, since NumPy's may be read-only
    if points.ndim != 2:
        raise ValueError(f"X must be 2-D, one row a point; got {points.ndim}-D of shape {tuple(points.shape)}.")
    if points.shape[0] == 0 or points.shape[1] == 0:
        raise ValueError(f"X must have at least one row and one column; got shape {tuple(points.shape)}.")
    if not points.is_floating_point():
        points = points.double()
    bad = ~torch.isfinite(points)
    if bool(bad.any()):
        row, column = (int(i) for i in bad.nonzero()[0])
        raise ValueError(f"X must be finite; row {row}, column {column} holds {float(points[row, column])}.")
    return points + 0.0  # -0.0 becomes 0.0, so that equal rows are equal bit for bit


def preprocess(X: Array, *, scale: str | None = "minmax", pca: int | None = None) -> tuple[Tensor, Tensor]:
    """Scale, merge identical rows, project: (m, d) distinct points and (n,) the point of every row.

    Min-max scaling sends every feature to [0, 1] and a constant one to 0. The principal components are
    those of the distinct points, so that repeating rows changes nothing.
    """
    points = as_points(X)
    if scale == "minmax":
        low = points.min(0).values
        width = points.max(0).values - low
        if not bool(torch.isfinite(width).all()):
            raise ValueError(f"X spans more than {points.dtype} can hold in a column; divide it by something first.")
        points = (points - low) / torch.where(width > 0, width, torch.ones_like(width))
    elif scale is not None:
        raise ValueError(f'scale must be "minmax" or None; got {scale!r}.')
    if not bool(torch.isfinite((points.max(0).values - points.min(0).values).square().sum())):
        raise ValueError(f"X spans more than {points.dtype} can square; divide it by something, or scale it by minmax.")
    points, inverse = _distinct(points)
    if pca is not None:
        if not 1 <= pca <= points.shape[1]:
            raise ValueError(f"pca must be between 1 and the {points.shape[1]} features; got {pca}.")
        centred = points - points.mean(0)
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        axes = vectors.flip(1)[:, :pca]
        largest = axes.abs().argmax(0)
        points = centred @ (axes * axes[largest, torch.arange(pca, device=axes.device)].sign())
    return points, inverse


def _distinct(points: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct rows in the order of their first appearance, and for every row the distinct row it equals.

    Sorting one column is enough to see that most data have no equal rows; only rows that tie there are
    compared in full.
    """
    n = len(points)
    rows = torch.arange(n, device=points.device)
    values, order = points[:, 0].sort()
    tie = torch.zeros(n, dtype=torch.bool, device=points.device)
    same = values[1:] == values[:-1]
    tie[1:] |= same
    tie[:-1] |= same
    suspects = order[tie].sort().values
    if len(suspects) == 0:
        return points, rows
    _, group = torch.unique(points[suspects], dim=0, return_inverse=True)
    first = torch.full((int(group.max()) + 1,), n, device=points.device)
    first.scatter_reduce_(0, group, suspects, "amin")
    representative = rows.clone()
    representative[suspects] = first[group]
    kept = representative == rows
    return points[kept], (kept.cumsum(0) - 1)[representative]


def make_balls(
    X: Array,
    *,
    min_size: int = 3,
    scale: str | None = "minmax",
    pca: int | None = None,
    density: float | None = None,
    force_root_split: bool = False,
) -> Balls:
    """Hyper-balls of a data set: on plain data about n / 4 of them, after some log2(n) rounds over all points.

    Args:
        X: (n, d) rows of real numbers, NumPy or torch on any device; identical rows count as one point.
        min_size: balls with fewer distinct points are dropped as isolated (the group's code keeps n > 2).
        scale: "minmax" scales every feature to [0, 1] first; None leaves the data as they are.
        pca: project to this many principal components after scaling (the group's code: 2 where d >= 3).
        density: ours, not the paper's: also drop balls whose sizes / mean_radii is below this factor times
            the median of that ratio over the balls of at least `min_size` points and positive radius. It counts
            points per unit of radius in any dimension.
        force_root_split: make the first cut even where the quality rule refuses it (ours).

    Returns:
        Balls, with arrays of X's own kind, dtype and device.

    Raises:
        ValueError: NaN, infinity, not 2-D, no rows, or an option out of range.
    """
    if min_size < 1:
        raise ValueError(f"min_size must be at least 1; got {min_size}.")
    if density is not None and not density >= 0:
        raise ValueError(f"density must be None or a factor of at least 0; got {density}.")
    points, inverse = preprocess(X, scale=scale, pca=pca)
    balls = grow(points, force_root_split=force_root_split)

    first_row = _reduce_int_min(balls.rows, balls.counts)
    keep = balls.counts >= min_size
    if density is not None and bool(keep.any()):
        ratio = balls.counts / balls.mean_radii
        wide = keep & (balls.mean_radii > 0)
        if bool(wide.any()):
            keep = keep & (ratio >= density * _median(ratio[wide]))
    kept = keep.nonzero().squeeze(1)
    kept = kept[first_row[kept].argsort()]
    index = torch.full_like(balls.counts, -1)
    index[kept] = torch.arange(len(kept), device=index.device)
    labels = torch.empty_like(balls.rows)
    labels[balls.rows] = index.repeat_interleave(balls.counts)

    back: Callable[[Tensor], Array] = (lambda t: t) if isinstance(X, Tensor) else Tensor.numpy
    return Balls(
        back(balls.centers.T[kept].contiguous()),
        back(balls.radii[kept]),
        back(balls.mean_radii[kept]),
        back(balls.counts[kept]),
        back(labels[inverse]),
    )


def _reduce_int_min(values: Tensor, counts: Tensor) -> Tensor:
    ball = torch.arange(len(counts), device=values.device).repeat_interleave(counts)
    return torch.full_like(counts, int(values.max()) + 1).scatter_reduce_(0, ball, values, "amin")
