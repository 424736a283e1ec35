"""The splitting and the index written the slow, obvious way: one ball at a time, all pairs of balls."""

from __future__ import annotations

import itertools

import numpy as np


def dm(points: np.ndarray) -> float:
    if len(points) == 0:
        return 0.0
    if len(points) <= 2:
        return 1.0
    return float(np.linalg.norm(points - points.mean(0), axis=1).mean())


def halve(X: np.ndarray, rows: list[int]) -> tuple[list[int], list[int]]:
    points = X[rows]
    centre = points.mean(0)
    p1 = points[np.linalg.norm(points - centre, axis=1).argmax()]
    p2 = points[np.linalg.norm(points - p1, axis=1).argmax()]
    near = np.linalg.norm(points - (centre + p1) / 2, axis=1) <= np.linalg.norm(points - (centre + p2) / 2, axis=1)
    return [r for r, n in zip(rows, near, strict=True) if n], [r for r, n in zip(rows, near, strict=True) if not n]


def radius(X: np.ndarray, rows: list[int]) -> float:
    return float(np.linalg.norm(X[rows] - X[rows].mean(0), axis=1).max())


def balls(X: np.ndarray) -> set[frozenset[int]]:
    """All balls of distinct rows X, before any is dropped."""
    queue, final = [list(range(len(X)))], []
    while queue:
        rows = queue.pop()
        left, right = halve(X, rows)
        better = (len(left) * dm(X[left]) + len(right) * dm(X[right])) / len(rows) < dm(X[rows])
        if left and right and better:
            queue += [left, right]
        else:
            final.append(rows)
    radii = [radius(X, rows) for rows in final if len(rows) >= 2]
    rho = max(np.median(radii), np.mean(radii)) if radii else np.inf
    queue, final = final, []
    while queue:
        rows = queue.pop()
        left, right = halve(X, rows) if len(rows) > 1 and radius(X, rows) > 2 * rho else (rows, [])
        if right:
            queue += [left, right]
        else:
            final.append(rows)
    return {frozenset(rows) for rows in final}


def com(points: np.ndarray) -> float:
    """Longest edge of the minimum spanning tree, by Kruskal over all pairs."""
    group = list(range(len(points)))
    longest = 0.0
    pairs = sorted((float(np.linalg.norm(points[i] - points[j])), i, j) for i, j in itertools.combinations(group, 2))
    for length, i, j in pairs:
        if group[i] != group[j]:
            longest = length
            group = [group[i] if g == group[j] else g for g in group]
    return longest


def hcvi(centers: np.ndarray, labels: np.ndarray) -> float:
    names = np.unique(labels)
    coms = np.array([com(centers[labels == i]) for i in names])
    seps = np.array(
        [min(np.linalg.norm(a - b) for a in centers[labels == i] for b in centers[labels != i]) for i in names]
    )
    coms[coms == 0] = coms[coms > 0].min()
    return float((coms / seps).mean())
