"""A sweep of evidence on a cluster: a worker dies, and the result is what one process gives."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firsthand.cli import main
from firsthand.kit.lab import evidence

#: Stands in for a chapter's claims in every process: Python imports a module of this name at its start.
CLAIMS = """
import os, sys, time
sys.path.insert(0, os.environ["TOY_SOURCE"])
from firsthand.kit.lab import evidence
from firsthand.kit.lab.claims import Claim

def slow(seed):
    with open(os.path.join(os.environ["TOY_FOLDER"], f"begun-{seed}-{os.getpid()}"), "w"):
        time.sleep(float(os.environ["TOY_SECONDS"]))
    import numpy as np
    return float(np.random.default_rng(seed).normal(1.0, 0.1)), None

def quick(seed):
    return seed / 7, 0.1

def claim(name, measure):
    return Claim(name, "A sentence.", "ours", "value", "1", None, "at_least", 0.3, 0.0, measure)

evidence.claims_of = lambda key: [claim("quick", quick), claim("slow", slow)]
evidence.curves_of = lambda key: []
"""
RUN = """
import json, sys
from firsthand.kit.lab import measuring
print(json.dumps(measuring.measure("hcvi", seeds=6, scheduler=sys.argv[1] if sys.argv[1:] else None, progress=False)))
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of processes in which a chapter has two toy claims."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CLAIMS)
    return {
        **os.environ, "PYTHONPATH": str(tmp_path / "site"), "TOY_SOURCE": str(Path(evidence.__file__).parents[2]),
        "TOY_FOLDER": str(tmp_path), "TOY_SECONDS": "0", "OMP_NUM_THREADS": "1",
    }  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path, environment: dict[str, str]) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """A Dask scheduler on loopback and two workers without nannies, in a folder of their own."""
    there = {**environment, "TOY_SECONDS": "3"}
    log, started = tmp_path / "scheduler.log", []
    (tmp_path / "cluster").mkdir()

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
        with log.open("a") as out:
            started.append(
                subprocess.Popen(command, env=there, cwd=tmp_path / "cluster", stdout=out, stderr=out, text=True)
            )
        return started[-1]

    try:
        start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        address = None
        for _ in range(1200):
            found = re.search(r"Scheduler at:\s*(tcp://\S+)", log.read_text())
            if found:
                address = found.group(1)
                break
            time.sleep(0.5)
        assert address, log.read_text()
        workers = [
            start("dask_worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
            for _ in range(2)
        ]
        yield address, workers
    finally:
        for process in started:
            process.kill()
            process.wait()


def _values(output: str) -> list[list[object]]:
    return [[row["method"], row["baseline"], row["verdict"]] for row in json.loads(output)["claims"]]


@pytest.mark.slow
def test_a_worker_dies_and_the_sweep_gives_the_serial_result(tmp_path, environment, cluster):
    address, workers = cluster
    folders = [tmp_path / name for name in ("alone", "together")]
    for folder in folders:
        folder.mkdir()
    options = {"env": environment, "capture_output": True, "text": True, "timeout": 600}
    alone = subprocess.run([sys.executable, "-c", RUN], cwd=folders[0], check=True, **options)
    for mark in tmp_path.glob("begun-*"):
        mark.unlink()
    sweep = subprocess.Popen(
        [sys.executable, "-c", RUN, address], cwd=folders[1], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    victim = str(workers[0].pid)
    for _ in range(2400):
        if any(mark.name.endswith(f"-{victim}") for mark in tmp_path.glob("begun-*")):
            break
        time.sleep(0.25)
    else:
        pytest.fail("the first worker never began")
    workers[0].send_signal(signal.SIGKILL)
    out, error = sweep.communicate(timeout=600)
    assert sweep.returncode == 0, error
    assert _values(out) == _values(alone.stdout)
    begun = [mark.name.split("-")[1] for mark in tmp_path.glob("begun-*")]
    assert len(begun) > len(set(begun)) == 6  # what the dead worker had begun was begun again
    kept = sorted((folders[1] / ".firsthand").rglob("seed-*.json"))
    assert len(kept) == 6
    kept[2].unlink()  # a sweep that is started again runs only the rest
    for mark in tmp_path.glob("begun-*"):
        mark.unlink()
    again = subprocess.run([sys.executable, "-c", RUN], cwd=folders[1], check=True, **options)
    assert _values(again.stdout) == _values(alone.stdout)
    assert [mark.name.split("-")[1] for mark in tmp_path.glob("begun-*")] == ["2"]


def test_a_scheduler_that_is_not_there_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("firsthand.kit.lab.sweep.WAIT", 1)
    assert main(["evidence", "hcvi", "--anew", "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "No Dask scheduler answers at tcp://127.0.0.1:9" in capsys.readouterr().err
