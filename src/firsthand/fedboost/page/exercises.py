"""The checkers of the chapter's exercises: truths are computed, and so are the usual mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np

from firsthand.fedboost.paillier import generate_key
from firsthand.fedboost.protection import seeded
from firsthand.fedboost.weights import boosting_weights, mix, mixing_matrix, slice_weights
from firsthand.kit.page.exercises import Exercise, Wrong, call, compare, need_function, need_number, need_tensor


def _unmix(answer: Any) -> str:
    function = need_function(answer, 2)
    for clients, keep in ((2, 0.9), (4, 0.8), (3, 0.5)):
        u = np.random.default_rng(clients).standard_normal((clients, 6))
        m = mix(u, keep=keep)
        found = need_tensor(call(function, m.copy(), keep), u.shape)
        among_all = np.full((clients, clients), (1 - keep) / clients) + keep * np.eye(clients)
        slips = {
            "Those are the mixtures themselves.": m,
            "Dividing by the own share leaves the others' parts in.": m / keep,
            "You mixed once more instead of undoing it.": mix(m, keep=keep),
            "The rest is shared by the N - 1 others, not by all N.": np.linalg.solve(among_all, m),
        }
        compare(found, u, slips, f"With {clients} clients that keep {keep} these are not the updates.")
    return "The matrix is public and far from singular, so mixing hides nothing from whoever holds all mixtures."


def _vanishing(answer: Any) -> str:
    function = need_function(answer, 1)
    for slices in (100, 7, 20):
        truth = next(n for n in range(1, 10 * slices) if slice_weights(np.full(n, 1 / n), slices).sum() == 0)
        value = need_number(call(function, slices))
        slips = {
            "At that number a share is just below one slice, which still rounds up to one.": slices + 1,
            "Half a slice already rounds to 0: half goes to the even neighbour.": 2 * slices + 1,
        }
        otherwise = f"With {slices} slices the step first vanishes at another number of clients than {value:.0f}."
        compare(value, truth, slips, otherwise, within=0)
    return "At N = 2 S every share is half a slice, which rounds to the even neighbour, 0: nobody's update counts."


def _remainders(answer: Any) -> str:
    function = need_function(answer, 2)
    rng = np.random.default_rng(0)
    for clients, slices in ((3, 100), (6, 100), (5, 12), (30, 100)):
        p = np.full(clients, 1 / clients) if clients in (3, 30) else rng.dirichlet(np.ones(clients))
        found = np.asarray(need_tensor(call(function, p.copy(), slices), (clients,)))
        truth = slice_weights(p, slices, rounding="largest_remainder")
        if not np.allclose(found, np.rint(found)):
            raise Wrong("Slices are whole numbers.")
        if found.sum() != slices:
            raise Wrong(f"{clients} clients: your slices sum to {found.sum():.0f}, not to {slices}.")
        if not np.array_equal(
            np.sort(found - np.floor(p * slices + 1e-9)), np.sort(truth - np.floor(p * slices + 1e-9))
        ):
            raise Wrong("Nobody may be more than one slice from the share rounded down.")
        if np.abs(found - p * slices).sum() > np.abs(truth - p * slices).sum() + 1e-9:
            raise Wrong("The missing slices should go to the largest remainders.")
    return "Every weight stays within one slice of its share, and the step has its full length."


def _lie(answer: Any) -> str:
    function = need_function(answer, 4)
    rng = np.random.default_rng(3)
    for share in (0.5, 0.9, 0.99):
        train, validation = rng.uniform(0.2, 2, 4), rng.uniform(0.2, 2, (4, 4))
        value = need_number(call(function, train.copy(), validation.copy(), 2, share))
        if value <= 0:
            raise Wrong("A loss is positive.")
        told = train.copy()
        told[2] = value
        reached = boosting_weights(told, validation)[2]
        if abs(reached - share) < 1e-6:
            continue
        told[2] = 1 / value
        if abs(boosting_weights(told, validation)[2] - share) < 1e-6:
            raise Wrong("That is one over the loss to report.")
        raise Wrong(f"Reporting {value:.3g} the client gets {reached:.3f} of the weight, not {share}.")
    return "Any share below one is for sale: training losses are reported by those whom they reward."


def _read(answer: Any) -> str:
    function = need_function(answer, 2)
    for seed, secret in ((0, 1234), (1, -77), (2, 0)):
        key = generate_key(64, seeded(seed))
        cipher = key.public.encrypt(secret, seeded(seed + 10))
        value = need_number(call(function, key.public.n, cipher))
        if value == secret:
            continue
        if secret < 0 and value > key.public.n / 2:
            raise Wrong("Right modulo n; numbers above n / 2 stand for negative ones.")
        if value == cipher:
            raise Wrong("That is the ciphertext.")
        raise Wrong("That is not the number in the ciphertext.")
    return "A key is as safe as its n is hard to factor: this one took a fraction of a second."


def _combine(answer: Any) -> str:
    function = need_function(answer, 1)
    rng = np.random.default_rng(4)
    for clients, liars in ((5, 1), (7, 2), (9, 3)):
        honest = 1 + 0.1 * rng.standard_normal((clients - liars, 50))
        for lie in (-5 * honest[:liars], np.full((liars, 50), 1e6), np.zeros((liars, 50))):
            updates = np.concatenate([honest, lie])[rng.permutation(clients)]
            found = np.asarray(need_tensor(call(function, updates.copy()), (50,)))
            if np.allclose(found, updates.mean(0)):
                raise Wrong("That is the mean: one liar moves it as far as it likes.")
            if np.abs(found - honest.mean(0)).max() > 0.25:
                raise Wrong(f"{liars} of {clients} clients lie, and your sum is {np.abs(found - 1).max():.2g} off.")
    for two in (np.array([[1.0, 2.0], [3.0, 6.0]]),):
        need_tensor(call(function, two), (2,))
    return "A minority cannot move it far; what it costs on honest but unlike clients is another question."


def _mixing_share(answer: Any) -> str:
    value = need_number(answer)
    if abs(value - 0.25) < 1e-9:
        matrix = mixing_matrix(4, keep=value)
        assert np.linalg.matrix_rank(matrix) == 1
        return "All mixtures are then the mean, which is what averaging shows everybody anyway."
    if abs(value - 0.5) < 1e-9:
        raise Wrong("That is the answer for two clients.")
    if value == 0:
        raise Wrong("Then a mixture is the mean of the others, and four of those can still be solved.")
    raise Wrong(f"At {value:g} the four mixtures still differ, and a linear system tells them apart.")


EXERCISES: dict[int, Exercise] = {
    1: Exercise("Undo the mixing", 15, 2, "Mixtures are a matrix times the updates.", _unmix),
    2: Exercise("The share that hides", 10, 1, "When are all rows of the mixing matrix equal?", _mixing_share),
    3: Exercise("The step that vanishes", 10, 1, "What does half a slice round to?", _vanishing),
    4: Exercise("Nobody's slice is lost", 20, 2, "Round down, then hand out what is missing.", _remainders),
    5: Exercise("Buying weight", 20, 2, "Solve x / (x + rest) = share for x = 1 / (T V).", _lie),
    6: Exercise("Reading a protected update", 20, 3, "Factor n, then decrypt.", _read),
    7: Exercise("A sum that liars cannot move", 15, 2, "Which middle is robust?", _combine),
}
