"""Paillier's cryptosystem: numbers that can be added and scaled while nobody but the key's holder can read them.

P. Paillier, "Public-Key Cryptosystems Based on Composite Degree Residuosity Classes", EUROCRYPT 1999, with the usual
g = n + 1. For teaching: the arithmetic is right and keys come from the system's randomness, but timing and memory are
not protected. Use a reviewed library for anything that matters.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from operator import index
from typing import Any, Protocol

try:  # integers of 4,096 bits, several times faster than Python's own
    import gmpy2
except ImportError:  # pragma: no cover - the lock file has it
    gmpy2 = None  # type: ignore[assignment]

KEY_BITS = 2048  # smaller keys are for breaking


class Random(Protocol):
    """What keys and ciphertexts are drawn with: `random.SystemRandom()`, or a seeded `random.Random` in a test."""

    def getrandbits(self, k: int, /) -> int: ...
    def randrange(self, start: int, stop: int, /) -> int: ...


def power(base: int, exponent: int, modulus: int) -> int:
    """base ** exponent mod modulus."""
    return int(gmpy2.powmod(base, exponent, modulus)) if gmpy2 else pow(base, exponent, modulus)


def _is_prime(number: int, rng: Random, rounds: int = 40) -> bool:
    """Miller and Rabin's test; wrong with probability below 4 ** -rounds."""
    if gmpy2:
        return bool(gmpy2.is_prime(number, rounds))
    if any(number % p == 0 for p in (2, 3, 5, 7, 11, 13)):
        return number in (2, 3, 5, 7, 11, 13)
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(rounds):
        x = pow(rng.randrange(2, number - 1), odd, number)
        if x in (1, number - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % number
            if x == number - 1:
                break
        else:
            return False
    return True


def _prime(bits: int, rng: Random) -> int:
    while True:
        # The two highest bits are set, so that a product of two primes has exactly twice the bits.
        candidate = rng.getrandbits(bits) | (3 << (bits - 2)) | 1
        if _is_prime(candidate, rng):
            return candidate


@dataclass(frozen=True)
class PublicKey:
    """What everybody may know: n. Ciphertexts are integers modulo n squared."""

    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", index(self.n))

    @cached_property
    def square(self) -> int:
        """n squared."""
        return self.n * self.n

    def encrypt(self, number: int, rng: Random | None = None) -> int:
        """Enc(m) = (1 + m n) r ** n mod n squared, r drawn afresh; a negative m stands for n minus its magnitude.

        Raises:
            ValueError: the magnitude is n / 3 or more, where the sign would be lost.
            TypeError: not a whole number.
        """
        number = index(number)  # NumPy's integers would overflow
        if 3 * abs(number) >= self.n:
            raise ValueError(f"A number of {abs(number).bit_length()} bits is too large for a key of {self.bits} bits.")
        chance = rng or random.SystemRandom()
        r = chance.randrange(1, self.n)
        while gcd(r, self.n) > 1:  # a multiple of a prime factor; matters for short keys only
            r = chance.randrange(1, self.n)
        return (1 + number % self.n * self.n) % self.square * power(r, self.n, self.square) % self.square

    @property
    def bits(self) -> int:
        """Length of n."""
        return self.n.bit_length()

    def add(self, first: int, second: int) -> int:
        """A ciphertext of the sum of two."""
        return index(first) * index(second) % self.square

    def scale(self, cipher: int, factor: int) -> int:
        """A ciphertext of factor times the number; the factor is a plain integer."""
        return power(index(cipher), index(factor) % self.n, self.square)

    def weighted_sum(self, ciphers: list[int], factors: list[int]) -> int:
        """A ciphertext of sum_i factors[i] m_i."""
        total = 1  # a ciphertext of 0 with r = 1
        for cipher, factor in zip(ciphers, factors, strict=True):
            total = self.add(total, self.scale(cipher, factor))
        return total


@dataclass(frozen=True)
class PrivateKey:
    """What reads: the two primes of n = p q."""

    p: int
    q: int

    def __post_init__(self) -> None:
        for name in ("p", "q"):
            object.__setattr__(self, name, index(getattr(self, name)))

    @cached_property
    def public(self) -> PublicKey:
        """The other half."""
        return PublicKey(self.p * self.q)

    @cached_property
    def _halves(self) -> tuple[tuple[int, int], tuple[int, int], int]:
        """For each prime, itself and the inverse that decryption needs; and p's inverse modulo q."""
        n = self.public.n

        def inverse(prime: int) -> int:
            return pow((power(1 + n, prime - 1, prime * prime) - 1) // prime, -1, prime)

        return (self.p, inverse(self.p)), (self.q, inverse(self.q)), pow(self.p, -1, self.q)

    def decrypt(self, cipher: int) -> int:
        """The number in a ciphertext, with its sign; modulo each prime and then joined (four times faster)."""
        cipher = index(cipher)
        first, second, p_inverse = self._halves
        a, b = (
            (power(cipher, prime - 1, prime * prime) - 1) // prime * inverse % prime
            for prime, inverse in (first, second)
        )
        number = a + (b - a) * p_inverse % self.q * self.p
        return number - self.public.n if 2 * number > self.public.n else number


def generate_key(bits: int = KEY_BITS, rng: Random | None = None) -> PrivateKey:
    """A fresh key whose n has so many bits.

    Args:
        bits: even, at least 16; 2048 is today's least for secrets.
        rng: source of chance; the system's unless a test needs a repeatable key.
    """
    bits = index(bits)
    if bits < 16 or bits % 2:
        raise ValueError(f"A key has an even number of bits, at least 16; got {bits}.")
    rng = rng or random.SystemRandom()
    while True:
        p, q = _prime(bits // 2, rng), _prime(bits // 2, rng)
        if p != q:
            return PrivateKey(p, q)


def factor(n: int) -> tuple[int, int]:
    """The two primes of a small n, by Pollard's rho: about the fourth root of n steps. This is how short keys break.

    Raises:
        ValueError: nothing to take apart: less than 4, or a prime.
    """
    n = index(n)
    if n < 4:
        raise ValueError(f"A product of two primes is at least 4; got {n}.")
    if n % 2 == 0:
        return 2, n // 2
    for shift in range(1, 100):
        slow = fast = 2
        product, steps = 1, 0
        while True:
            before = slow, fast
            for _ in range(128):  # one greatest common divisor for many steps
                slow = (slow * slow + shift) % n
                fast = (fast * fast + shift) % n
                fast = (fast * fast + shift) % n
                product = product * (slow - fast) % n
            steps += 128
            if gcd(product, n) > 1:
                slow, fast = before
                break
        for _ in range(128):
            slow = (slow * slow + shift) % n
            fast = (fast * fast + shift) % n
            fast = (fast * fast + shift) % n
            found: Any = gcd(slow - fast, n)
            if found > 1:
                break
        if 1 < found < n:
            return found, n // found
    raise ValueError("No factor was found; is the number prime?")
