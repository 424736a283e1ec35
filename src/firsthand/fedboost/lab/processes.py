"""A federation with its parties as processes of their own: a Flower SuperLink, one SuperNode a client, one server app.

Everything stays on 127.0.0.1, on free ports, without TLS. What runs is the digits of `runs`; a folder of the caller's
takes the app, all logs and the result.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from firsthand.errors import UserError

PATIENCE = 600.0  # seconds for processes to start, on a busy machine too
APP = '''"""A federation on scikit-learn's digits."""
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from firsthand.fedboost.lab.processes import serve
from firsthand.fedboost.flower import client_app
from firsthand.fedboost.lab.runs import digit_clients


def make_client(context: Context):
    number, config = int(context.node_config["client"]), context.run_config
    if context.node_config.get("dies") and Path(config["out"]).parent.joinpath("round-1").exists():
        import os

        os._exit(1)
    return number, digit_clients(config["split"], int(config["seed"]), int(config["clients"]))[number]


client = client_app(make_client)
server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    serve(grid, context.run_config)
'''
PROJECT = """[project]
name = "digits"
version = "1.0.0"
description = "A federation on digits"
license = "MIT"
dependencies = []

[tool.flwr.app]
publisher = "firsthand"

[tool.flwr.app.components]
serverapp = "digits_app:server"
clientapp = "digits_app:client"

[tool.flwr.app.config]
"""


def serve(grid: Any, config: Any) -> None:
    """The server app: run the configured strategy and write the last state and the events.

    Args:
        grid: Flower's.
        config: strategy, split, seed, clients, rounds, epochs, timeout, out.
    """
    from firsthand.fedboost.federation import get_state
    from firsthand.fedboost.flower import FlowerStrategy, from_record, to_record
    from firsthand.fedboost.lab.runs import digit_task
    from firsthand.fedboost.strategies import strategy

    out = Path(str(config["out"]))
    server = FlowerStrategy(
        strategy(str(config["strategy"])), epochs=int(config["epochs"]), clients=int(config["clients"])
    )
    server.after_round = lambda number: out.parent.joinpath(f"round-{number}").touch()
    start = to_record(get_state(digit_task(int(config["seed"])).make()))
    result = server.start(grid, start, num_rounds=int(config["rounds"]), timeout=float(config["timeout"]))
    assert result.arrays is not None
    state = from_record(result.arrays)
    temporary = out.with_suffix(".tmp")
    temporary.write_text(json.dumps({"state": state.tolist(), "events": server.events}), encoding="utf-8")
    temporary.replace(out)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _started(commands: dict[str, list[str]], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Run commands in process groups of their own, each with a log; kill all groups at the end."""
    running = []
    try:
        for name, command in commands.items():
            with (folder / f"{name}.log").open("w") as log:
                options: dict[str, Any] = {"cwd": folder, "env": environment, "stderr": subprocess.STDOUT}
                running.append(subprocess.Popen(command, stdout=log, start_new_session=True, **options))
        yield
    finally:
        for process in running:
            for kind in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, kind)
                except ProcessLookupError:
                    break
                time.sleep(0.3)
            process.wait()


def _logs(folder: Path) -> str:
    return "\n".join(f"--- {file.name}\n{file.read_text()[-1500:]}" for file in sorted(folder.glob("*.log")))


def _write(folder: Path, config: dict[str, Any], link: int) -> Path:
    """The app's folder, with the app and its settings, and where its commands find the SuperLink."""
    app = folder / "app"
    app.mkdir(parents=True)
    (app / "digits_app.py").write_text(APP, encoding="utf-8")
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in config.items())
    (app / "pyproject.toml").write_text(PROJECT + lines, encoding="utf-8")
    (folder / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "127.0.0.1:{link}"\ninsecure = true\n',
        encoding="utf-8",
    )
    return app


def _commands(path: str, link: int, clients: int, dies: int | None) -> tuple[str, dict[str, list[str]]]:
    """Flower's own command, and those that start the parties, by the name of their log.

    Raises:
        UserError: Flower's commands are not on the path.
    """
    found = [shutil.which(name, path=path) for name in ("flwr", "flower-superlink", "flower-supernode")]
    if None in found:
        raise UserError("Flower's commands are missing: install the book's requirements (flwr).")
    flwr, superlink, supernode = map(str, found)
    at = ["--insecure", "--host", "127.0.0.1", "--port", str(link), "--disable-runtime-dependency-installation"]
    commands = {"superlink": [superlink, *at]}
    for i in range(clients):
        node = f"client={i}" + (" dies=1" if i == dies else "")
        to = ["--insecure", "--superlink", f"127.0.0.1:{link}", "--port", str(free_port()), "--node-config", node]
        commands[f"client-{i}"] = [supernode, *to]
    return flwr, commands


def federate_digits(
    folder: Path, *, strategy: str = "fedboosting", split: str = "iid", clients: int = 2, rounds: int = 2,
    epochs: int = 1, seed: int = 0, timeout: float = 60.0, dies: int | None = None, limit: float = 1200.0,
) -> tuple[np.ndarray, list[str]]:  # fmt: skip
    """Run a federation on digits with every party in its own process.

    Args:
        folder: empty; takes the app, the logs and the result.
        strategy, split, clients, rounds, epochs, seed: as in `runs`.
        timeout: seconds the server waits for the replies of a phase; every process imports PyTorch anew for each.
        dies: this client's processes end themselves after the first round.
        limit: seconds for everything.

    Returns:
        the last global state (P,) and the server's events.

    Raises:
        UserError: no result within the limit; the sentence is followed by the parties' logs.
    """
    folder = folder.resolve()
    out, link = folder / "result.json", free_port()
    config = {
        "strategy": strategy, "split": split, "clients": clients, "rounds": rounds, "epochs": epochs, "seed": seed,
        "timeout": timeout, "out": str(out),
    }  # fmt: skip
    app = _write(folder, config, link)
    environment = {
        **os.environ, "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    flwr, commands = _commands(environment["PATH"], link, clients, dies)
    end = time.monotonic() + limit
    with _started(commands, folder, environment):
        while not _submitted(flwr, app, environment):
            if time.monotonic() > end - limit + PATIENCE:
                raise UserError(f"Flower's processes did not start within {PATIENCE:.0f} s.\n{_logs(folder)}")
            time.sleep(1)
        while not out.is_file():
            if time.monotonic() > end:
                raise UserError(f"The federation gave no result within {limit:.0f} s.\n{_logs(folder)}")
            time.sleep(0.5)
    content = json.loads(out.read_text(encoding="utf-8"))
    return np.array(content["state"], dtype=np.float32), content["events"]


def _submitted(flwr: str, app: Path, environment: dict[str, str]) -> bool:
    """Hand the app to the SuperLink; False while nobody listens there."""
    done = subprocess.run(
        [flwr, "run", str(app), "here", "--format", "json"], env=environment, capture_output=True, text=True,
        check=False, timeout=PATIENCE,
    )  # fmt: skip
    with (app.parent / "submit.log").open("a") as log:
        log.write(done.stdout + done.stderr)
    try:  # the exit status is 0 even where the connection failed
        return bool(json.loads(done.stdout)["success"])
    except (ValueError, KeyError):
        return False
