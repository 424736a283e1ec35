"""What every claim of the chapter measures: measure(seed) -> (method, baseline or None)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from firsthand.fedboost import runs
from firsthand.fedboost.federation import Client, Fit, federate, set_state
from firsthand.fedboost.network import CRNN, CompactCRNN
from firsthand.fedboost.paillier import KEY_BITS, factor, generate_key
from firsthand.fedboost.protection import Packing, ckks_aggregate, encrypted_aggregate, seeded
from firsthand.fedboost.runs import Case, Leak, final, history
from firsthand.fedboost.strategies import strategy
from firsthand.fedboost.weights import SLICES, aggregate, mix, slice_weights, unmix
from firsthand.kit.claims import NotTested

Value = tuple[float, float | None]
SAMPLE = 50  # numbers of a model that are encrypted one by one
CLIPPED = (("floor", runs.FLOOR),)
AVERAGE, BY_SIZE = Case("words", "domains", "fedavg"), Case("words", "domains", "fedavg-size")
BOOSTED = Case("words", "domains", "fedboosting")
WORDS = {
    "fedavg": AVERAGE,
    "fedavg-size": BY_SIZE,
    "fedprox": Case("words", "domains", "fedprox"),
    "fedboosting": BOOSTED,
    "clipped": replace(BOOSTED, options=CLIPPED),
    "qffl": Case("words", "domains", "qffl"),
    "protected": replace(BOOSTED, keep=0.9, slices=SLICES),
}


def digit_case(split: str, name: str, epochs: int, **rest: object) -> Case:
    """A federation on digits."""
    return Case("digits", split, name, epochs=epochs, **rest)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ sizes, sums


def parameters(name: str, seed: int) -> Value:
    """Parameters of a recogniser."""
    with torch.device("meta"):
        model = CRNN() if name == "full" else CompactCRNN()
    return float(sum(p.numel() for p in model.parameters())), None


def _updates(seed: int, clients: int = 3) -> np.ndarray:
    """Real updates (N, P): one round of digits sorted by label."""
    parties = runs.digit_clients("sorted", seed, clients)
    state = np.asarray(_start(parties))
    return np.stack([client.fit(state, 1).update for client in parties])


def _start(parties: list[Client]) -> np.ndarray:
    from firsthand.fedboost.federation import get_state

    return get_state(parties[0].task.make())


def _weights(seed: int, clients: int = 3) -> np.ndarray:
    return np.random.default_rng([seed, 21]).dirichlet(np.full(clients, 3.0))


def encryption_gap(seed: int) -> Value:
    """Largest difference between decrypted and plain sum with the same sliced weights, 2,048-bit key."""
    u, p = _updates(seed)[:, :SAMPLE], _weights(seed)
    found = encrypted_aggregate(u, p, rng=seeded(seed))
    return float(np.abs(found - aggregate(u, slice_weights(p) / SLICES)).max()), None


def predictions_changed(seed: int) -> Value:
    """Test digits that a model reads differently when its update came through packed ciphertexts."""
    u, p = _updates(seed), _weights(seed)
    parties = runs.digit_clients("sorted", seed)
    state, x = _start(parties), runs.digits()[2]
    read = []
    for total in (
        encrypted_aggregate(u, p, pack_bits=32, rng=seeded(seed)),
        aggregate(u, slice_weights(p) / SLICES),
    ):
        model = parties[0].model
        set_state(model, (state - total).astype(np.float32))
        with torch.no_grad():
            read.append(model(x).argmax(1))
    return float((read[0] != read[1]).sum()), None


def ckks_gap(seed: int) -> Value:
    """Largest error of the sum under CKKS over the largest update."""
    u, p = _updates(seed), _weights(seed)
    return float(np.abs(ckks_aggregate(u, p) - aggregate(u, p)).max() / np.abs(u).max()), None


def slots(seed: int) -> Value:
    """Numbers of 32 bits that one 2,048-bit plaintext takes."""
    return float(Packing(32, 1.0, SLICES).slots(generate_key(KEY_BITS, seeded(seed)).public)), None


def growth(seed: int) -> Value:
    """Bytes of a 2,048-bit ciphertext over those of a float32."""
    return KEY_BITS * 2 / 8 / 4, None


def short_key(seed: int) -> Value:
    """1 if a 64-bit key is factored."""
    key = generate_key(64, seeded(seed))
    return float(set(factor(key.public.n)) == {key.p, key.q}), None


def slices_outside(seed: int) -> Value:
    """Of a thousand sets of weights, those with a sliced weight farther than 1 / (2 S) from the real one."""
    rng = np.random.default_rng(seed)
    wrong = 0
    for _ in range(1000):
        p = rng.dirichlet(np.ones(rng.integers(2, 40)))
        wrong += int(np.abs(slice_weights(p) / SLICES - p).max() > 0.5 / SLICES + 1e-12)
    return float(wrong), None


def slices_left(clients: int, seed: int) -> Value:
    """Sum of FedAvg's sliced weights over S, as published."""
    return float(slice_weights(np.full(clients, 1 / clients)).sum() / SLICES), None


def slicing_costs(slices: int, seed: int) -> Value:
    """Accuracy (percent) on digits with sliced against real weights."""
    case = digit_case("dirichlet", "fedboosting", 1)
    sliced = history(replace(case, slices=slices), seed)
    return final(sliced.scores["digits"]), final(history(case, seed).scores["digits"])


def slicing_moves(slices: int, seed: int) -> Value:
    """Absolute change of that accuracy, points."""
    here, there = slicing_costs(slices, seed)
    assert there is not None
    return abs(here - there), None


def unmixing_error(seed: int) -> Value:
    """Relative error of updates recovered from all mixtures."""
    u = _updates(seed)
    return float(np.linalg.norm(unmix(mix(u, slices=SLICES), slices=SLICES) - u) / np.linalg.norm(u)), None


def mixture_cosine(seed: int) -> Value:
    """Least cosine between a mixture and the update it should hide, two clients."""
    u = _updates(seed, 2)
    m = mix(u)
    return float(min(a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(u, m, strict=True))), None


# -------------------------------------------------------------------------------------------- accuracy


def _mean(case: Case, seed: int) -> float:
    return final(history(case, seed).mean_score())


def _worst(case: Case, seed: int) -> float:
    return final(history(case, seed).worst_score())


def _central(seed: int) -> np.ndarray:
    epochs = runs.WORD_ROUNDS[1]
    return np.mean(list(runs.alone("domains", "central", epochs, seed).values()), axis=0)


def central(seed: int) -> Value:
    """Word accuracy (percent, mean of both tests) of one network on all words."""
    return final(_central(seed)), None


def words_against(name: str, other: str, epochs: int, seed: int) -> Value:
    """Word accuracy (percent, mean of both tests) of one strategy against another."""
    return _mean(replace(WORDS[name], epochs=epochs), seed), _mean(replace(WORDS[other], epochs=epochs), seed)


def worst_against(name: str, other: str, seed: int) -> Value:
    """Word accuracy (percent) on the worse served domain."""
    return _worst(WORDS[name], seed), _worst(WORDS[other], seed)


def advantage_grows(seed: int) -> Value:
    """FedBoosting minus FedAvg, in points: with three local epochs against one."""
    three, one = (words_against("fedboosting", "fedavg", e, seed) for e in (3, 1))
    assert three[1] is not None
    assert one[1] is not None
    return three[0] - three[1], one[0] - one[1]


def drift(name: str, seed: int) -> Value:
    """Word accuracy with one local epoch a round against three, at equal epochs in all."""
    return _mean(WORDS[name], seed), _mean(replace(WORDS[name], epochs=3), seed)


def below_central(seed: int) -> Value:
    """Central training against FedAvg, word accuracy."""
    return final(_central(seed)), _mean(AVERAGE, seed)


def beats_alone(seed: int) -> Value:
    """FedAvg against the better of two clients that train alone, mean of both tests."""
    epochs = runs.WORD_ROUNDS[1]
    solo = [
        final(np.mean(list(runs.alone("domains", who, epochs, seed).values()), axis=0)) for who in ("print", "sign")
    ]
    return _mean(AVERAGE, seed), max(solo)


def rounds_needed(name: str, seed: int) -> float:
    """Rounds to four fifths of central accuracy; one more than there are if it is not reached."""
    curve = 100 * history(WORDS[name], seed).mean_score()
    reached = np.flatnonzero(curve >= 0.8 * final(_central(seed)))
    return float(reached[0] + 1 if len(reached) else len(curve) + 1)


def faster(seed: int) -> Value:
    """Rounds to four fifths of central accuracy: FedAvg against FedBoosting."""
    return rounds_needed("fedavg", seed), rounds_needed("fedboosting", seed)


def hard_weight(seed: int) -> Value:
    """Mean weight of the harder domain over the rounds."""
    return float(history(BOOSTED, seed).weights[:, 1].mean()), None


def hard_accuracy(seed: int) -> Value:
    """Word accuracy (percent) on the harder domain, FedBoosting against FedAvg."""
    return final(history(BOOSTED, seed).scores["sign"]), final(history(AVERAGE, seed).scores["sign"])


def split_against(split: str, seed: int) -> Value:
    """Word accuracy (percent, mean of both tests) on another split, FedBoosting against FedAvg."""
    return _mean(replace(BOOSTED, split=split), seed), _mean(replace(AVERAGE, split=split), seed)


def printed_skew(seed: int) -> Value:
    """Word accuracy (percent) on print where clients lack some digits, FedBoosting against FedAvg."""
    boosted, average = (history(replace(case, split="labels"), seed) for case in (BOOSTED, AVERAGE))
    return final(boosted.scores["print"]), final(average.scores["print"])


def bad_weight_words(seed: int) -> Value:
    """Mean weight of the client with random words."""
    return float(history(replace(BOOSTED, split="corrupted"), seed).weights[:, 2].mean()), None


def digits_against(split: str, epochs: int, other: str, seed: int, floor: float = 0.0) -> Value:
    """Accuracy (percent) on digits, FedBoosting against another strategy."""
    options = (("floor", floor),) if floor else ()
    boosted = history(digit_case(split, "fedboosting", epochs, options=options), seed)
    return final(boosted.scores["digits"]), final(history(digit_case(split, other, epochs), seed).scores["digits"])


def bad_weight(epochs: int, seed: int) -> Value:
    """Mean weight of the client with random labels."""
    return float(history(digit_case("corrupted", "fedboosting", epochs), seed).weights[:, 0].mean()), None


def even_weights(seed: int) -> Value:
    """Largest distance of a client's mean weight from a third, equal shares."""
    return float(np.abs(history(digit_case("iid", "fedboosting", 1), seed).weights.mean(0) - 1 / 3).max()), None


def skew_gap(seed: int) -> Value:
    """Central minus FedAvg on digits, in points: sorted by label against equal shares."""
    best = runs.central_digits(seed)
    gaps = [best - final(history(digit_case(split, "fedavg", 1), seed).scores["digits"]) for split in ("sorted", "iid")]
    return gaps[0], gaps[1]


def liar_weight(seed: int) -> Value:
    """Mean weight of a client with random labels that reports a training loss of a millionth."""

    def lie(number: int, client: Client, fit: Fit) -> Fit:
        return replace(fit, train_loss=1e-6) if client.name == "client 0" else fit

    found = federate(runs.digit_clients("corrupted", seed), strategy("fedboosting"), rounds=5, tamper=lie)
    return float(found.weights[:, 0].mean()), None


def not_here(seed: int) -> Value:
    """Accuracy on published test sets."""
    raise NotTested("needs MJSynth and SynthText, millions of words; the preset `paper` trains on them")


# ------------------------------------------------------------------------------------------------ leaks


def leak_cost(view: str, seed: int) -> Value:
    """PSNR (dB) of the attack on the raw update against another view of it."""
    return runs.leaked_psnr(Leak("raw"), seed), runs.leaked_psnr(Leak(view), seed)


def noise_against_mixing(seed: int) -> Value:
    """PSNR (dB) of the attack on the mixture against noise of the same size."""
    return runs.leaked_psnr(Leak("mixed"), seed), runs.leaked_psnr(Leak("noise"), seed)


def hidden_view(seed: int) -> Value:
    """PSNR (dB) of a guess without any gradient against the attack on a masked upload."""
    return runs.guess_psnr(seed), runs.leaked_psnr(Leak("hidden"), seed)


# ------------------------------------------------------------------------------------------------ curves


def accuracy_curve(name: str, seed: int) -> list[float | None]:
    """Word accuracy (percent, mean of both tests) after every round."""
    return (100 * history(WORDS[name], seed).mean_score()).tolist()


def digits_curve(seed: int) -> list[float | None]:
    """Accuracy (percent) on digits after every round of FedBoosting, equal shares."""
    return (100 * history(digit_case("iid", "fedboosting", 1), seed).scores["digits"]).tolist()
