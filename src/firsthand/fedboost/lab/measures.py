"""What every claim of the chapter measures: measure(seed) -> (method, baseline or None)."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from firsthand.fedboost.federation import Client, Fit, federate, set_state
from firsthand.fedboost.lab import runs
from firsthand.fedboost.lab.runs import Case, Leak, final, history
from firsthand.fedboost.network import CRNN, CompactCRNN
from firsthand.fedboost.paillier import KEY_BITS, factor, generate_key
from firsthand.fedboost.protection import Packing, ckks_aggregate, encrypted_aggregate, seeded
from firsthand.fedboost.strategies import strategy
from firsthand.fedboost.weights import SLICES, aggregate, mix, mixing_matrix, slice_weights, unmix
from firsthand.kit.lab.cached import cached
from firsthand.kit.lab.claims import NotTested

Value = tuple[float, float | None]
SAMPLE = 50  # numbers of a model that are encrypted one by one
COUNTED, TIMES = 20, 3  # numbers over which a stage is timed, and how often
RELEASED_BITS = 128  # of the released configuration
LEAST = 80.0  # per cent that central training must read before strategies are compared
RULES: dict[str, tuple[tuple[str, object], ...]] = {
    "clipped": (("floor", runs.FLOOR),), "softmax": (("metric", "softmax"),),
}  # fmt: skip
AVERAGE, BY_SIZE = Case("words", "domains", "fedavg"), Case("words", "domains", "fedavg-size")
BOOSTED = Case("words", "domains", "fedboosting")
WARMUP = 2  # rounds
WORDS = {
    "fedavg": AVERAGE, "fedavg-size": BY_SIZE,
    "fedprox": Case("words", "domains", "fedprox", options=(("mu", runs.PROX_MU),)), "fedboosting": BOOSTED,
    **{name: replace(BOOSTED, options=options) for name, options in RULES.items()},
    "warm": replace(BOOSTED, warmup=WARMUP), "qffl": Case("words", "domains", "qffl"),
    "median": Case("words", "domains", "median"), "protected": replace(BOOSTED, keep=0.9, slices=SLICES),
}  # fmt: skip


def digit_case(split: str, name: str, epochs: int, **rest: object) -> Case:
    """A federation on digits, by the name of a strategy or of one of RULES."""
    if name in RULES:
        name, rest = "fedboosting", {"options": RULES[name], **rest}
    return Case("digits", split, name, epochs=epochs, **rest)  # type: ignore[arg-type]


def parameters(name: str, seed: int) -> Value:
    """Trained parameters of a recogniser."""
    with torch.device("meta"):
        model = CompactCRNN() if name == "compact" else CRNN(keras=name == "keras")
    return float(sum(p.numel() for p in model.parameters() if p.requires_grad)), None


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
    u, p = _updates(seed)[:, -SAMPLE:], _weights(seed)  # of the last layer: the first one's are often 0
    found = encrypted_aggregate(u, p, rng=seeded(seed))
    return float(np.abs(found - aggregate(u, slice_weights(p) / SLICES)).max()), None


def predictions_changed(seed: int) -> Value:
    """Test digits that a model reads differently when its update came through packed ciphertexts."""
    u, p = _updates(seed), _weights(seed)
    parties = runs.digit_clients("sorted", seed)
    state, x = _start(parties), runs.digits()[2]
    read = []
    for total in (encrypted_aggregate(u, p, pack_bits=32, rng=seeded(seed)), aggregate(u, slice_weights(p) / SLICES)):
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
    """Bytes of the longest of some real 2,048-bit ciphertexts over those of a float32."""
    public = generate_key(KEY_BITS, seeded(seed)).public
    sent = [public.encrypt(number, seeded(1000 * seed + number)) for number in range(20)]
    return max((cipher.bit_length() + 7) // 8 for cipher in sent) / 4, None


def short_key(seed: int) -> Value:
    """1 if a 64-bit key is factored, by Pollard's rho."""
    key = generate_key(64, seeded(seed))
    return float(set(factor(key.public.n)) == {key.p, key.q}), None


def released_key(seed: int) -> Value:
    """1 if a key of the released length is factored, by SymPy's quadratic sieve."""
    from sympy.ntheory.qs import qs

    key = generate_key(RELEASED_BITS, seeded(seed))
    found = {int(prime) for prime in qs(key.public.n, 3000, 20_000)}
    return float(bool(found & {key.p, key.q})), None


@cached
def stages(bits: int, count: int, seed: int) -> dict[str, float]:
    """Seconds for one number in every stage of a sum over three clients, one number a ciphertext: medians of TIMES."""
    key, rng, u = generate_key(bits, seeded(seed)), seeded(seed), _updates(seed)[:, -count:]
    public, plain = key.public, [[int(1e9 * v) for v in row] for row in u]
    seconds = []
    for _ in range(TIMES):
        clock = [time.process_time()]
        sent = [[public.encrypt(number, rng) for number in row] for row in plain]
        clock.append(time.process_time())
        added = [public.weighted_sum(list(column), [33, 33, 34]) for column in zip(*sent, strict=True)]
        clock.append(time.process_time())
        assert [key.decrypt(cipher) for cipher in added]
        clock.append(time.process_time())
        seconds.append(np.diff(clock) / count)
    return dict(zip(("encrypt", "add", "decrypt"), np.median(seconds, axis=0).tolist(), strict=True))


def encrypting_share(seed: int) -> Value:
    """Share of encryption in the seconds of all stages, 2,048 bits."""
    found = stages(KEY_BITS, COUNTED, seed)
    return found["encrypt"] / sum(found.values()), None


def linear(seed: int) -> Value:
    """Seconds for one number when there are three times as many, over those when there are few."""
    many, few = (sum(stages(KEY_BITS, count, seed).values()) for count in (3 * COUNTED, COUNTED))
    return many / few, None


def longer_key(seed: int) -> Value:
    """Seconds of encryption with 2,048 bits over those with 1,024."""
    return stages(KEY_BITS, COUNTED, seed)["encrypt"] / stages(KEY_BITS // 2, COUNTED, seed)["encrypt"], None


def against_ckks(seed: int) -> Value:
    """Seconds of packed Paillier over those of CKKS, for the same three whole updates, keys included."""
    u, p = _updates(seed), _weights(seed)
    clock = [time.process_time()]
    encrypted_aggregate(u, p, pack_bits=32, rng=seeded(seed))
    clock.append(time.process_time())
    ckks_aggregate(u, p)
    clock.append(time.process_time())
    return clock[1] - clock[0], clock[2] - clock[1]


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


def slicing_costs(slices: int, seed: int) -> tuple[float, float]:
    """Accuracy (percent) on digits with sliced against real weights."""
    case = digit_case("dirichlet", "fedboosting", 1)
    return _score(replace(case, slices=slices), seed, "digits"), _score(case, seed, "digits")


def slicing_moves(slices: int, seed: int) -> Value:
    """Absolute change of that accuracy, points: with so many slices against a hundred, whose change is noise."""
    few, many = (slicing_costs(count, seed) for count in (slices, SLICES))
    return abs(few[0] - few[1]), abs(many[0] - many[1])


def mixing_sum(clients: int, seed: int) -> Value:
    """What the weights of a published mixture sum to."""
    return float(mixing_matrix(clients, slices=SLICES)[0].sum()), None


def unmixed_models(seed: int) -> Value:
    """Relative error of updates recovered from mixed models as clients are sent them, in single precision."""
    parties = runs.digit_clients("sorted", seed)
    state, u = _start(parties), _updates(seed)
    shown = (state - mix(u, slices=SLICES)).astype(np.float32)
    found = unmix(state.astype(np.float64) - shown, slices=SLICES)
    return float(np.linalg.norm(found - u) / np.linalg.norm(u)), None


def other_of_two(seed: int) -> Value:
    """Two clients: relative error of the other's update, from the new model and one's own update alone."""
    u = _updates(seed, 2)
    state = _start(runs.digit_clients("sorted", seed, 2))
    after = (state - aggregate(u, [0.5, 0.5])).astype(np.float32)
    found = 2 * (state.astype(np.float64) - after) - u[0]
    return float(np.linalg.norm(found - u[1]) / np.linalg.norm(u[1])), None


def unmixing_error(seed: int) -> Value:
    """Relative error of updates recovered from all mixtures."""
    u = _updates(seed)
    return float(np.linalg.norm(unmix(mix(u, slices=SLICES), slices=SLICES) - u) / np.linalg.norm(u)), None


def mixture_cosine(seed: int) -> Value:
    """Least cosine between a mixture and the update it should hide, two clients."""
    u = _updates(seed, 2)
    m = mix(u)
    return float(min(a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(u, m, strict=True))), None


def _score(case: Case, seed: int, test: str) -> float:
    """Final accuracy (percent) on a test, or its "mean" or "worst" over tests."""
    found = history(case, seed)
    scores = {"mean": found.mean_score, "worst": found.worst_score}
    return final(scores[test]() if test in scores else found.scores[test], case.last)


def _mean(case: Case, seed: int) -> float:
    return _score(case, seed, "mean")


def _solo(who: str, seed: int) -> np.ndarray:
    return np.mean(list(runs.alone("domains", who, runs.WORD_ROUNDS[1], seed).values()), axis=0)


def central(seed: int) -> Value:
    """Word accuracy (percent, mean of both tests) of one network on all words."""
    return final(_solo("central", seed), AVERAGE.last), None


def _floor(seed: int) -> float:
    """Central accuracy; where even that is low, no comparison means anything."""
    found = central(seed)[0]
    if found < LEAST:
        raise NotTested(f"central training reads less than {LEAST:.0f} % of the words")
    return found


def words_against(name: str, other: str, epochs: int, seed: int) -> Value:
    """Word accuracy (percent, mean of both tests) of one strategy against another."""
    _floor(seed)
    return _mean(replace(WORDS[name], epochs=epochs), seed), _mean(replace(WORDS[other], epochs=epochs), seed)


def softmax_weights(seed: int) -> Value:
    """Largest distance of a client's weight from a half by the softmax, mean over the rounds."""
    return float(np.abs(history(WORDS["softmax"], seed).weights - 1 / 2).max(1).mean()), None


def worst_against(name: str, other: str, seed: int, split: str = "domains") -> Value:
    """Word accuracy (percent) on the worse served domain."""
    return split_against(split, other, "worst", seed, name)


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
    return _floor(seed), _mean(AVERAGE, seed)


def beats_alone(seed: int) -> Value:
    """FedAvg against the better of two clients that train alone, mean of both tests."""
    _floor(seed)
    return _mean(AVERAGE, seed), max(final(_solo(who, seed), AVERAGE.last) for who in ("print", "sign"))


def rounds_needed(name: str, seed: int) -> float:
    """Rounds to four fifths of central accuracy; one more than there are if it is not reached."""
    curve = 100 * history(WORDS[name], seed).mean_score()
    reached = np.flatnonzero(curve >= 0.8 * _floor(seed))
    return float(reached[0] + 1 if len(reached) else len(curve) + 1)


def faster(seed: int) -> Value:
    """Rounds to four fifths of central accuracy: FedAvg against FedBoosting."""
    return rounds_needed("fedavg", seed), rounds_needed("fedboosting", seed)


def hard_weight(seed: int) -> Value:
    """Mean weight of the harder of two equally large domains over the rounds."""
    return float(history(replace(BOOSTED, split="even"), seed).weights[:, 1].mean()), None


def split_against(split: str, other: str, test: str, seed: int, name: str = "fedboosting") -> Value:
    """Word accuracy (percent) on a split, one strategy against another, on a test, or their "mean" or "worst"."""
    _floor(seed)
    return tuple(_score(replace(WORDS[case], split=split), seed, test) for case in (name, other))  # type: ignore[return-value]


def bad_weight_words(seed: int) -> Value:
    """Mean weight of the client with random words."""
    return float(history(replace(BOOSTED, split="corrupted"), seed).weights[:, 2].mean()), None


def digits_against(split: str, epochs: int, other: str, seed: int, name: str = "fedboosting") -> Value:
    """Accuracy (percent) on digits, one strategy or rule against another."""
    cases = (digit_case(split, one, epochs) for one in (name, other))
    return tuple(_score(case, seed, "digits") for case in cases)  # type: ignore[return-value]


def bad_weight(split: str, epochs: int, seed: int) -> Value:
    """Mean weight of client 0, whose labels are wrong."""
    return float(history(digit_case(split, "fedboosting", epochs), seed).weights[:, 0].mean()), None


def even_weights(seed: int) -> Value:
    """Largest distance of a client's weight from a third, mean over the rounds, equal shares."""
    return float(np.abs(history(digit_case("iid", "fedboosting", 1), seed).weights - 1 / 3).max(1).mean()), None


def skew_gap(seed: int) -> Value:
    """Central minus FedAvg on digits, in points: sorted by label against equal shares."""
    best = runs.central_digits(seed)
    gaps = [best - _score(digit_case(split, "fedavg", 1), seed, "digits") for split in ("sorted", "iid")]
    return gaps[0], gaps[1]


def liar_costs(seed: int) -> Value:
    """Accuracy (percent) of FedBoosting against FedAvg; a client with random labels reports a loss of a millionth."""

    def lie(number: int, client: Client, fit: Fit) -> Fit:
        return replace(fit, train_loss=1e-6) if client.name == "client 0" else fit

    found = federate(
        runs.digit_clients("corrupted", seed), strategy("fedboosting"), rounds=runs.DIGIT_ROUNDS, tamper=lie,
        tests={"digits": runs.digits()[2:]},
    )  # fmt: skip
    average = digit_case("corrupted", "fedavg", 1)  # it knows no losses, so lies change nothing
    return final(found.scores["digits"], average.last), _score(average, seed, "digits")


def not_here(seed: int) -> Value:
    """Accuracy on published test sets."""
    raise NotTested("needs MJSynth and SynthText, millions of words; the preset `paper` trains on them")


def leak_cost(view: str, seed: int) -> Value:
    """PSNR (dB) of the attack on the raw update against another view of it."""
    return runs.leaked_psnr(Leak("raw"), seed), runs.leaked_psnr(Leak(view), seed)


def noise_against_mixing(seed: int) -> Value:
    """PSNR (dB) of the attack on the mixture against noise of the same size."""
    return runs.leaked_psnr(Leak("mixed"), seed), runs.leaked_psnr(Leak("noise"), seed)


def better_than_guess(view: str, seed: int) -> Value:
    """PSNR (dB) of the attack on a view against a guess without any gradient."""
    return runs.leaked_psnr(Leak(view), seed), runs.guess_psnr(seed)


def hidden_view(seed: int) -> Value:
    """PSNR (dB) of a guess without any gradient against the attack on a masked upload."""
    return runs.guess_psnr(seed), runs.leaked_psnr(Leak("hidden"), seed)
