"""The test problems: derivatives, starts, best known values, and problems of the reader's own."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from firsthand.stepsqp import PROBLEMS, Problem, exact_kkt, logistic_problem, scipy_reference, step_search_sqp

# f(x0) and |c(x0)|_1 as the collections give them, to six digits.
STARTS = {
    "HS6": (4.84, 4.4), "HS7": (-0.390562, 25), "HS9": (0, 0), "HS26": (21.16, 0), "HS27": (4.01, 7), "HS28": (13, 0),
    "HS39": (-2, 12), "HS40": (-0.4096, 0.6), "HS42": (14, 1), "HS46": (3.33763, 0), "HS47": (20.7381, 0),
    "HS48": (84, 0), "HS49": (266, 0), "HS50": (7516, 0), "HS51": (8.5, 0), "HS52": (42, 8), "HS61": (0, 18),
    "HS77": (4, 61.7574), "HS78": (-6, 7.875), "HS79": (1, 10.5858), "BT1": (-99.08, 0.99), "BT2": (81, 11001.8),
    "BT3": (2166, 80), "BT4": (-18.6089, 0.000226562), "BT5": (976, 15), "BT11": (1, 14.5858),
    "BT12": (4.99975, 7.61782),
    "MARATOS": (-1.1, 0.22), "BYRDSPHR": (-5, 23),
}  # fmt: skip
STARTS_ELSEWHERE = {"HS61": (5, -2, 3)}


def test_all_29_problems_are_there():
    assert set(PROBLEMS) == set(STARTS)


@pytest.mark.parametrize("name", PROBLEMS)
def test_values_at_the_start(name):
    problem = PROBLEMS[name]
    objective, violation = STARTS[name]
    assert problem.x0.dtype == torch.float64
    assert float(problem.objective(problem.x0)) == pytest.approx(objective, rel=1e-5, abs=1e-9)
    assert float(problem.constraints(problem.x0).abs().sum()) == pytest.approx(violation, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("name", PROBLEMS)
def test_derivatives_are_those_of_finite_differences(name):
    problem = PROBLEMS[name]
    x = problem.x0 + 0.1 * torch.from_numpy(np.random.default_rng(0).normal(size=problem.n))
    h = 1e-6 * torch.eye(problem.n, dtype=torch.float64)
    gradient = (problem.objective(x + h) - problem.objective(x - h)) / 2e-6
    jacobian = ((problem.constraints(x + h) - problem.constraints(x - h)) / 2e-6).mT
    assert torch.allclose(problem.gradient(x), gradient, rtol=1e-5, atol=1e-5)
    assert torch.allclose(problem.jacobian(x), jacobian, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", PROBLEMS)
def test_slsqp_finds_the_best_known_value(name):
    problem = PROBLEMS[name]
    found = scipy_reference(problem, x0=STARTS_ELSEWHERE.get(name))
    violation = float(exact_kkt(problem, torch.from_numpy(found.x))[1])
    assert violation < 1e-6
    # BT1's multiplier is about a hundred: a violation of 1e-7 already moves its value by 1e-5.
    assert found.fun == pytest.approx(problem.f_star, rel=1e-5, abs=1e-5 + 1e3 * violation)


def test_trust_constr_agrees_on_one():
    assert scipy_reference(PROBLEMS["HS7"], "trust-constr").fun == pytest.approx(-math.sqrt(3), abs=1e-6)


def test_functions_take_any_batch():
    problem = PROBLEMS["HS77"]
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3, 5)))
    assert problem.objective(x).shape == (4, 3)
    assert problem.constraints(x).shape == (4, 3, 2)
    assert problem.gradient(x).shape == (4, 3, 5)
    assert problem.jacobian(x).shape == (4, 3, 2, 5)
    assert torch.allclose(problem.jacobian(x)[1, 2], problem.jacobian(x[1, 2]))


def test_own_functions_become_a_problem():
    own = Problem.from_callables(
        lambda x: torch.log(1 + x[0] ** 2) - x[1], lambda x: (1 + x[0] ** 2) ** 2 + x[1] ** 2 - 4, (2, 2)
    )
    theirs = PROBLEMS["HS7"]
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 2)))
    assert (own.n, own.m) == (2, 1)
    for name in ("objective", "constraints", "gradient", "jacobian"):
        assert torch.allclose(getattr(own, name)(x), getattr(theirs, name)(x))


def _bent(x: torch.Tensor) -> torch.Tensor:
    """|x_1| + x_2^2, by Python's own `if`, which `torch.func.vmap` cannot batch."""
    return (x[0] if x[0] > 0 else -x[0]) + x[1] ** 2


@pytest.mark.parametrize("objective", [_bent, lambda x: x[0].abs() + x[1] ** 2], ids=["if", "batched"])
def test_own_functions_take_one_point_a_batch_and_none(objective):
    own = Problem.from_callables(objective, lambda x: x.sum() - 1, (3.0, -2.0))
    assert float(own.objective(own.x0)) == 7
    assert own.constraints(own.x0).tolist() == [0]
    assert own.gradient(own.x0).tolist() == [1, -4]
    assert own.jacobian(own.x0).tolist() == [[1, 1]]
    batch = torch.tensor([[[3.0, -2.0]], [[-3.0, 1.0]]], dtype=torch.float64)
    assert own.objective(batch).tolist() == [[7], [4]]
    assert own.gradient(batch).tolist() == [[[1, -4]], [[-1, 2]]]
    assert own.jacobian(batch[:0]).shape == (0, 1, 1, 2)
    assert own.objective(batch[:0]).shape == (0, 1)
    # The gradient of |x_1| + x_2^2 at (3, -2) is (1, -4); less its part along (1, 1) that leaves 2.5 in both entries.
    assert float(exact_kkt(own, own.x0)[0]) == pytest.approx(2.5)


def test_own_functions_run_through_the_method_from_one_point():
    own = Problem.from_callables(lambda x: (x * x).sum(), lambda x: x.sum() - 1, (3.0, -2.0))
    assert step_search_sqp(own, iterations=200).x[0, -1].tolist() == pytest.approx([0.5, 0.5], abs=1e-6)
    assert scipy_reference(own).x.tolist() == pytest.approx([0.5, 0.5], abs=1e-6)


@pytest.mark.parametrize("name", ["objective", "constraints", "gradient", "jacobian"])
@pytest.mark.parametrize("shape", [(3,), (), (4, 1)])
def test_points_of_another_length_are_refused(name, shape):
    own = Problem.from_callables(lambda x: (x * x).sum(), lambda x: x.sum() - 1, (3.0, -2.0))
    for problem in (own, PROBLEMS["HS6"]):
        with pytest.raises(ValueError, match=rf"takes points of shape \(…, 2\); got {re.escape(str(shape))}"):
            getattr(problem, name)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("objective", "constraints", "x0", "words"),
    [
        (lambda x: x, lambda x: x[:1], [1, 2], "objective must return a scalar"),
        (lambda x: x.sum(), lambda x: x[None], [1, 2], "constraints must return shape"),
        (lambda x: x.sum(), lambda x: torch.cat([x, x]), [1, 2], r"1 to n = 2 constraints; got 4"),
        (lambda x: x.sum(), lambda x: x[:0], [1, 2], "got 0"),
        (lambda x: x.sum() / 0, lambda x: x[:1], [1, 2], "finite at x0"),
        (lambda x: x.sum(), lambda x: x[5], [1, 2], "constraints failed at x0 with IndexError"),
        (lambda x: 1.0, lambda x: x[:1], [1, 2], "must return a torch tensor; got float"),
        (lambda x: x.sum(), lambda x: x[:1], [[1, 2]], r"shape \(n,\)"),
        (lambda x: torch.tensor(float(x[0])), lambda x: x[:1], [1, 2], "must keep to torch"),
    ],
)
def test_bad_functions_are_explained(objective, constraints, x0, words):
    with pytest.raises(ValueError, match=words):
        Problem.from_callables(objective, constraints, x0)


def test_exact_kkt_is_the_least_squares_residual():
    problem = PROBLEMS["HS78"]
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(6, 5)))
    kkt, feasibility = exact_kkt(problem, x)
    for i in range(6):
        g, J = problem.gradient(x[i]).numpy(), problem.jacobian(x[i]).numpy()
        y = np.linalg.lstsq(J.T, -g, rcond=None)[0]
        expected = max(np.abs(g + J.T @ y).max(), float(feasibility[i]))
        assert float(kkt[i]) == pytest.approx(expected)


def test_the_finite_sum_is_the_mean_of_its_parts():
    problem = logistic_problem()
    x = problem.x0[None].repeat(2, 1)
    every = torch.arange(problem.examples).expand(2, -1)
    assert torch.allclose(problem.loss(x, every), problem.objective(x))
    assert (problem.n, problem.m) == (30, 6)


@pytest.mark.parametrize(
    "x0",
    [
        torch.tensor([3.0, -2.0], dtype=torch.bfloat16),
        torch.tensor([3.0, -2.0], requires_grad=True),
        torch.tensor([3, -2]),
        np.array([3, -2], dtype=">f8"),
        np.array([3, -2], dtype=np.longdouble),
        np.array([3, -2], dtype=np.int8),
        [3, -2],
    ],
    ids=str,
)
def test_a_start_of_any_real_numbers_is_taken(x0):
    own = Problem.from_callables(lambda x: (x * x).sum(), lambda x: x.sum() - 1, x0)
    assert (own.x0.tolist(), own.x0.dtype) == ([3, -2], torch.float64)
    assert float(own.objective(own.x0)) == 13


@pytest.mark.parametrize("x0", [[1j, 2], torch.tensor([1j, 2]), ["1", "2"], [None, 1]], ids=str)
def test_a_start_of_other_numbers_is_refused(x0):
    with pytest.raises(ValueError, match="x0 must hold real numbers; got"):
        Problem.from_callables(lambda x: (x * x).sum(), lambda x: x.sum() - 1, x0)


def test_a_start_is_a_copy():
    for x0 in (torch.tensor([3.0, -2.0], dtype=torch.float64), np.array([3.0, -2.0])):
        own = Problem.from_callables(lambda x: (x * x).sum(), lambda x: x.sum() - 1, x0)
        x0[0] = 100
        assert own.x0.tolist() == [3, -2]
