"""`firsthand run`: one run of a chapter's experiment, or of its notebook, with settings of one's own."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from firsthand.chapters import chapter, notebook_path
from firsthand.cli.checks import Commands, refuse_options
from firsthand.errors import UserError

PRESETS = ("smoke", "book", "paper")
#: Chapters whose training splits its batch among processes.
TOGETHER = ("convnextv2", "dmjd", "ghost", "drgnet", "dgfont", "nerfgaze")
NAMED = {"dgfont": ("latin",)}  # data that --data may name instead of a file: what a library brings
DEVICES = "auto, cpu, mps, cuda or cuda:N"
DEVICE = re.compile(r"auto|cpu|mps|cuda(:(0|[1-9][0-9]{0,2}))?")
#: Chapters make further seeds of a run's, up to 100,000 times as large, and scikit-learn takes 32 bits.
LARGEST_SEED = 2**31 - 1
OPTIONS = ("data", "out", "weights")  # settings that have an option of their own
#: What Python and torch raise where numbers do not fit: of a reader's settings, as far as one knows.
UNFIT = (ValueError, TypeError, ArithmeticError, LookupError, RuntimeError, MemoryError)
EXAMPLE = """\
A setting is a field of the chapter's Config, with dots for a field of a field:
  firsthand run drgnet --preset smoke --set lesions.steps=3 --set attention=none
Lists have commas (--set betas=0.9,0.95); true, false and none are written so.
Settings go with every preset and with --data; the result names those changed.
"""


def add(commands: Commands) -> None:
    """Put the command and its options among the others."""
    command = commands.add_parser(
        "run", help="run a chapter's experiment and print its result", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_argument("chapter", metavar="CHAPTER")
    command.add_argument(
        "--preset", default="smoke", help="smoke (seconds, default), book, paper, or another of the chapter"
    )
    command.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="NAME=VALUE",
        help="change a setting of the preset; may be given many times",
    )  # fmt: skip
    command.add_argument("--seed", type=int, default=0, help=f"0 (default) to {LARGEST_SEED}")
    command.add_argument("--device", default="auto", help=DEVICES)
    command.add_argument("--data", help="your own data: a file or folder, as the chapter's Scale up section says")
    command.add_argument("--out", type=Path, metavar="FOLDER", help="where long runs keep checkpoints and go on from")
    command.add_argument("--weights", type=Path, metavar="FILE", help="weights to fine-tune from, as safetensors")
    command.add_argument("--json", type=Path, metavar="FILE", help="also write the result here")
    command.add_argument("--notebook", type=Path, metavar="FILE", help="run the chapter's notebook instead, into FILE")
    command.set_defaults(do=_run)


# ------------------------------------------------------------------------------------ before anything is imported


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what can be refused before anything heavy is imported."""
    chapter(arguments.chapter)
    if arguments.preset not in PRESETS and not arguments.preset.startswith("paper-"):
        raise UserError(f"Unknown preset {arguments.preset!r}: choose smoke, book or paper.")
    if not DEVICE.fullmatch(arguments.device):
        raise UserError(f"Unknown device {arguments.device!r}: choose {DEVICES}.")
    if arguments.seed < 0:
        raise UserError(f"--seed must be 0 or more; got {arguments.seed}.")
    if arguments.seed > LARGEST_SEED:
        raise UserError(f"--seed must be at most {LARGEST_SEED}; got {arguments.seed}.")
    if arguments.data is not None:
        _check_data(arguments.chapter, arguments.data)
    if arguments.weights is not None and not arguments.weights.is_file():
        raise UserError(f"No file {str(arguments.weights)!r} for --weights.")
    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        raise UserError(f"{arguments.out.name} is a file; --out must be a folder.")
    for target in (arguments.json, arguments.notebook):
        if target is not None:
            _check_target(target)


def _check_data(key: str, given: str) -> None:
    """There must be such data, and one only: a name of a library's data may be a reader's folder too."""
    named, there = given in NAMED.get(key, ()), bool(given) and Path(given).exists()
    if named and there:
        raise UserError(
            f"{given} is there, and the word also names data that come with a library: "
            f"give .{os.sep}{given} for what is there, or run elsewhere for the library's."
        )
    if not named and not there:
        raise UserError(f"No file or folder {given!r} for --data.")


def _check_target(target: Path) -> None:
    folder = target.resolve().parent
    if not folder.is_dir():
        raise UserError(f"No folder {str(target.parent)!r} to write {target.name} into.")
    if target.is_dir():
        raise UserError(f"{str(target)!r} is a folder; name a file to write.")
    if not os.access(folder, os.W_OK):
        raise UserError(f"Nothing may be written into {str(target.parent)!r}.")


def _settings(arguments: argparse.Namespace) -> dict[str, str]:
    """{name: text} of every --set."""
    settings: dict[str, str] = {}
    for word in arguments.settings:
        name, sign, value = word.partition("=")
        name = name.strip()
        if not name or not sign:
            raise UserError(f"--set takes NAME=VALUE; got {word!r}.")
        if name in OPTIONS:
            raise UserError(f"{name} has an option of its own: give --{name} {value}.")
        if name in settings:
            raise UserError(f"--set {name} is given twice; give it once.")
        settings[name] = value
    return settings


# ------------------------------------------------------------------------------------------------ the experiment


def _preset(arguments: argparse.Namespace, pipeline: Any) -> Any:
    if arguments.preset not in pipeline.PRESETS:
        known = ", ".join(pipeline.PRESETS)
        raise UserError(f"{arguments.chapter} has no preset {arguments.preset!r}: choose one of {known}.")
    return pipeline.PRESETS[arguments.preset]


def _configured(arguments: argparse.Namespace, settings: dict[str, str], pipeline: Any) -> tuple[Any, dict[str, Any]]:
    """The preset with the reader's data, settings and files, and which settings that changed."""
    from firsthand.kit.lab.settings import changed_settings, with_settings

    before = _preset(arguments, pipeline)
    if arguments.data is not None:
        before = pipeline.with_data(before, arguments.data)
    config = with_settings(before, settings)
    changed = changed_settings(before, config)
    for option in ("out", "weights"):
        value = getattr(arguments, option)
        if value is None:
            continue
        if not hasattr(config, option):
            raise UserError(f"{arguments.chapter} takes no --{option}.")
        config = replace(config, **{option: str(value)})
    _check_used(arguments, config)
    return config, changed


def _is_compact(arguments: argparse.Namespace, config: Any) -> bool:
    """Chapter 08 on drawn heads: a training of seconds, in one process and without checkpoints."""
    return arguments.chapter == "nerfgaze" and getattr(config, "data", None) is None


def _check_used(arguments: argparse.Namespace, config: Any) -> None:
    """Refuse by name what this run would not use."""
    if arguments.weights is not None and getattr(config, "task", "") == "pretrain":
        raise UserError(
            f"--weights is what fine-tuning starts from; preset {arguments.preset} of {arguments.chapter} "
            "pre-trains from fresh weights (--out goes on from a checkpoint)."
        )
    if arguments.out is not None and _is_compact(arguments, config):
        raise UserError(f"--out goes with --data: preset {arguments.preset} of nerfgaze keeps no checkpoints.")


@contextmanager
def _alone(out: str | None) -> Iterator[None]:
    """Nobody else writes to a run's folder meanwhile; the lock ends with the process, however it ends."""
    if out is None or os.environ.get("RANK", "0") != "0":
        yield
        return
    from firsthand.kit.lab.sweep import alone

    with alone(Path(out), f"Another run writes to {out}: wait for it, or name another folder with --out."):
        yield


@contextmanager
def _explained(changed: dict[str, Any]) -> Iterator[None]:
    """What a run refuses or cannot compute with settings of the reader's own, in one sentence."""
    try:
        yield
    except UserError:
        raise
    except UNFIT as error:
        if not changed:
            raise
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        first = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise UserError(f"The run stopped with {_told(changed)}: {kind}{first.rstrip('.')}.") from error


def _told(changed: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in changed.items())


def _text(value: Any) -> str:
    """A setting as --set takes it."""
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _check_processes(arguments: argparse.Namespace, config: Any) -> None:
    """A launcher's processes must split the work: nothing else would say that each of them did all of it."""
    from firsthand.kit.train.loop import processes

    if processes() == 1:
        return
    compact = _is_compact(arguments, config)
    if arguments.chapter not in TOGETHER or compact:
        what = f"preset {arguments.preset} of {arguments.chapter}" if compact else arguments.chapter
        raise UserError(f"{what} runs in one process; the launcher started {processes()}.")


def _run(arguments: argparse.Namespace) -> int:
    _check(arguments)
    settings = _settings(arguments)
    if arguments.notebook is not None:
        return _run_notebook(arguments, settings)
    pipeline = importlib.import_module(f"firsthand.{arguments.chapter}.lab.pipeline")
    config, changed = _configured(arguments, settings, pipeline)
    _check_processes(arguments, config)
    with _alone(getattr(config, "out", None)), _explained(changed):
        result = pipeline.run(config, seed=arguments.seed, device=arguments.device, progress=sys.stderr.isatty())
    if os.environ.get("RANK", "0") == "0":  # one process of several speaks
        _report(result, changed, arguments.json)
    return 0


def _report(result: Any, changed: dict[str, Any], target: Path | None) -> None:
    """Print a result, and write it where the reader asked for that."""
    from firsthand.kit.files import write_atomically
    from firsthand.kit.lab.results import to_json

    width = max(map(len, result.metrics))
    print(f"{result.chapter}, preset {result.preset}{' with ' * bool(changed)}{_told(changed)}, seed {result.seed}")
    for name, value in result.metrics.items():
        print(f"  {name:<{width}}  {value:.6g}")
    print(f"{result.seconds:.1f} s", file=sys.stderr)
    if target is not None:
        write_atomically(target, to_json(result, changed))


# -------------------------------------------------------------------------------------------------- the notebook


def _run_notebook(arguments: argparse.Namespace, settings: dict[str, str]) -> int:
    refuse_options(arguments, (*OPTIONS, "json"), "cannot be combined with --notebook, which runs on the book's data")
    source = notebook_path(arguments.chapter)
    from firsthand.kit.page.notebooks import chapter_notebook

    notebook = chapter_notebook(arguments.chapter)
    parameters: dict[str, Any] = {"preset": arguments.preset, "seed": arguments.seed, "device": arguments.device}
    if settings:
        parameters["settings"] = _notebook_settings(arguments, settings, notebook)
    import papermill

    try:
        papermill.execute_notebook(
            _literal(source), _literal(arguments.notebook), parameters, cwd=source.parent, progress_bar=False
        )
    except papermill.PapermillExecutionError as error:
        raise UserError(
            f"Cell {error.exec_count} of {source.name} raised {error.ename}: {error.evalue}; see {arguments.notebook}."
        ) from None
    print(f"Wrote {arguments.notebook}.")
    return 0


def _notebook_settings(arguments: argparse.Namespace, settings: dict[str, str], notebook: Any) -> dict[str, Any]:
    """What the notebook's `settings` becomes: checked here, since its cells would say the same in many lines."""
    from firsthand.kit.lab.settings import changed_settings, with_settings

    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if not any(re.search(r"^settings\b", cell.source, re.MULTILINE) for cell in cells):
        raise UserError(f"The notebook of {arguments.chapter} takes no settings; run --set without --notebook.")
    preset = _preset(arguments, importlib.import_module(f"firsthand.{arguments.chapter}.lab.pipeline"))
    return changed_settings(preset, with_settings(preset, settings))


def _literal(path: Path) -> str:
    """A path that Papermill takes as it is: it fills parameters into what stands in braces."""
    return str(path.resolve()).replace("{", "{{").replace("}", "}}")
