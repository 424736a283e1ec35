"""Synthetic clusterings with known labels: shapes that separate indices from one another.

Every generator takes a seed and returns X (n, d) float64 and y (n,) int64. Draw order is part of the
definition, so that a seed names the same points everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.datasets import make_blobs, make_circles, make_moons

Clustering = tuple[np.ndarray, np.ndarray]


def _circle(rng: np.random.Generator, n: int, radius: float, low: float = 0.0, high: float = 2 * np.pi) -> np.ndarray:
    angle = rng.uniform(low, high, n)
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _labelled(parts: list[np.ndarray]) -> Clustering:
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(p) for p in parts])


def rings3(seed: int = 0) -> Clustering:
    """Three concentric rings of radius 1, 2, 3 with 200 points a unit of radius and noise 0.05."""
    rng = np.random.default_rng(seed)
    parts = []
    for radius in (1, 2, 3):
        ring = _circle(rng, 200 * radius, radius)
        parts.append(ring + rng.normal(0, 0.05, ring.shape))
    return _labelled(parts)


def smile4(seed: int = 0) -> Clustering:
    """A face: outline, two eyes, a mouth; 1050 points."""
    rng = np.random.default_rng(seed)
    outline = _circle(rng, 600, 3.0)
    outline = outline + rng.normal(0, 0.06, outline.shape)
    eyes = [rng.normal(0, 0.18, (150, 2)) + (x, 1.0) for x in (-1.0, 1.0)]
    mouth = _circle(rng, 150, 1.6, 1.15 * np.pi, 1.85 * np.pi)
    return _labelled([outline, *eyes, mouth + rng.normal(0, 0.06, mouth.shape)])


def bars4(seed: int = 0) -> Clustering:
    """Four long bars, 4 by 0.4, stacked 1.2 apart; 200 points each."""
    rng = np.random.default_rng(seed)
    parts = []
    for i in range(4):
        x = rng.uniform(0, 4, 200)
        parts.append(np.stack([x, rng.uniform(0, 0.4, 200) + 1.2 * i], axis=1))
    return _labelled(parts)


def interlock2(seed: int = 0) -> Clustering:
    """Two linked rings in space, 300 points each, noise 0.06."""
    rng = np.random.default_rng(seed)
    flat = _circle(rng, 300, 1.0)
    first = np.stack([flat[:, 0], flat[:, 1], np.zeros(300)], axis=1) + rng.normal(0, 0.06, (300, 3))
    flat = _circle(rng, 300, 1.0)
    second = np.stack([flat[:, 0] + 1, np.zeros(300), flat[:, 1]], axis=1) + rng.normal(0, 0.06, (300, 3))
    return _labelled([first, second])


def squares5(seed: int = 0) -> Clustering:
    """Five filled unit squares, 200 points each."""
    rng = np.random.default_rng(seed)
    corners = [(0, 0), (1.6, 0), (0, 1.6), (1.6, 1.6), (3.2, 0.8)]
    return _labelled([rng.uniform(-0.5, 0.5, (200, 2)) + corner for corner in corners])


def gauss6(seed: int = 0, *, sd: float = 0.35) -> Clustering:
    """Six round Gaussians of 150 points; sd 0.35 keeps them apart, 0.6 makes them overlap."""
    rng = np.random.default_rng(seed)
    centres = [(0, 0), (3, 0), (0, 3), (3, 3), (1.5, 6), (6, 1.5)]
    return _labelled([rng.normal(0, sd, (150, 2)) + centre for centre in centres])


def spirals3(seed: int = 0, *, per_arm: int = 400) -> Clustering:
    """Three spiral arms; 130 points an arm are too few for balls, 400 are enough."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0.75 * np.pi, 3 * np.pi, per_arm)
    parts = []
    for arm in range(3):
        angle = t + arm * 2 * np.pi / 3
        curve = (t / (3 * np.pi))[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        parts.append(curve + rng.normal(0, 0.01, curve.shape))
    return _labelled(parts)


def blobs4(seed: int = 0) -> Clustering:
    """Four overlapping Gaussians (scikit-learn's `make_blobs`, 600 points, standard deviation 0.6)."""
    X, y = make_blobs(600, centers=4, cluster_std=0.6, random_state=seed)
    return X, y.astype(np.int64)


def moons2(seed: int = 0) -> Clustering:
    """Two interleaved half circles (scikit-learn's `make_moons`, 800 points, noise 0.05)."""
    X, y = make_moons(800, noise=0.05, random_state=seed)
    return X, y.astype(np.int64)


def circles2(seed: int = 0) -> Clustering:
    """A ring inside a ring (scikit-learn's `make_circles`, 800 points, factor 0.5, noise 0.04)."""
    X, y = make_circles(800, factor=0.5, noise=0.04, random_state=seed)
    return X, y.astype(np.int64)


def lsun3(seed: int = 0) -> Clustering:
    """Two bars at a right angle and a ball, after the plan of FCPS's "Lsun" (our own draw)."""
    rng = np.random.default_rng(seed)
    upright = rng.uniform((0, 0), (0.6, 4), (300, 2))
    lying = rng.uniform((1.2, 0), (4.2, 0.6), (300, 2))
    ball = rng.normal(0, 0.35, (200, 2)) + (3.0, 3.0)
    return _labelled([upright, lying, ball])


#: Added to a run's seed to draw its noise: the same seed would repeat the draws that made the shape.
NOISE_SEED = 10_000


def add_noise(X: np.ndarray, fraction: float, seed: int = NOISE_SEED) -> np.ndarray:
    """X with `int(fraction * n)` uniform points of its bounding box appended."""
    rng = np.random.default_rng(seed)
    noise = rng.uniform(X.min(0), X.max(0), (int(fraction * len(X)), X.shape[1]))
    return np.concatenate([X, noise])


#: The generators by name. The first ten are well separated; the last three overlap or are thin.
SHAPES: dict[str, Callable[[int], Clustering]] = {
    "rings3": rings3,
    "smile4": smile4,
    "bars4": bars4,
    "interlock2": interlock2,
    "squares5": squares5,
    "gauss6": gauss6,
    "spirals3": spirals3,
    "moons2": moons2,
    "circles2": circles2,
    "lsun3": lsun3,
    "gauss6-overlap": lambda seed: gauss6(seed, sd=0.6),
    "blobs4": blobs4,
    "spirals3-thin": lambda seed: spirals3(seed, per_arm=130),
}
