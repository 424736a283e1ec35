"""The command line: `firsthand list | doctor | run | evidence | new | coursework`.

Nothing heavy is imported before it is needed, so that help, lists and refusals are instant. A `UserError` becomes
one sentence on standard error and exit code 2.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from firsthand import __version__
from firsthand.chapters import PACKAGE, chapter, chapters, notebook_path
from firsthand.errors import UserError

PRESETS = ("smoke", "book", "paper")
#: Chapters whose training shares its batch among processes.
TOGETHER = ("convnextv2", "dmjd", "ghost", "drgnet", "dgfont", "nerfgaze")
NO_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM)
NAMED = {"dgfont": ("latin",)}  # data that --data may name instead of a file: what a library brings
DEVICES = "auto, cpu, mps, cuda or cuda:N"
Commands = argparse._SubParsersAction  # what add_subparsers returns has no public name


class _Parser(argparse.ArgumentParser):
    """Refusals in one sentence: argparse would print its usage first."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UserError(f"{message[0].upper()}{message[1:].rstrip('.')}. See `{self.prog} --help`.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="firsthand", description="Ten machine-learning papers that you read, run, check and break.")
    parser.add_argument("--version", action="version", version=f"firsthand {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    add = commands.add_parser("list", help="the chapters, their papers and their verdicts")
    add.set_defaults(do=_list)

    add = commands.add_parser("doctor", help="what works on this machine and what to do about what does not")
    add.set_defaults(do=_doctor)

    _add_run(commands)
    _add_evidence(commands)

    add = commands.add_parser("new", help="write a new chapter's first files, a toy that runs, into this clone")
    add.add_argument("key", metavar="KEY", help="the folder's name, such as hcvi")
    add.add_argument("--number", type=int, required=True)
    add.add_argument("--title", required=True, help="as the card shows it")
    add.set_defaults(do=_new)

    _add_coursework(commands)
    return parser


def _add_run(commands: Commands) -> None:
    add = commands.add_parser("run", help="run a chapter's experiment and print its result")
    add.add_argument("chapter", metavar="CHAPTER")
    add.add_argument(
        "--preset", default="smoke", help="smoke (seconds, default), book, paper, or another of the chapter"
    )
    add.add_argument("--seed", type=int, default=0)
    add.add_argument("--device", default="auto", help=DEVICES)
    add.add_argument(
        "--data", type=Path, help="your own data: a file or folder, as the chapter's Scale up section says"
    )
    add.add_argument("--out", type=Path, metavar="FOLDER", help="where long runs keep checkpoints and go on from")
    add.add_argument("--weights", type=Path, metavar="FILE", help="weights to start from, as safetensors")
    add.add_argument("--json", type=Path, metavar="FILE", help="also write the result here")
    add.add_argument("--notebook", type=Path, metavar="FILE", help="run the chapter's notebook instead, into FILE")
    add.set_defaults(do=_run)


def _add_evidence(commands: Commands) -> None:
    add = commands.add_parser("evidence", help="measure a chapter's claims and write its evidence file")
    add.add_argument("chapter", metavar="CHAPTER", help="or all")
    add.add_argument("--seeds", type=int, default=5, help="at least 5 (default); a claim may ask for more")
    add.add_argument("--workers", type=int, default=1, help="processes on this machine")
    add.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, such as tcp://host:8786")
    add.add_argument("--claim", metavar="ID", help="of --verify: this row only")
    change = add.add_mutually_exclusive_group()
    change.add_argument("--verify", action="store_true", help="recompute every stored value and compare")
    change.add_argument("--reword", action="store_true", help="only bring changed sentences into the file")
    change.add_argument("--confirm", action="store_true", help="measure a part again after code changed, and say so")
    change.add_argument("--anew", action="store_true", help="measure also the rows that the present code gave")
    change.add_argument("--renamed", nargs="+", metavar="OLD=NEW", help="prove that only these names changed")
    add.add_argument("--since", default="HEAD", metavar="COMMIT", help="of --renamed: the commit before (default HEAD)")
    add.add_argument("--minutes", type=float, default=30.0, help="of --confirm, after which no claim is begun")
    add.set_defaults(do=_evidence)


def _add_coursework(commands: Commands) -> None:
    add = commands.add_parser("coursework", help="editions for students and instructors, and marks for submissions")
    actions = add.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=_Parser)
    one = actions.add_parser("build", help="write both editions of chapters")
    one.add_argument("chapters", metavar="CHAPTER", nargs="*", help="none: all")
    one.add_argument("--to", type=Path, required=True, metavar="DIR")
    one.set_defaults(do=_coursework_build)
    one = actions.add_parser("slides", help="write a slide deck a chapter, and its figures as files")
    one.add_argument("chapters", metavar="CHAPTER", nargs="*", help="none: all")
    one.add_argument("--to", type=Path, required=True, metavar="DIR")
    one.set_defaults(do=_coursework_slides)
    one = actions.add_parser(
        "grade", help="mark a folder of submissions, STUDENT/NN_name.ipynb or STUDENT__NN_name.ipynb"
    )
    one.add_argument("submissions", type=Path, metavar="DIR")
    one.add_argument("--edition", type=Path, metavar="DIR", help="the instructor's edition; default: beside DIR")
    one.add_argument("--workers", type=int, default=2, help="submissions at a time (default 2)")
    one.add_argument("--image", metavar="NAME", help="run student code in containers of this image (docker or podman)")
    one.add_argument("--unsafe", action="store_true", help="run student code without a sandbox")
    one.set_defaults(do=_coursework_grade)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"Cannot write to {folder}: {error.strerror or error}.") from None


def _coursework_build(arguments: argparse.Namespace) -> int:
    from firsthand.coursework import build

    with _writing(arguments.to):
        for file in build(arguments.chapters, arguments.to):
            print(file)
    return 0


def _coursework_slides(arguments: argparse.Namespace) -> int:
    from firsthand.coursework import build_slides

    with _writing(arguments.to):
        for file in build_slides(arguments.chapters, arguments.to):
            print(file)
    return 0


def _coursework_grade(arguments: argparse.Namespace) -> int:
    from firsthand.coursework import grade

    folder = arguments.submissions.resolve()
    if not folder.is_dir():
        raise UserError(f"{folder.name} is no folder of submissions.")
    if arguments.workers < 1:
        raise UserError(f"--workers must be at least 1; got {arguments.workers}.")
    edition = arguments.edition or folder.parent / "instructor"
    with _writing(folder):
        reports = grade(folder, edition, workers=arguments.workers, unsafe=arguments.unsafe, image=arguments.image)
    for report in reports:
        print(f"{report.student:<24} {report.chapter:<16} {report.points:g} of {report.possible:g}")
    print(f"{folder / 'marks.csv'} and {folder / 'feedback'} are written.")
    return 0


def _list(_: argparse.Namespace) -> int:
    import json

    for c in chapters().values():
        file = Path(__file__).parent / "evidence" / f"{c.key}.json"
        verdicts = "no evidence yet"
        if file.is_file():
            try:
                names = [row["verdict"] for row in json.loads(file.read_text(encoding="utf-8"))["claims"]]
                verdicts = ", ".join(
                    f"{names.count(n)} {n}" for n in dict.fromkeys(sorted(names, key=names.count)[::-1])
                )
            except (ValueError, KeyError, TypeError):
                verdicts = "its evidence file is damaged"
        print(f"{c.number:02d}  {c.key:<11} {c.title}\n    {'':<11} {c.venue}: {verdicts}")
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from firsthand.doctor import report

    return report()


def _check_run(arguments: argparse.Namespace) -> None:
    """Refuse what can be refused before anything heavy is imported."""
    chapter(arguments.chapter)
    if arguments.preset not in PRESETS and not arguments.preset.startswith("paper-"):
        raise UserError(f"Unknown preset {arguments.preset!r}: choose smoke, book or paper.")
    kind, _, index = arguments.device.partition(":")
    if kind not in ("auto", "cpu", "mps", "cuda") or (
        ":" in arguments.device and not (kind == "cuda" and index.isdigit())
    ):
        raise UserError(f"Unknown device {arguments.device!r}: choose {DEVICES}.")
    if arguments.seed < 0:
        raise UserError(f"--seed must be 0 or more; got {arguments.seed}.")
    named = str(arguments.data) in NAMED.get(arguments.chapter, ())
    if arguments.data is not None and not named and not arguments.data.exists():
        raise UserError(f"No file or folder {str(arguments.data)!r} for --data.")
    if arguments.weights is not None and not arguments.weights.is_file():
        raise UserError(f"No file {str(arguments.weights)!r} for --weights.")
    for target in (arguments.json, arguments.notebook):
        if target is not None and not target.resolve().parent.is_dir():
            raise UserError(f"No folder {str(target.parent)!r} to write {target.name} into.")


@contextmanager
def _alone(out: str | None) -> Iterator[None]:
    """Nobody else writes to a run's folder meanwhile; the lock ends with the process, however it ends."""
    if out is None or os.environ.get("RANK", "0") != "0":
        yield
        return
    from firsthand.kit.lab.sweep import alone

    with alone(Path(out), f"Another run writes to {out}: wait for it, or name another folder with --out."):
        yield


def _check_processes(arguments: argparse.Namespace, config: object) -> None:
    """A launcher's processes must share the work: nothing else would say that each of them did all of it."""
    from firsthand.kit.train.loop import processes

    if processes() == 1:
        return
    compact = arguments.chapter == "nerfgaze" and getattr(config, "data", None) is None
    if arguments.chapter not in TOGETHER or compact:
        what = f"preset {arguments.preset} of {arguments.chapter}" if compact else arguments.chapter
        raise UserError(f"{what} runs in one process; the launcher started {processes()}.")


def _run(arguments: argparse.Namespace) -> int:
    _check_run(arguments)
    if arguments.notebook is not None:
        return _run_notebook(arguments)
    import importlib

    from firsthand.kit.files import write_atomically

    pipeline = importlib.import_module(f"firsthand.{arguments.chapter}.lab.pipeline")
    if arguments.preset not in pipeline.PRESETS:
        known = ", ".join(pipeline.PRESETS)
        raise UserError(f"{arguments.chapter} has no preset {arguments.preset!r}: choose one of {known}.")
    config = pipeline.PRESETS[arguments.preset]
    if arguments.data is not None:
        config = pipeline.with_data(config, str(arguments.data))
    for option in ("out", "weights"):
        value = getattr(arguments, option)
        if value is None:
            continue
        if not hasattr(config, option):
            raise UserError(f"{arguments.chapter} takes no --{option}.")
        config = replace(config, **{option: str(value)})
    _check_processes(arguments, config)
    with _alone(getattr(config, "out", None)):
        result = pipeline.run(config, seed=arguments.seed, device=arguments.device, progress=sys.stderr.isatty())
    if os.environ.get("RANK", "0") != "0":  # one process of several speaks
        return 0
    width = max(map(len, result.metrics))
    print(f"{result.chapter}, preset {result.preset}, seed {result.seed}")
    for name, value in result.metrics.items():
        print(f"  {name:<{width}}  {value:.6g}")
    print(f"{result.seconds:.1f} s", file=sys.stderr)
    if arguments.json is not None:
        write_atomically(arguments.json, result.to_json())
    return 0


def _run_notebook(arguments: argparse.Namespace) -> int:
    source = notebook_path(arguments.chapter)
    if arguments.data is not None:
        raise UserError("--data cannot be combined with --notebook; set it in the notebook's parameters cell.")
    import papermill

    from firsthand.kit.page.notebooks import chapter_notebook

    chapter_notebook(arguments.chapter)

    parameters = {"preset": arguments.preset, "seed": arguments.seed, "device": arguments.device}
    try:
        papermill.execute_notebook(source, arguments.notebook, parameters, cwd=source.parent, progress_bar=False)
    except papermill.PapermillExecutionError as error:
        raise UserError(
            f"Cell {error.exec_count} of {source.name} raised {error.ename}: {error.evalue}; see {arguments.notebook}."
        ) from None
    print(f"Wrote {arguments.notebook}.")
    return 0


def _new(arguments: argparse.Namespace) -> int:
    from firsthand.scaffold import scaffold

    files, later = scaffold(arguments.key, arguments.number, arguments.title)
    print(*(f"  {file.relative_to(PACKAGE.parents[1])}" for file in files), later, sep="\n", end="")
    return 0


def _evidence(arguments: argparse.Namespace) -> int:
    keys = list(chapters()) if arguments.chapter == "all" else [chapter(arguments.chapter).key]
    if arguments.workers < 1:
        raise UserError(f"--workers must be at least 1; got {arguments.workers}.")
    if arguments.seeds < 5:
        raise UserError(f"Evidence needs at least 5 seeds; got {arguments.seeds}.")
    from firsthand.kit.lab import evidence

    if arguments.claim is not None and (not arguments.verify or arguments.chapter == "all"):
        raise UserError("--claim names a row of one chapter that --verify recomputes; give both.")
    if arguments.verify:
        from firsthand.kit.lab.verifying import verify

        differences = [line for key in keys for line in verify(key, workers=arguments.workers, only=arguments.claim)]
        print("\n".join(differences) or "Every stored value was found again.")
        return 1 if differences else 0
    if arguments.confirm:
        from firsthand.kit.lab.verifying import confirm

        contents: Iterable[dict[str, Any]] = (confirm(key, minutes=arguments.minutes) for key in keys)
    elif arguments.renamed:
        from firsthand.kit.lab.verifying import confirm_renamed

        if any(name.count("=") != 1 for name in arguments.renamed):
            raise UserError(f"--renamed takes names as OLD=NEW; got {' '.join(arguments.renamed)}.")
        names = dict(name.split("=") for name in arguments.renamed)
        contents = (confirm_renamed(key, names, arguments.since) for key in keys)
    elif arguments.reword:
        contents = (evidence.reword(evidence.load(key)) for key in keys)
    else:
        from firsthand.kit.lab.measuring import measure_all

        contents = measure_all(
            keys, seeds=arguments.seeds, workers=arguments.workers, scheduler=arguments.scheduler, anew=arguments.anew
        )
    for content in contents:
        path = evidence.save(content)
        print(f"{path.name}: " + ", ".join(f"{n} {name}" for name, n in evidence.counts(content).items()))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    try:
        arguments = _parser().parse_args(argv)
        do: Callable[[argparse.Namespace], int] = arguments.do
        return do(arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; the same command goes on where it was.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in NO_WRITING:
            raise
        name = f": {Path(error.filename).name}" if error.filename else ""
        print(f"{error.strerror}{name}. What was written before is whole.", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
