"""The method: the worked examples, batch against single runs, noise, baselines, and runs that end early."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from firsthand.kit import check
from firsthand.stepsqp import (
    PRESETS,
    PROBLEMS,
    MinibatchOracle,
    NoisyOracle,
    adaptive_sqp,
    fixed_step_sqp,
    logistic_problem,
    run,
    step_search_sqp,
    subgradient,
)
from firsthand.stepsqp.oracles import KINDS

NOISY = NoisyOracle(1e-2, 1e-2)


def test_the_worked_example_hs7():
    trace = step_search_sqp(PROBLEMS["HS7"], iterations=2)
    assert np.allclose(trace.direction[0, 0], [-0.7257425743, 1.0074257426], atol=1e-8)
    assert float(trace.multipliers[0, 0, 0]) == pytest.approx(-0.0018564356, abs=1e-8)
    assert float(trace.model_reduction[0, 0]) == pytest.approx(25.1588019802, abs=1e-8)
    assert np.allclose(trace.merit[0, 0], [24.9609437912, 11.7242963], atol=1e-6)
    assert np.allclose(trace.x[0, 1], [1.2742574257, 3.0074257426], atol=1e-8)
    assert np.allclose(trace.direction[0, 1], [-1.2794183787, 0.8614326969], atol=1e-8)
    assert float(trace.merit[0, 1, 1]) == pytest.approx(11.58123572, abs=1e-6)
    assert trace.accepted.all()


def test_the_worked_example_hs6():
    trace = step_search_sqp(PROBLEMS["HS6"], iterations=2)
    assert np.allclose(trace.merit[0], [[4.884, 6.708130528], [4.884, 4.151251567]], atol=1e-6)
    assert trace.accepted[0].tolist() == [False, True]
    assert trace.alpha[0].tolist() == [1.0, 0.5, 1.0]
    assert np.allclose(trace.direction[0, 1], [0.8071005917, -1.4970414201], atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_batched_and_single_runs_agree(kind):
    oracle = NoisyOracle(1e-2, 1e-2, kind=kind, bias=3.0, failure_probability=0.2)
    together = step_search_sqp(PROBLEMS["HS77"], oracle, iterations=150, seeds=(4, 9, 2))
    for i, seed in enumerate((4, 9, 2)):
        alone = step_search_sqp(PROBLEMS["HS77"], oracle, iterations=150, seeds=(seed,))
        assert torch.allclose(together.x[i], alone.x[0], rtol=0, atol=1e-10)
        assert torch.equal(together.accepted[i], alone.accepted[0])


def test_a_seed_gives_the_same_bits_twice():
    first, second = (step_search_sqp(PROBLEMS["BT5"], NOISY, iterations=60, seeds=(1, 2)) for _ in range(2))
    assert torch.equal(first.x, second.x)
    assert torch.equal(first.kkt, second.kkt)


def test_noise_levels_can_differ_from_run_to_run():
    levels = np.array([0.0, 1e-2])
    trace = step_search_sqp(PROBLEMS["HS7"], NoisyOracle(levels, levels), iterations=80, seeds=(5, 5))
    for i, level in enumerate(levels):
        alone = step_search_sqp(PROBLEMS["HS7"], NoisyOracle(level, level), iterations=80, seeds=(5,))
        assert torch.allclose(trace.x[i], alone.x[0], atol=1e-12)


@pytest.mark.parametrize("kind", ["gaussian", "bounded", "subexponential"])
def test_noise_is_as_large_as_it_says(kind):
    problem = PROBLEMS["HS78"]
    draws = NoisyOracle(0.5, 0.2, kind=kind).start(problem, range(200), torch.device("cpu"))
    x = problem.x0.expand(200, -1)
    g, f = [], []
    for _ in range(40):
        g.append(draws.gradient(x) - problem.gradient(x))
        f.append(draws.values(x, x) - problem.objective(x)[:, None])
    gradient, value = torch.cat(g).norm(dim=1), torch.cat(f)
    if kind == "bounded":
        assert gradient.max() <= 0.2
        assert value.abs().max() <= 0.5
        assert gradient.max() > 0.19
    else:
        assert float((gradient**2).mean()) == pytest.approx(0.04, rel=0.05)
    if kind == "gaussian":
        assert float(value.std()) == pytest.approx(0.5, rel=0.05)
    if kind == "subexponential":
        assert float(value.abs().mean()) == pytest.approx(0.5, rel=0.05)
    assert abs(float(torch.corrcoef(value.T)[0, 1])) < 0.05


def test_failures_are_as_frequent_as_they_say():
    problem = PROBLEMS["HS7"]
    draws = NoisyOracle(failure_probability=0.3).start(problem, range(2000), torch.device("cpu"))
    x = problem.x0.expand(2000, -1)
    wrong = (draws.gradient(x) != problem.gradient(x)).any(1)
    assert float(wrong.double().mean()) == pytest.approx(0.3, abs=0.04)


def test_the_adversary_raises_trials_and_lowers_current_values():
    problem = PROBLEMS["HS7"]
    draws = NoisyOracle(0.5, kind="adversarial").start(problem, (0,), torch.device("cpu"))
    x = problem.x0[None]
    assert torch.equal(draws.gradient(x), problem.gradient(x))
    assert (draws.values(x, x) - problem.objective(x)).tolist() == [[-0.5, 0.5]]


def test_the_model_keeps_its_promise_and_tau_never_rises():
    problem = PROBLEMS["HS77"]
    trace = step_search_sqp(problem, NOISY, seeds=range(5), iterations=200)
    dd = (trace.direction**2).sum(-1)
    c1 = problem.constraints(trace.x[:, :-1]).abs().sum(-1)
    assert (trace.model_reduction >= trace.tau * dd + 0.1 * c1 - 1e-9 * (1 + c1)).all()
    assert (trace.tau.diff(dim=1) <= 0).all()


def test_rounding_kills_the_naive_merit_parameter():
    """Over forty runs that round differently: what becomes of a single one depends on the processor."""
    oracle = NoisyOracle(epsilon_g=1e-9)
    naive, safe = (
        step_search_sqp(PROBLEMS["HS50"], oracle, seeds=range(40), iterations=300, naive_q=flag)
        for flag in (True, False)
    )
    assert float((safe.kkt.amin(1) < 1e-6).double().mean()) == 1
    assert float((naive.kkt.amin(1) < 1e-6).double().mean()) < 0.5
    assert float(naive.tau[:, -1].max()) < 1e-6 < float(safe.tau[:, -1].min())


def test_a_singular_start_ends_the_run_and_no_other():
    trace = step_search_sqp(PROBLEMS["HS61"], NOISY, iterations=10, seeds=(0, 1))
    assert trace.stopped == ["singular", "singular"]
    assert torch.isnan(trace.direction).all()
    assert not trace.accepted.any()
    assert (trace.x == trace.x[:, :1]).all()
    assert (trace.alpha == 1).all()
    assert trace.gradient_calls.tolist() == [0, 0]


def test_calls_are_counted():
    trace = step_search_sqp(PROBLEMS["HS7"], iterations=30, seeds=(0, 1))
    assert trace.gradient_calls.tolist() == [30, 30]
    assert trace.objective_calls.tolist() == [60, 60]
    assert fixed_step_sqp(PROBLEMS["HS7"], iterations=30).objective_calls.tolist() == [0]


# The subgradient method's steps shrink: it gets half way in the time in which the others arrive.
@pytest.mark.parametrize(("method", "error"), [(adaptive_sqp, 0.2), (fixed_step_sqp, 0.2), (subgradient, 1.0)])
def test_baselines_approach_the_solution_and_batch_like_the_method(method, error):
    together = method(PROBLEMS["HS42"], NoisyOracle(0.0, 1e-3), iterations=400, seeds=(3, 4))
    assert (together.kkt[:, 0] == 2).all()
    assert (together.kkt[:, -1] < error).all()
    alone = method(PROBLEMS["HS42"], NoisyOracle(0.0, 1e-3), iterations=400, seeds=(4,))
    assert torch.allclose(together.x[1], alone.x[0], atol=1e-10)


def test_a_diverging_run_is_stopped_with_a_word():
    trace = fixed_step_sqp(PROBLEMS["HS50"], NoisyOracle(0, 0), iterations=100, alpha=1.0)
    assert trace.stopped[0] in (None, "diverged", "non-finite")
    assert torch.isfinite(trace.x).all()


def test_minibatches_solve_the_finite_sum_roughly():
    problem = logistic_problem()
    oracle = MinibatchOracle(64)
    oracle = replace(oracle, epsilon_f=oracle.pilot(problem))
    trace = step_search_sqp(problem, oracle, iterations=150, seeds=(0, 1))
    assert (trace.kkt.min(dim=1).values < 0.1).all()
    with pytest.raises(ValueError, match="FiniteSum"):
        step_search_sqp(PROBLEMS["HS7"], oracle)


@pytest.mark.gpu
def test_the_gpu_gives_the_same_runs():
    here, there = (
        step_search_sqp(PROBLEMS["HS77"], NOISY, iterations=100, seeds=range(8), device=device)
        for device in ("cpu", "cuda")
    )
    assert torch.allclose(here.x, there.x.cpu(), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gamma": 0.0}, "gamma"),
        ({"alpha_max": 1.5}, "alpha_max"),
        ({"tau": -1.0}, "tau"),
        ({"iterations": 0}, "iterations"),
        ({"seeds": ()}, "at least one run"),
        ({"oracle": NoisyOracle([0.1, 0.2, 0.3])}, "each of 1 runs"),
    ],
)
def test_bad_settings_are_explained(options, words):
    with pytest.raises(ValueError, match=words):
        step_search_sqp(PROBLEMS["HS7"], **options)


@pytest.mark.parametrize(
    "options", [{"kind": "evil"}, {"epsilon_f": -1.0}, {"epsilon_g": np.nan}, {"failure_probability": 2.0}]
)
def test_bad_oracles_are_explained(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        NoisyOracle(**options)


def test_smoke_run_is_reproducible_byte_for_byte():
    first, second = (run(PRESETS["smoke"], seed=2, device="cpu", progress=False) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert first.metrics["HS7/step search/0.01/best"] < 0.1


@pytest.mark.slow
def test_two_tasks_of_the_paper_preset_run_on_a_cluster_as_they_do_alone():
    import joblib
    from distributed import Client, LocalCluster

    config = replace(PRESETS["paper"], problems=("HS7",), methods=("step search", "adaptive"), runs=3, iterations=20)
    alone = run(config, device="cpu", progress=False)
    options = {"dashboard_address": None, "host": "127.0.0.1"}
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, **options)
    with cluster, Client(cluster), joblib.parallel_config(backend="dask"):
        together = run(config, device="cpu", progress=False, workers=2)
    assert together.to_json() == alone.to_json()


def test_the_paper_preset_has_the_whole_grid():
    config = PRESETS["paper"]
    assert len(config.problems) == 28
    assert (len(config.noise), config.runs, config.iterations) == (6, 1000, 5000)


WRONG = [
    (1, 0.0464108911, "sign"),
    (1, -0.0018564356, "multiplier"),
    (1, -1.5880198, "g·d alone"),
    (1, 1.5416089, "d·d alone"),
    (1, "x", "number"),
    (2, lambda t, q, c: min(t, 0.9 * c / q) if q > 0 else t, "at most (1 - epsilon_tau)"),
    (2, lambda t, q, c: min(t, c / q) if q > 0 else t, "1 - sigma"),
    (2, lambda t, q, c: t + 1, "rises"),
    (2, lambda t, q, c: 0.5 * t, "stays"),
    (3, "HS1", "name from PROBLEMS"),
    (3, "HS61", "singular"),
    (3, "HS7", "infeasible"),
    (4, lambda m, t, a, r, tau, e: t <= m - 1e-4 * a * r, "2 tau e is missing"),
    (4, lambda m, t, a, r, tau, e: t <= m - 1e-4 * a * r + 2 * e, "units of f"),
    (4, lambda m, t, a, r, tau, e: t <= m - 1e-4 * a * r + tau * e, "twice"),
    (4, lambda m, t, a, r, tau, e: t <= m + 2 * tau * e, "Some decrease"),
    (4, lambda m, t, a, r, tau, e: True, "direction"),
    (5, 100, "linear"),
    (5, 10_000, "square"),
    (5, 0.1, "more error"),
    (6, 0.5, "strictly more"),
    (6, 0.6, "minority"),
    (6, 0.2, "More garbage"),
    (6, 0.3, "one of"),
]


@pytest.mark.parametrize(("number", "answer", "words"), WRONG)
def test_wrong_answers_are_told_apart(number, answer, words):
    feedback = check("stepsqp", number, answer)
    assert not feedback.passed
    assert words in feedback.message
