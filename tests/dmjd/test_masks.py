"""Masks against the released counts, against a slow reference, and for every legal setting."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from firsthand.dmjd import (
    counts,
    coverage,
    disjoint_masks,
    independent_masks,
    partition_masks,
    variance_ratio,
    views_needed,
    visible_order,
)
from firsthand.dmjd.lab.measures import RELEASED_COUNTS
from firsthand.dmjd.masks import covariance, first_visible


def _rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("block", "corruption", "prediction", "visible", "hidden", "union", "overlap"), RELEASED_COUNTS
)
def test_sizes_of_the_released_code(block, corruption, prediction, visible, hidden, union, overlap):
    masks = disjoint_masks(4, 14, corruption, prediction=prediction, block=block, generator=_rng())
    assert masks.shape == (2, 4, 196)
    assert ((~masks).sum(-1) == visible).all()
    assert (masks.sum(-1) == hidden).all()
    assert (masks.any(0).sum(-1) == union).all()
    assert (masks.all(0).sum(-1) == overlap).all()


@settings(max_examples=150, deadline=None)
@given(
    st.integers(2, 9), st.floats(0.05, 0.95), st.floats(0, 1), st.integers(1, 5), st.sampled_from([1, 2, 3]),
    st.integers(0, 9),
)  # fmt: skip
def test_cardinalities_hold_for_every_legal_setting(grid, corruption, more, views, block, seed):
    assume(grid % block == 0)
    prediction = corruption + more * (1 - corruption)
    try:
        found = counts(grid, corruption, prediction=prediction, views=views, block=block)
    except ValueError:
        return
    masks = disjoint_masks(3, grid, corruption, prediction=prediction, views=views, block=block, generator=_rng(seed))
    size = block**2
    assert (masks.sum(-1) == size * found.hidden).all()
    assert (masks.any(0).sum(-1) == size * found.union).all()
    side = grid // block
    cells = masks.view(views, 3, side, block, side, block)
    assert (cells == cells[:, :, :, :1, :, :1]).all()


def test_a_view_hides_what_no_view_before_has_hidden():
    masks = disjoint_masks(50, 8, 0.3, prediction=0.9, views=3, generator=_rng())
    found = counts(8, 0.3, prediction=0.9, views=3)
    assert not (masks[0] & masks[1]).any()  # 3 x 20 of 64 cells: 58 are enough, so only the third repeats
    assert ((masks[2] & (masks[0] | masks[1])).sum(-1) == 3 * found.hidden - found.union).all()


def test_half_and_two_views_is_the_partition_of_emae():
    masks = disjoint_masks(20, 8, 0.5, generator=_rng())
    assert (masks[0] == ~masks[1]).all()
    parts = partition_masks(20, 8, 4, generator=_rng())
    assert ((~parts).sum(0) == 1).all()
    assert ((~parts).sum(-1) == 16).all()
    with pytest.raises(ValueError, match="64 cells do not divide into 5"):
        partition_masks(2, 8, 5)


def test_unreachable_coverage_is_refused_with_its_bound_or_brought_near():
    with pytest.raises(ValueError, match=r"2 views that hide 79 of 196 cells each reach a coverage of at most 0\.8061"):
        disjoint_masks(2, 14, 0.4)
    masks = disjoint_masks(3, 14, 0.4, strict=False, generator=_rng())
    assert (masks.any(0).sum(-1) == 157).all()  # as the released code
    assert (disjoint_masks(2, 14, 0.4, views=3, generator=_rng()).any(0)).all()
    assert views_needed(0.4) == 3
    assert views_needed(0.5) == 2
    assert views_needed(0.6, 0.6) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"corruption": 0.0}, "strictly between 0 and 1"),
        ({"corruption": 1.0}, "strictly between 0 and 1"),
        ({"corruption": 0.999}, "leaves none of 64 cells"),
        ({"corruption": 0.6, "prediction": 0.5}, "between corruption"),
        ({"corruption": 0.6, "prediction": 1.1}, "between corruption"),
        ({"corruption": 0.6, "block": 3}, "does not divide into cells of 3"),
        ({"corruption": 0.6, "views": 0}, "views must be at least 1"),
    ],
)
def test_illegal_settings_get_a_sentence(options, says):
    with pytest.raises(ValueError, match=says):
        disjoint_masks(2, 8, **options)


def test_every_view_is_uniform_by_itself():
    masks = disjoint_masks(20_000, 4, 0.6, generator=_rng(3)).double()
    hidden = counts(4, 0.6).hidden / 16
    deviation = (hidden * (1 - hidden) / 20_000) ** 0.5
    assert ((masks.mean(1) - hidden).abs() < 4.5 * deviation).all()


def test_covariance_and_coverage_as_the_closed_forms_say():
    found = counts(8, 0.6)
    masks = disjoint_masks(20_000, 8, 0.6, generator=_rng(1)).double()
    both = (masks[0] * masks[1]).mean() - masks[0].mean() * masks[1].mean()
    assert float(both) == pytest.approx(covariance(found), abs=1e-9)
    each = (masks[0] * masks[1]).mean(0) - masks[0].mean(0) * masks[1].mean(0)
    assert float((each - covariance(found)).abs().max()) < 0.02
    with pytest.raises(ValueError, match="more than two views"):
        covariance(counts(8, 0.3, prediction=0.9, views=3))
    alone = independent_masks(20_000, 8, 0.6, generator=_rng(1))
    assert float(alone.any(0).double().mean()) == pytest.approx(coverage(found, independent=True), abs=2e-3)
    assert coverage(found) == 1.0
    assert [round(variance_ratio(counts(14, c)), 2) for c in (0.5, 0.6, 0.75)] == [0.0, 0.34, 0.67]


def test_order_of_visible_tokens():
    mask = disjoint_masks(6, 8, 0.6, block=2, generator=_rng())
    raster = visible_order(mask, shuffle=False)
    assert raster.shape == (2, 6, 24)
    assert (raster.diff(dim=-1) > 0).all()
    shuffled = visible_order(mask, generator=_rng())
    assert torch.equal(shuffled.sort(-1).values, raster)
    assert not torch.equal(shuffled, raster)
    assert not mask.gather(-1, shuffled).any()
    corners = first_visible(mask, 24, block=2, generator=_rng())  # as the release orders tokens of block masks
    assert torch.equal(corners.sort(-1).values, raster)
    row, column = corners // 8, corners % 8
    assert torch.equal(row % 2 * 2 + column % 2, torch.arange(4).repeat_interleave(6).expand(2, 6, 24))
    assert torch.equal((row // 2)[..., :6], (row // 2)[..., 18:])
    uneven = mask.clone()
    uneven[0, 0] = True
    with pytest.raises(ValueError, match="same number of tokens"):
        visible_order(uneven)


def test_same_seed_same_masks_on_the_meta_device_too():
    assert torch.equal(disjoint_masks(3, 8, 0.6, generator=_rng(5)), disjoint_masks(3, 8, 0.6, generator=_rng(5)))
    assert disjoint_masks(3, 14, 0.6, block=2, device="meta").shape == (2, 3, 196)
