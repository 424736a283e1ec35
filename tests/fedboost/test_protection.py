"""Paillier against `phe`, packing, CKKS and masks against the plain sum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from firsthand.fedboost import (
    Packing,
    aggregate,
    ckks_aggregate,
    encrypted_aggregate,
    factor,
    generate_key,
    masked_aggregate,
    masked_updates,
    paillier,
    slice_weights,
)
from firsthand.fedboost.protection import seeded

KEY = generate_key(256, seeded(0))


@given(st.integers(-(2**200), 2**200), st.integers(-(2**200), 2**200), st.integers(-1000, 1000))
@settings(max_examples=30, deadline=None)
def test_sums_and_products_under_encryption(a, b, k):
    public, rng = KEY.public, seeded(1)
    first, second = public.encrypt(a, rng), public.encrypt(b, rng)
    assert KEY.decrypt(first) == a
    assert KEY.decrypt(public.add(first, second)) == a + b
    assert KEY.decrypt(public.scale(first, k)) == k * a
    assert KEY.decrypt(public.weighted_sum([first, second], [k, 3])) == k * a + 3 * b


def test_equal_numbers_look_different():
    assert KEY.public.encrypt(5) != KEY.public.encrypt(5)


def test_the_same_numbers_as_phe():
    phe = pytest.importorskip("phe")
    public = phe.PaillierPublicKey(KEY.public.n)
    private = phe.PaillierPrivateKey(public, KEY.p, KEY.q)
    r = 123_456_789
    peer = public.raw_encrypt(42, r_value=r)
    ours = (1 + 42 * KEY.public.n) % KEY.public.square * pow(r, KEY.public.n, KEY.public.square) % KEY.public.square
    assert peer == ours
    assert private.raw_decrypt(KEY.public.encrypt(42)) == 42
    assert KEY.decrypt(peer) == 42


@pytest.mark.parametrize("library", [True, False])
def test_with_and_without_the_library_for_large_integers(library, monkeypatch):
    if not library:
        monkeypatch.setattr(paillier, "gmpy2", None)
    key = generate_key(64, seeded(3))
    assert key.public.bits == 64
    assert key.p == generate_key(64, seeded(3)).p
    assert key.decrypt(key.public.encrypt(-77, seeded(4))) == -77


def test_short_keys_break():
    key = generate_key(64, seeded(5))
    assert sorted(factor(key.public.n)) == sorted((key.p, key.q))
    assert factor(2 * 101) == (2, 101)


def test_keys_and_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="even number of bits"):
        generate_key(15)
    with pytest.raises(ValueError, match="too large for a key of 64 bits"):
        generate_key(64, seeded(0)).public.encrypt(2**63)


def _case(seed: int, clients: int = 3, numbers: int = 40):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.1, 1, clients)
    return rng.standard_normal((clients, numbers)) * 0.01, p / p.sum()


@pytest.mark.parametrize("rounding", ["published", "largest_remainder"])
def test_published_encryption_is_exact(rounding):
    u, p = _case(0)
    plain = aggregate(u, slice_weights(p, rounding=rounding) / 100)
    found = encrypted_aggregate(u, p, key_bits=256, rounding=rounding, rng=seeded(0))
    assert np.abs(found - plain).max() < 1e-12


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_packing_is_exact_to_its_last_bit(bits):
    u, p = _case(1)
    plain = aggregate(u, slice_weights(p) / 100)
    found = encrypted_aggregate(u, p, key_bits=512, pack_bits=bits, rng=seeded(0))
    assert np.abs(found - plain).max() <= len(u) * 2 ** (1 - bits) * np.abs(u).max()


def test_packed_integers_are_added_exactly():
    packing = Packing(16, 1.0, 100)
    public = generate_key(512, seeded(2)).public
    rng = np.random.default_rng(3)
    whole = rng.integers(-32767, 32768, (3, 45))
    factors = [20, 30, 50]
    plain = [list(packing.pack(row * packing.unit, public)) for row in whole]
    total = [sum(f * row[k] for f, row in zip(factors, plain, strict=True)) for k in range(len(plain[0]))]
    found = packing.unpack(total, 45, 100, public) / packing.unit
    assert np.rint(found).astype(int).tolist() == (np.array(factors) @ whole).tolist()
    assert packing.slots(public) == (512 - 3) // (16 + 1 + 7)
    with pytest.raises(ValueError, match="no room"):
        Packing(32, 1.0, 100).slots(generate_key(32, seeded(1)).public)


def test_packing_with_a_bound_that_was_agreed_on():
    u, p = _case(1)
    plain = aggregate(u, slice_weights(p) / 100)
    found = encrypted_aggregate(u, p, key_bits=512, pack_bits=32, bound=1.0, rng=seeded(0))
    assert np.abs(found - plain).max() <= len(u) * 2**-31
    with pytest.raises(ValueError, match="exceeds the bound"):
        encrypted_aggregate(u, p, key_bits=512, pack_bits=32, bound=1e-6)


def test_slots_hold_whatever_the_weights_turn_out_to_be():
    clients = 30  # published rounding may give up to S + N / 2 slices
    u = np.full((clients, 3), 0.5)
    p = np.full(clients, 1 / clients) + 0.0
    p[:15], p[15:] = 0.0251, (1 - 15 * 0.0251) / 15
    for slices in (100, 60):
        total = slice_weights(p, slices).sum()
        found = encrypted_aggregate(u, p, slices=slices, key_bits=256, pack_bits=16, bound=0.5, rng=seeded(0))
        assert found == pytest.approx(np.full(3, 0.5 * total / slices), abs=clients * 2**-15)


def test_zero_updates_pack():
    assert encrypted_aggregate(np.zeros((2, 3)), [0.5, 0.5], key_bits=128, pack_bits=16).tolist() == [0, 0, 0]


def test_ckks_and_masks_give_the_plain_sum():
    u, p = _case(4, numbers=5000)
    plain = aggregate(u, p)
    assert np.abs(ckks_aggregate(u, p) - plain).max() < 1e-6
    assert np.abs(masked_aggregate(u, p) - plain).max() < 1e-11


def test_masks_look_like_noise_to_the_server():
    u, p = _case(5, numbers=5000)
    sent = masked_updates(u, p, bound=1.0)
    for row, update in zip(sent, u, strict=True):
        assert abs(np.corrcoef(row.astype(float), update)[0, 1]) < 0.06
    with pytest.raises(ValueError, match="exceeds the bound"):
        masked_updates(u, p, bound=1e-6)


def test_bad_updates_are_named():
    u, p = _case(6)
    u[1, 3] = np.nan
    with pytest.raises(ValueError, match="client 1 is not finite"):
        encrypted_aggregate(u, p, key_bits=128)
    with pytest.raises(ValueError, match="as many weights"):
        encrypted_aggregate(np.ones((2, 3)), [1.0], key_bits=128)
    with pytest.raises(ValueError, match="shape"):
        encrypted_aggregate([1.0, 2.0], [0.5, 0.5], key_bits=128)
    with pytest.raises(ValueError, match="too short: the sum"):
        encrypted_aggregate([[1000.0], [1000.0]], [0.5, 0.5], key=generate_key(116, seeded(0)))
    with pytest.raises(ValueError, match="at least 2 bits"):
        encrypted_aggregate([[1.0], [1.0]], [0.5, 0.5], key_bits=128, pack_bits=1)


SUMS = {
    "plain": aggregate,
    "encrypted": lambda u, p: encrypted_aggregate(u, p, key=KEY),
    "packed": lambda u, p: encrypted_aggregate(u, p, key=KEY, pack_bits=16),
    "ckks": ckks_aggregate,
    "masked": masked_aggregate,
}


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize(
    ("updates", "p"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], [1.0]),
        ([[1.0, 2.0], [3.0, 4.0]], [[0.5, 0.5]]),
        ([1.0, 2.0], [0.5, 0.5]),
        (np.array([[1 + 2j], [3]]), [0.5, 0.5]),
        (torch.ones(2, 2, dtype=torch.bfloat16), [0.5, 0.5]),
    ],
    ids=["one weight", "a table of weights", "no table of updates", "complex", "bfloat16"],
)
def test_every_sum_refuses_what_does_not_fit(name, updates, p):
    with pytest.raises(ValueError, match=r"need|must be real|have shape"):
        SUMS[name](updates, p)


@pytest.mark.parametrize("name", ["encrypted", "packed", "ckks", "masked"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_every_protected_sum_refuses_what_is_not_finite(name, bad):
    with pytest.raises(ValueError, match=r"client 1 is (not finite|nan|-?inf)"):
        SUMS[name]([[1.0, 2.0], [3.0, bad]], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"client 1 is (not finite|nan|-?inf)"):
        SUMS[name]([[1.0, 2.0], [3.0, 4.0]], [0.5, bad])


@pytest.mark.parametrize("name", SUMS)
def test_weights_whose_sum_is_eight_are_right_or_refused(name):
    updates, p = [[1.0, 3.0, -2.0], [4.0, 2.0, -3.0]], [3, 5]
    if name in ("packed", "masked"):
        with pytest.raises(ValueError, match=r"sum is 1; got 8|exceeds the bound"):
            SUMS[name](updates, p)
    else:
        assert SUMS[name](updates, p) == pytest.approx([23, 19, -21], abs=1e-4)


def test_weights_that_slices_round_to_nought_are_refused():
    assert slice_weights(np.full(100, 0.01)).tolist() == [1] * 100
    assert slice_weights(np.full(300, 1 / 300)).sum() == 0  # as published
    with pytest.raises(ValueError, match="100 slices are too few for 300 clients"):
        encrypted_aggregate(np.ones((300, 1)), np.full(300, 1 / 300), key=KEY)
    assert slice_weights(np.full(300, 1 / 300), rounding="largest_remainder").sum() == 100


@pytest.mark.parametrize("bound", [0.0, -1.0, np.nan, np.inf])
def test_masks_need_a_bound(bound):
    with pytest.raises(ValueError, match="bound must be positive and finite"):
        masked_updates([[0.0]], [1.0], bound=bound)


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint64])
@pytest.mark.parametrize("bits", [32, 256])
def test_numpys_integers_are_integers(kind, bits):
    key = generate_key(np.int64(bits), seeded(3))
    public, rng = key.public, seeded(4)
    assert key == generate_key(bits, seeded(3))
    assert key.decrypt(public.encrypt(kind(5), rng)) == 5
    first, second = public.encrypt(kind(5), rng), public.encrypt(7, rng)
    assert key.decrypt(public.scale(first, kind(100))) == 500
    assert key.decrypt(public.weighted_sum([first, second], slice_weights([0.4, 0.6]))) == 40 * 5 + 60 * 7


def test_numpys_integers_in_short_keys_do_not_overflow():
    key = paillier.PrivateKey(np.int64(65_521), np.int64(65_519))
    public, plain = key.public, paillier.PrivateKey(65_521, 65_519)
    assert (public.n, type(public.n)) == (65_521 * 65_519, int)
    first, second = (np.uint64(plain.public.encrypt(number, seeded(5))) for number in (-12, 30))  # as arrays hold them
    assert key.decrypt(public.add(first, second)) == 18
    assert key.decrypt(np.uint64(public.scale(first, np.int64(3)))) == -36
    assert factor(np.int64(public.n)) in ((65_521, 65_519), (65_519, 65_521))
    with pytest.raises(TypeError, match="integer"):
        public.encrypt(5.0)


def test_settings_of_numpys_integers_give_the_same_sums():
    updates, p = np.array([[0.5, -1.0], [1.5, 2.0]]), [0.25, 0.75]
    for options in ({}, {"pack_bits": 32}):
        wide = {name: np.int64(value) for name, value in options.items()}
        found = encrypted_aggregate(updates, p, slices=np.int64(100), key=KEY, **wide)
        assert found.tolist() == encrypted_aggregate(updates, p, key=KEY, **options).tolist()
        assert found == pytest.approx([1.25, 1.25], abs=1e-6)


@pytest.mark.parametrize("n", [-6, 0, 1, 2, 3])
def test_what_is_no_product_of_primes_is_not_taken_apart(n):
    with pytest.raises(ValueError, match=f"at least 4; got {n}"):
        factor(n)
