"""How fast the federation and its encryption run.

    python benchmarks/fedboost.py

Encryption: seconds for 1,000 numbers through encryption, addition over three clients and decryption with 2,048 bits,
by `phe` used straightforwardly (one number a ciphertext, its own encoding of floats), by ours as published, and by
ours packed; bytes of an upload; growth with the number of clients. Federation: rounds a second of the compact network
on words, with and without cross-validation. One thread. Writes benchmarks/results/fedboost.json. `phe` comes with the
test requirements.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch

from firsthand.fedboost import encrypted_aggregate, federate, generate_key, strategy
from firsthand.fedboost.lab.runs import word_clients
from firsthand.fedboost.protection import Packing
from firsthand.kit.lab.provenance import processor

RESULTS = Path(__file__).parent / "results" / "fedboost.json"
NUMBERS, FEW, BITS = 1000, 40, 2048  # what one number a ciphertext takes is measured on few and scaled


def phe_seconds(updates: np.ndarray, factors: list[int]) -> float:
    """Seconds of `phe` for a weighted sum of updates (N, P), key generation left out."""
    from phe import paillier

    public, private = paillier.generate_paillier_keypair(n_length=BITS)
    begin = time.perf_counter()
    sent = [[public.encrypt(float(v)) for v in row] for row in updates]
    added = [sum(f * c for f, c in zip(factors, column, strict=True)) for column in zip(*sent, strict=True)]
    _ = [private.decrypt(c) for c in added]
    return time.perf_counter() - begin


def our_seconds(updates: np.ndarray, p: np.ndarray, pack_bits: int | None) -> float:
    """Seconds of ours for the same, key generation left out."""
    key = generate_key(BITS)
    begin = time.perf_counter()
    encrypted_aggregate(updates, p, key=key, pack_bits=pack_bits)
    return time.perf_counter() - begin


def encryption() -> dict[str, float]:
    """Seconds for 1,000 numbers of each client."""
    rng = np.random.default_rng(0)
    found: dict[str, float] = {}
    for clients in (2, 3, 6):
        p = np.full(clients, 1 / clients)
        u = 0.01 * rng.standard_normal((clients, NUMBERS))
        scale = NUMBERS / FEW
        found[f"phe, {clients} clients"] = scale * phe_seconds(u[:, :FEW], [100 // clients] * clients)
        found[f"ours, {clients} clients"] = scale * our_seconds(u[:, :FEW], p, None)
        found[f"packed, {clients} clients"] = our_seconds(u, p, 32)
    return found


def rounds() -> dict[str, float]:
    """Rounds a second of two clients on words, the second of two timed rounds."""
    found = {}
    for name in ("fedavg", "fedboosting"):
        clients = word_clients("domains", 0)
        federate(clients, strategy(name), rounds=1)
        begin = time.perf_counter()
        federate(clients, strategy(name), rounds=2)
        found[name] = 2 / (time.perf_counter() - begin)
    return found


def main() -> None:
    torch.set_num_threads(1)
    seconds = encryption()
    for name, value in seconds.items():
        print(f"{name:<20}{value:9.2f} s for {NUMBERS} numbers a client", flush=True)
    speed = rounds()
    slots = Packing(32, 1.0, 100).slots(generate_key(BITS).public)
    ratios = {
        "ours / phe, speed": seconds["phe, 3 clients"] / seconds["ours, 3 clients"],
        "packed / phe, speed": seconds["phe, 3 clients"] / seconds["packed, 3 clients"],
        "packed / ours, speed": seconds["ours, 3 clients"] / seconds["packed, 3 clients"],
        "ours / packed, bytes": float(slots),
        "fedavg / fedboosting, rounds a second": speed["fedavg"] / speed["fedboosting"],
    }
    for name, value in ratios.items():
        print(f"{name}: {value:.2f}")
    content = {
        "processor": processor(), "threads": 1, "key_bits": BITS, "seconds_for_1000_numbers": seconds,
        "rounds_a_second": speed, "ratios": ratios,
    }  # fmt: skip
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
