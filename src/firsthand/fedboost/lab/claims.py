"""The chapter's claims. Of the paper we could verify its abstract, one table and the protocol's figure.

Rows of source "paper" follow a sentence of the abstract or a comparison of the table, "code" the released code; data,
settings and thresholds are ours.
"""

from __future__ import annotations

from functools import partial

from firsthand.fedboost.lab import by_client
from firsthand.fedboost.lab import measures as m
from firsthand.fedboost.lab.curves import CURVES
from firsthand.fedboost.lab.runs import FLOOR, PROX_MU
from firsthand.kit.lab.claims import Claim, template

__all__ = ["CLAIMS", "CURVES"]


_claim = template(unit="points", repeats_within=10.0)  # of accuracy
_exact = template(unit="1", rule="exact", repeats_within=1e-9)


CLAIMS: list[Claim] = [
    # ------------------------------------------------------------------------------- sizes and arithmetic
    _exact("size-full", partial(m.parameters, "full"), sentence="The released recogniser has 8,725,413 parameters in PyTorch, whose LSTM has two bias vectors a direction.",
           metric="parameters", source="code", target=8_725_413.0, seeds=1),
    _exact("size-keras", partial(m.parameters, "keras"), sentence="With one, as in Keras, it has 8,721,317.", metric="parameters", source="code",
           target=8_721_317.0, seeds=1),
    _exact("size-compact", partial(m.parameters, "compact"), sentence="Ours for two slow cores has 94,395.", metric="parameters",
           target=94_395.0, seeds=1),
    _exact("encrypted-equal", m.encryption_gap, sentence="Encryption loses nothing: decrypted and plain sum are equal.", source="code",
           metric="largest difference, 2,048-bit key", tolerance=1e-12, repeats_within=1e-12),
    _exact("encrypted-read", m.predictions_changed, sentence="A model whose update came through packed ciphertexts reads every test digit as before.",
           metric="digits read differently", unit="digits"),
    _claim("ckks-error", m.ckks_gap, sentence="CKKS adds up with an error below a millionth of the largest update.", metric="relative error",
           unit="1", rule="at_most", target=1e-6, repeats_within=1e-6),
    _exact("pack-slots", m.slots, sentence="A 2,048-bit plaintext takes 51 packed numbers of 32 bits.", metric="numbers a ciphertext",
           unit="numbers", target=51.0, seeds=1),
    _exact("cipher-growth", m.growth, sentence="With our key one number a ciphertext makes an upload 128 times as long (8 times with the released one).", source="ours",
           metric="bytes of a 2,048-bit ciphertext over those of a float32", unit="ratio", target=128.0),
    _claim("cost-encrypt", m.encrypting_share, sentence="Most of the time goes into encryption.", metric="its share of all stages, 2,048 bits",
           unit="share", target=0.5, repeats_within=0.2),
    _claim("cost-linear", m.linear, sentence="Time is linear in the number of numbers.", metric="time for each, three times as many over few",
           unit="ratio", rule="within", target=1.0, tolerance=0.2, repeats_within=0.5),
    _claim("cost-key", m.longer_key, sentence="A key twice as long takes at least five times as long.", metric="encryption, 2,048 over 1,024 bits",
           unit="ratio", target=5.0, repeats_within=4.0),
    _claim("cost-ckks", m.against_ckks, sentence="Even packed it takes longer than CKKS.", metric="seconds for three updates of 3,610 numbers",
           unit="s", target=0.0, repeats_within=60.0),
    _exact("key-short", m.short_key, sentence="A 64-bit key is factored by Pollard's method, in half a page of code.", metric="share of keys", unit="share", target=1.0),
    _exact("key-released", m.released_key, sentence="A key of the released length, 128 bits, is factored on one core by a library for everybody.",
           source="code", metric="share of keys, quadratic sieve", unit="share", target=1.0),
    _exact("slices-bound", m.slices_outside, sentence="Slicing moves no weight by more than 1 / (2 S).", source="code",
           metric="of a thousand sets of weights", unit="sets"),
    _exact("slices-vanish", partial(m.slices_left, 200), sentence="With 200 clients and 100 slices FedAvg's step vanishes.", source="code",
           metric="sum of sliced weights", seeds=1),
    _exact("slices-shrink", partial(m.slices_left, 30), sentence="With 30 clients it is a tenth too short.", source="code",
           metric="sum of sliced weights", target=0.9, tolerance=1e-9, seeds=1),
    _claim("slices-100", partial(m.slicing_costs, 100), sentence="With 100 slices accuracy stays within half a point.", source="code",
           metric="digits, sliced minus real weights", rule="within", tolerance=0.5),
    _claim("slices-5", partial(m.slicing_moves, 5), sentence="With 5 slices it moves by half a point more than with 100.", metric="digits, absolute change, 5 minus 100 slices",
           target=0.5),
    _exact("mix-inverts", m.unmixing_error, sentence="Whoever holds all mixtures can compute every update.", metric="relative error",
           tolerance=1e-10, repeats_within=1e-10),
    _claim("mix-single", m.unmixed_models, sentence="Even from models in single precision, as they are sent.", metric="relative error", unit="1",
           rule="at_most", target=1e-3, repeats_within=1e-3),
    _claim("mix-two", m.other_of_two, sentence="Of two clients each can compute the other's update from the new model alone.",
           metric="relative error", unit="1", rule="at_most", target=1e-3, repeats_within=1e-3),
    _exact("mix-sum-20", partial(m.mixing_sum, 20), sentence="With 20 clients a mixture is a tenth too long.", source="code",
           metric="sum of its sliced weights", target=1.09, tolerance=1e-9, seeds=1),
    _exact("mix-sum-21", partial(m.mixing_sum, 21), sentence="With 21 it holds nothing of the others.", source="code",
           metric="sum of its sliced weights", target=0.9, tolerance=1e-9, seeds=1),
    _claim("mix-cosine", m.mixture_cosine, sentence="Even one mixture points almost where the update it hides does.", metric="least cosine, two clients",
           unit="1", target=0.99, repeats_within=0.01),
    # ------------------------------------------------------------------------------------ words, two domains
    _claim("floor-central", m.central, sentence="One network on all words reads at least 80 % (the floor of this chapter).",
           metric="word accuracy", unit="percent", target=80.0),
    _claim("average-below", m.below_central, sentence="FedAvg on unlike clients is worse than central training.",
           metric="word accuracy, central minus FedAvg"),
    _claim("average-skew", m.skew_gap, sentence="Its distance from central training is larger when clients are unlike.", source="paper",
           metric="digits, sorted by label minus equal shares"),
    _claim("average-alone", m.beats_alone, sentence="Still it beats either client that trains alone.", metric="word accuracy, FedAvg minus better client"),
    _claim("boost-e1", partial(m.words_against, "fedboosting", "fedavg", 1), sentence="FedBoosting is better than FedAvg with one local epoch a round.",
           source="paper", metric="word accuracy", paper=0.97),
    _claim("boost-e3", partial(m.words_against, "fedboosting", "fedavg", 3), sentence="It is better with three.", source="paper",
           metric="word accuracy", paper=2.3),
    _claim("boost-grows", m.advantage_grows, sentence="Its advantage grows with local epochs.", source="paper",
           metric="FedBoosting minus FedAvg, three minus one epochs", paper=1.34),
    _claim("drift-average", partial(m.drift, "fedavg"), sentence="FedAvg loses when three local epochs replace one.", source="paper",
           metric="word accuracy, one minus three", paper=2.44),
    _claim("boost-faster", m.faster, sentence="FedBoosting converges faster than FedAvg, by a round or more.", source="paper",
           metric="rounds to four fifths of central accuracy (19 if never), FedAvg minus FedBoosting", unit="rounds", target=1.0),
    _claim("boost-size", partial(m.words_against, "fedboosting", "fedavg-size", 1), sentence="It is better than FedAvg weighted by size.",
           metric="word accuracy"),
    _claim("boost-prox", partial(m.words_against, "fedboosting", "fedprox", 1), sentence=f"It is better than FedProx (mu = {PROX_MU:g}, the best of four).",
           metric="word accuracy"),
    *(
        _claim(f"boost-clipped-e{epochs}", partial(m.words_against, "clipped", "fedavg", epochs),
               sentence=f"With losses clipped at {FLOOR} it is better than FedAvg, {words}.", metric="word accuracy")
        for epochs, words in ((1, "one local epoch"), (3, "three"))
    ),
    *(
        _claim(f"boost-softmax-e{epochs}", partial(m.words_against, "softmax", "fedavg", epochs),
               sentence=f"Weighted by a softmax of accuracies, a form that we could not verify, it is better than FedAvg, {words}.", metric="word accuracy")
        for epochs, words in ((1, "one local epoch"), (3, "three"))
    ),
    _claim("boost-softmax-weights", m.softmax_weights, sentence="That form moves no weight further than 0.1 from a half.",
           metric="largest distance in a round, mean over rounds", unit="share", rule="at_most", target=0.1, repeats_within=0.1),
    _claim("boost-warm", partial(m.words_against, "warm", "fedavg", 1), sentence=f"After {m.WARMUP} rounds with equal weights it is better than FedAvg.",
           metric="word accuracy"),
    _claim("boost-protected", partial(m.words_against, "protected", "fedboosting", 1),
           sentence="Mixing and slices change nothing of the collapsed federation, within two points (this says little of one that works).", source="ours", metric="word accuracy", rule="within",
           tolerance=2.0),
    _claim("worst-boost", partial(m.worst_against, "fedboosting", "fedavg"), sentence="The worse served domain gains by FedBoosting.",
           metric="word accuracy on it"),
    _claim("worst-size", partial(m.worst_against, "fedavg-size", "fedavg"), sentence="It gains by weighting clients by size.",
           metric="word accuracy on it"),
    _claim("worst-prox", partial(m.worst_against, "fedprox", "fedavg"), sentence="It gains by FedProx.", metric="word accuracy on it"),
    _claim("worst-clipped", partial(m.worst_against, "clipped", "fedavg"), sentence=f"It gains by FedBoosting with losses clipped at {FLOOR}.",
           metric="word accuracy on it"),
    _claim("worst-fair", partial(m.worst_against, "qffl", "fedavg"), sentence="It gains by weighting the worst client up (q-FFL).",
           metric="word accuracy on it"),
    _claim("hard-weight", m.hard_weight, sentence="Of two clean clients of one size, the one with harder data is weighted down.",
           metric="its mean weight of two", unit="share", rule="at_most", target=0.5, repeats_within=0.2),
    _claim("hard-accuracy", partial(m.split_against, "even", "fedavg", "sign"), sentence="FedBoosting reads its domain no better than FedAvg.",
           metric="word accuracy on it, clients of one size", rule="at_most"),
    _claim("skew-words", partial(m.split_against, "labels", "fedavg", "print"), sentence="Where clients lack some digits, FedBoosting is no better than FedAvg.",
           metric="word accuracy", rule="at_most"),
    *(
        _claim(f"bad-words-{other}", partial(m.split_against, "corrupted", other, "mean"),
               sentence=f"With a third client whose words are random, FedBoosting is better than {words}.", metric="word accuracy", target=target)
        for other, words, target in (("fedavg", "FedAvg by a point or more", 1.0), ("fedavg-size", "FedAvg by size", 0.0), ("median", "the median", 0.0))
    ),
    *(
        _claim(f"bad-clipped-{other}", partial(m.split_against, "corrupted", other, "mean", name="clipped"),
               sentence=f"With that client and losses clipped at {FLOOR} it is better than {words}.", metric="word accuracy", target=target)
        for other, words, target in (("fedavg", "FedAvg by a point or more", 1.0), ("median", "the median", 0.0))
    ),
    *(
        _claim(f"bad-worst-{name}", partial(m.worst_against, name, "fedavg", split="corrupted"), sentence=f"There the worse served library gains by {words}.",
               metric="word accuracy on it, against FedAvg")
        for name, words in (("fedboosting", "FedBoosting"), ("clipped", "FedBoosting with clipped losses"), ("median", "the median"))
    ),
    _claim("bad-words-weight", m.bad_weight_words, sentence="The client with a library of nonsense gets 0.22 or less.", metric="mean weight of three",
           unit="share", rule="at_most", target=0.22, repeats_within=0.1),
    _claim("published", m.not_here, sentence="FedBoosting is better than FedAvg on the published test sets.", source="paper",
           metric="word accuracy, mean of four sets, batch 800, one epoch", paper=0.97),
    # ----------------------------------------------------------------------------------------------- digits
    _claim("iid-weights", m.even_weights, sentence="With equal shares the weights stay within 0.05 of a third.", metric="largest distance in a round, mean over rounds",
           unit="share", rule="at_most", target=0.05, repeats_within=0.02),
    _claim("iid-accuracy", partial(m.digits_against, "iid", 1, "fedavg"), sentence="And accuracy stays within a point of FedAvg's.",
           metric="digits", rule="within", tolerance=1.0, repeats_within=2.0),
    *(
        _claim(f"bad-weight-e{epochs}", partial(m.bad_weight, "corrupted", epochs),
               sentence=f"A client with random labels gets {target} or less with {words}.", metric="its mean weight of three", unit="share",
               rule="at_most", target=target, repeats_within=0.05)
        for epochs, target, words in ((1, 0.22, "one local epoch"), (5, 0.1, "five"))
    ),
    *(
        _claim(f"bad-accuracy-e{epochs}", partial(m.digits_against, "corrupted", epochs, "fedavg"),
               sentence=f"Then FedBoosting is a point better than FedAvg with {words}.", metric="digits", target=1.0, repeats_within=3.0)
        for epochs, words in ((1, "one local epoch"), (5, "five"))
    ),
    *(
        _claim(f"bad-median-e{epochs}", partial(m.digits_against, "corrupted", epochs, "median"), sentence=f"It is better than the median with {words}.",
               metric="digits", repeats_within=3.0)
        for epochs, words in ((1, "one local epoch"), (5, "five"))
    ),
    _claim("swap-weight", partial(m.bad_weight, "swapped", 5), sentence="A client in which two of ten labels changed places gets 0.3 or less with five.",
           metric="its mean weight of three", unit="share", rule="at_most", target=0.3, repeats_within=0.05),
    _claim("swap-accuracy", partial(m.digits_against, "swapped", 5, "fedavg"), sentence="Then FedBoosting is better than FedAvg.", metric="digits",
           repeats_within=3.0),
    _claim("liar", m.liar_costs, sentence="But where a client with random labels reports a tiny loss, FedBoosting loses twenty points or more.",
           metric="digits, against FedAvg", rule="at_most", target=-20.0),
    *(
        _claim(f"skew-e{epochs}", partial(m.digits_against, "sorted", epochs, "fedavg"),
               sentence=f"Where every client holds other digits, FedBoosting loses five points or more with {words}.", metric="digits",
               rule="at_most", target=-5.0, repeats_within=8.0)
        for epochs, words in ((1, "one local epoch"), (5, "five"))
    ),
    *(
        _claim(f"skew-worst-e{epochs}", partial(by_client.worst_client, "sorted", epochs),
               sentence=f"Its worst served client loses twenty points or more with {words}.", metric="digits with that client's labels",
               rule="at_most", target=-20.0, repeats_within=15.0)
        for epochs, words in ((1, "one local epoch"), (5, "five"))
    ),
    _claim("skew-dirichlet", partial(m.digits_against, "dirichlet", 1, "fedavg"), sentence="It loses where shares of labels are unequal.", metric="digits",
           rule="at_most", repeats_within=8.0),
    _claim("skew-softmax", partial(m.digits_against, "sorted", 5, "fedavg", name="softmax"),
           sentence="There, by the softmax, it stays within two points of FedAvg with five.", metric="digits", rule="within", tolerance=2.0, repeats_within=8.0),
    _claim("bad-softmax", partial(m.digits_against, "corrupted", 5, "fedavg", name="softmax"),
           sentence="With a client of random labels the softmax is a point better than FedAvg with five.", metric="digits", target=1.0, repeats_within=3.0),
    _claim("skew-clipped", partial(m.digits_against, "sorted", 5, "fedavg", name="clipped"),
           sentence=f"Where every client holds other digits and losses are clipped at {FLOOR}, it loses at most eight points with five.", metric="digits", target=-8.0, repeats_within=8.0),
    # ------------------------------------------------------------------------------------------------ leaks
    _claim("leak-raw", partial(m.better_than_guess, "raw"), sentence="Chapter 09's attack reads a plain update better than a guess would (the floor of the rows below).",
           metric="PSNR, attack minus guess", unit="dB", seeds=10, repeats_within=3.0),
    _claim("leak-sum", partial(m.better_than_guess, "sum"), sentence="The sum of two updates, which the server is told, still shows more than a guess.",
           metric="PSNR, attack minus guess", unit="dB", seeds=10, repeats_within=3.0),
    _claim("leak-mixed", partial(m.leak_cost, "mixed"), sentence="Mixing costs the attack of chapter 09, which looks for one face, less than 3 dB.", metric="PSNR, raw minus mixture",
           unit="dB", rule="at_most", target=3.0, seeds=10, repeats_within=3.0),
    _claim("leak-noise", m.noise_against_mixing, sentence="It costs less than noise of the same size.", metric="PSNR, mixture minus noise",
           unit="dB", seeds=10, repeats_within=3.0),
    _claim("leak-hidden", m.hidden_view, sentence="One masked upload helps the attack no more than knowing nothing.", metric="PSNR, guess minus attack",
           unit="dB", seeds=10, repeats_within=3.0),
]  # fmt: skip
