"""Adding updates up without showing them: Paillier as published, Paillier packed, CKKS, and pairwise masks.

N clients, P numbers an update; arrays are float64. All of them return what `aggregate` would, each with its own error.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from operator import index

import numpy as np
from numpy.typing import ArrayLike

from firsthand.fedboost.paillier import KEY_BITS, PrivateKey, PublicKey, Random, generate_key
from firsthand.fedboost.weights import SLICES, Rounding, is_real, slice_weights

SCALE = 10**32  # of the released code: numbers become integers with 32 decimals
CKKS_SLOTS = 4096
MASK_BITS = 40  # of the fixed point that pairwise masks hide


@dataclass(frozen=True)
class Packing:
    """Many fixed-point numbers in one plaintext: slots beside each other, wide enough that sums never spill over.

    Attributes:
        bits: b of a number, sign included.
        bound: largest magnitude of all updates; the clients agree on it before they see any.
        total: largest sum of the factors that a slot has to hold. Clients encrypt before there are weights, so this is
            S + N: every one of N weights is rounded up by half a slice at most.
    """

    bits: int
    bound: float
    total: int

    def __post_init__(self) -> None:
        for name in ("bits", "total"):  # NumPy's integers would overflow in slots
            object.__setattr__(self, name, index(getattr(self, name)))

    @property
    def slot(self) -> int:
        """Bits of a slot: numbers are stored as 0 to 2 ** b, times a sum of factors up to `total`."""
        return self.bits + 1 + self.total.bit_length()

    @property
    def unit(self) -> float:
        """What the last bit stands for."""
        return self.bound / (2 ** (self.bits - 1) - 1) if self.bound > 0 else 1.0

    def slots(self, key: PublicKey) -> int:
        """How many numbers a plaintext takes; it must stay below n / 3."""
        room = (key.bits - 3) // self.slot
        if room < 1:
            raise ValueError(f"A key of {key.bits} bits has no room for a slot of {self.slot}.")
        return room

    def pack(self, update: np.ndarray, key: PublicKey) -> Iterator[int]:
        """Plaintexts of an update (P,)."""
        offset = 2 ** (self.bits - 1)
        numbers = [int(v) + offset for v in np.rint(update / self.unit)]
        width = self.slots(key)
        for begin in range(0, len(numbers), width):
            yield sum(value << (self.slot * k) for k, value in enumerate(numbers[begin : begin + width]))

    def unpack(self, plain: list[int], length: int, total: int, key: PublicKey) -> np.ndarray:
        """The sum (P,) in plaintexts that were added with factors of this total."""
        mask, width = (1 << self.slot) - 1, self.slots(key)
        offset = total * 2 ** (self.bits - 1)
        values = [(value >> (self.slot * k)) & mask for value in plain for k in range(width)][:length]
        return np.array([value - offset for value in values], dtype=float) * self.unit


def _integers(update: np.ndarray, slices: int) -> list[int]:
    """round(10^32 u / S) as the protocol has it, exactly: a float is a ratio of two integers."""
    found, slices = [], index(slices)
    for value in update:
        above, below = float(value).as_integer_ratio()
        found.append((2 * above * SCALE + below * slices) // (2 * below * slices))
    return found


def encrypted_aggregate(
    updates: ArrayLike, p: ArrayLike, *, slices: int = SLICES, key_bits: int = KEY_BITS,
    rounding: Rounding = "published", pack_bits: int | None = None, bound: float | None = None,
    key: PrivateKey | None = None, rng: Random | None = None,
) -> np.ndarray:  # fmt: skip
    """`aggregate` with sliced weights, through ciphertexts: clients encrypt, the server adds, clients decrypt.

    Args:
        updates: (N, P).
        p: weights (N,), sum 1.
        slices: S, the weights' whole numbers of slices.
        key_bits: of a fresh key.
        rounding: as `slice_weights`.
        pack_bits: None: one number a ciphertext with 32 decimals, as published, exact to 1e-12. b: b-bit fixed
            point, many numbers a ciphertext, error at most N 2 ** (1 - b) `bound`.
        bound: with packing, the largest magnitude that the clients agreed on. None takes it from the updates at hand,
            which clients apart from each other could not.
        key: in place of a fresh one.
        rng: of keys and ciphertexts; the system's unless a test needs repetition.

    Returns:
        sum_i w_i u_i / S (P,), w the sliced weights.

    Raises:
        ValueError: shapes that do not fit, an update that is not finite or beyond the bound, weights whose sum is more
            than packed numbers hold, or a key too short for the numbers.
    """
    if not is_real(updates):
        raise ValueError("Updates must be real numbers of a type that NumPy has.")
    u = np.asarray(updates, dtype=float)
    if u.ndim != 2:
        raise ValueError(f"Updates have shape (N, P); got {u.shape}.")
    if not np.isfinite(u).all():
        raise ValueError(f"The update of client {int(np.argwhere(~np.isfinite(u))[0][0])} is not finite.")
    factors = [int(w) for w in slice_weights(p, slices, rounding=rounding)]
    if len(factors) != len(u):
        raise ValueError(f"{len(u)} updates need as many weights; got {len(factors)}.")
    if factors and not any(factors):
        raise ValueError(f"{slices} slices are too few for {len(u)} clients: every weight becomes nought.")
    if pack_bits is not None and sum(factors) > slices + len(u):
        raise ValueError(f"Packed numbers hold weights whose sum is 1; got {sum(factors) / slices:g}.")
    key = key or generate_key(key_bits, rng)
    public = key.public
    if pack_bits is not None and pack_bits < 2:
        raise ValueError(f"A packed number has at least 2 bits; got {pack_bits}.")
    largest_update = float(np.abs(u).max(initial=0.0))
    if bound is not None and largest_update > bound:
        raise ValueError(f"An update of size {largest_update:.3g} exceeds the bound of {bound:.3g}.")
    packing = Packing(pack_bits, largest_update if bound is None else bound, slices + len(u)) if pack_bits else None
    plain = [list(packing.pack(row, public)) if packing else _integers(row, slices) for row in u]
    largest = sum(f * max(map(abs, row), default=0) for f, row in zip(factors, plain, strict=True))
    if 3 * largest >= public.n:
        raise ValueError(f"A key of {public.bits} bits is too short: the sum would have {largest.bit_length()} bits.")
    sent = [[public.encrypt(number, rng) for number in row] for row in plain]  # on the clients
    added = [public.weighted_sum(list(column), factors) for column in zip(*sent, strict=True)]  # on the server
    read = [key.decrypt(cipher) for cipher in added]  # on the clients
    if packing:
        return packing.unpack(read, u.shape[1], sum(factors), public) / slices
    return np.array([number / SCALE for number in read])


def _unfit(updates: ArrayLike, p: ArrayLike) -> str:
    """What is wrong with updates (N, P) and weights (N,), in a sentence, or nothing."""
    if not (is_real(updates) and is_real(p)):
        return "Updates and weights must be real numbers of a type that NumPy has."
    u, weights = np.asarray(updates, dtype=float), np.asarray(p, dtype=float)
    if u.ndim != 2 or not len(u) or weights.shape != (len(u),):
        return f"Updates (N, P) and weights (N,) are needed; got {u.shape} and {weights.shape}."
    wrong = np.argwhere(~(np.isfinite(u).all(axis=1) & np.isfinite(weights)))
    return f"The update or the weight of client {int(wrong[0][0])} is not finite." if len(wrong) else ""


def ckks_aggregate(updates: ArrayLike, p: ArrayLike) -> np.ndarray:
    """`aggregate` under CKKS (TenSEAL): thousands of approximate real numbers a ciphertext, and real weights.

    The server is given a context without the secret key; what travels are serialised ciphertexts. Decrypted results
    carry the scheme's noise, which tells about the key (Li and Micciancio, EUROCRYPT 2021): who holds the key must not
    publish them as they are.

    Args:
        updates: (N, P).
        p: (N,).

    Returns:
        (P,), error about 1e-7 of the updates' size.

    Raises:
        ValueError: shapes that do not fit, or a number that is not finite.
    """
    import tenseal as ts

    if _unfit(updates, p):
        raise ValueError(_unfit(updates, p))
    u, weights = np.asarray(updates, dtype=float), [float(w) for w in np.asarray(p, dtype=float)]
    clients = ts.context(ts.SCHEME_TYPE.CKKS, poly_modulus_degree=2 * CKKS_SLOTS, coeff_mod_bit_sizes=[60, 40, 40, 60])
    clients.global_scale = 2**40
    server = ts.context_from(clients.serialize(save_secret_key=False))
    result = np.empty(u.shape[1])
    for begin in range(0, u.shape[1], CKKS_SLOTS):
        part = slice(begin, begin + CKKS_SLOTS)
        wire = [ts.ckks_vector(clients, row[part].tolist()).serialize() for row in u]
        total = None
        for message, weight in zip(wire, weights, strict=True):
            scaled = ts.ckks_vector_from(server, message) * weight
            total = scaled if total is None else total + scaled
        assert total is not None
        result[part] = ts.ckks_vector_from(clients, total.serialize()).decrypt()
    return result


def masked_updates(updates: ArrayLike, p: ArrayLike, *, bound: float, seed: int = 0) -> np.ndarray:
    """What the server is sent under secure aggregation: every update hidden by masks that cancel in the sum.

    After K. Bonawitz et al., CCS 2017, without their recovery of clients that drop out: each pair of clients shares a
    seed; one adds the stream drawn from it, the other takes it away, modulo 2 ** 64. The weights are public, so a
    client weights its own update before it is hidden. The seeds here come from one number, for repetition; between
    real clients they come from a key exchange.

    Args:
        updates: (N, P).
        p: (N,).
        bound: largest magnitude allowed; fixes the fixed point.
        seed: of the pairs' seeds.

    Returns:
        uint64 (N, P).

    Raises:
        ValueError: shapes that do not fit, a number that is not finite, or a weighted update beyond the bound.
    """
    if _unfit(updates, p):
        raise ValueError(_unfit(updates, p))
    if not 0 < bound < np.inf:
        raise ValueError(f"The bound must be positive and finite; got {bound}.")
    u = np.asarray(updates, dtype=float) * np.asarray(p, dtype=float)[:, None]
    if np.abs(u).max(initial=0.0) > bound:
        raise ValueError(f"A weighted update exceeds the bound of {bound}.")
    hidden = np.rint(u / bound * 2**MASK_BITS).astype(np.int64).view(np.uint64)
    for i in range(len(u)):
        for j in range(i + 1, len(u)):
            stream = np.random.default_rng([seed, i, j]).integers(0, 2**64, u.shape[1], dtype=np.uint64)
            hidden[i] += stream
            hidden[j] -= stream
    return hidden


def masked_aggregate(updates: ArrayLike, p: ArrayLike, *, seed: int = 0) -> np.ndarray:
    """`aggregate` through pairwise masks: the server only ever sees noise and its sum.

    The error is at most N 2 ** -40 times the largest magnitude.

    Args:
        updates: (N, P).
        p: (N,).
        seed: of the masks.

    Raises:
        ValueError: shapes that do not fit, a number that is not finite, or a weight beyond 1.
    """
    if _unfit(updates, p):
        raise ValueError(_unfit(updates, p))
    bound = max(float(np.abs(np.asarray(updates, dtype=float)).max(initial=0.0)), 1e-300)
    sent = masked_updates(updates, p, bound=bound, seed=seed)
    return sent.sum(axis=0, dtype=np.uint64).view(np.int64) / 2**MASK_BITS * bound


def seeded(seed: int) -> random.Random:
    """Chance that repeats, for tests and pages; never for secrets."""
    return random.Random(seed)
