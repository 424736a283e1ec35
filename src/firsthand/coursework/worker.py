"""Runs one submission inside the sandbox: `python -m firsthand.coursework.worker`.

It reads messages on standard input and answers on what was standard output; the submission's own prints go nowhere.
It knows no test and no mark: it loads cells, tells what an answer is, and calls it with arguments it is sent.
"""

from __future__ import annotations

import math
import os
import sys
from code import InteractiveInterpreter
from types import SimpleNamespace
from typing import Any

from firsthand.coursework.wire import Made, WireError, pack, parse, slope, unpack, write

LONGEST = 400  # characters of an error that are reported
FILES = 128  # open at once
RUN_BY = ("time", "prun", "capture")  # magics that run code in the notebook's own names
VALUE = "_value_of_a_line"  # where the value of such a line waits to be passed on


def limit(memory: int, processes: int, disk: int) -> None:
    """Limits for this process and each that it starts; `sandbox` watches time and memory of all together."""
    import resource  # not on Windows

    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (disk, disk))  # also of memory that is used as a file
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_seconds(seconds: int) -> None:
    """Let this process, and each that it starts, compute for so many seconds more; then a signal ends it.

    A later call may allow no more than twice as much as the first, since the submission has run by then.
    """
    import resource

    usage, hard = resource.getrusage(resource.RUSAGE_SELF), resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = math.ceil(usage.ru_utime + usage.ru_stime) + seconds
    most = soft + seconds + 1
    hard = most if hard == resource.RLIM_INFINITY else min(hard, most)
    resource.setrlimit(resource.RLIMIT_CPU, (min(soft, hard), hard))


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:LONGEST]


def _describe(value: Any) -> dict[str, Any]:
    """What an answer is: a function, or a plain value."""
    if callable(value):
        return {"kind": "function"}
    if value is Ellipsis:
        return {"kind": "missing"}
    try:
        return {"kind": "value", "value": pack(value)}
    except WireError as error:
        return {"kind": "error", "error": str(error)}


def _followed(value: Any) -> Any:
    """Arguments with recipes followed."""
    if isinstance(value, Made):
        return value.make()
    if isinstance(value, list):
        return [_followed(v) for v in value]
    if isinstance(value, tuple):
        return tuple(_followed(v) for v in value)
    return value


class Cells(InteractiveInterpreter):
    """Runs cells one after another, as a notebook does; `names` is what they have defined."""

    def __init__(self, names: dict[str, Any] | None = None) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__", **(names or {})}
        self.error: BaseException | None = None
        super().__init__(self.names)

    def showtraceback(self) -> None:
        """Keep what went wrong instead of printing it."""
        self.error = sys.exc_info()[1]

    def run(self, source: str, name: str) -> None:
        """Run a cell.

        Raises:
            BaseException: whatever it raises.
        """
        self.error = None
        self.runcode(compile(source, name, "exec"))
        error, self.error = self.error, None  # cells run cells, and may catch what those raise
        if error is not None:
            raise error


class Nothing:
    """Stands for any part of a notebook's machinery: every attribute and every result is itself."""

    def __getattr__(self, name: str) -> Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: Any, **__: Any) -> Nothing:
        return self


class Shell(Nothing):
    """What `get_ipython` returns to a submission: magics that run code do, the others do nothing."""

    def __init__(self, cells: Cells) -> None:
        self.user_ns, self._cells = cells.names, cells

    def run_line_magic(self, name: str, line: str, *_: Any, **__: Any) -> Any:
        """Of a line as `%time x = f()`; the value of an expression is passed on."""
        if name not in RUN_BY:
            return None
        try:
            compile(line, "line", "eval")
        except SyntaxError:
            self._cells.run(line, "line")
            return None
        self._cells.run(f"{VALUE} = (\n{line}\n)", "line")
        return self.user_ns.pop(VALUE)

    def run_cell_magic(self, name: str, _: str, cell: str) -> None:
        """Of a whole cell."""
        if name in RUN_BY:
            self._cells.run(as_python(cell), "cell")

    def system(self, *_: Any) -> None:
        """Of a line that begins with !, for another program."""

    def getoutput(self, *_: Any, **__: Any) -> list[str]:
        """What such a program says."""
        return []


def as_python(source: str) -> str:
    """A cell as Jupyter makes Python of it, where it is none: its magics, help and shell lines become calls."""
    try:
        compile(source, "cell", "exec")
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        return str(TransformerManager().transform_cell(source))
    return source


class Submission:
    """The names that a submission's cells define."""

    def __init__(self) -> None:
        self.cells = Cells()
        self.names = self.cells.names
        self.shell = Shell(self.cells)

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what a message asks: "limit" time, "run" a cell, "look" at a name, "call" a function, its "gradient"."""
        match message.get("do"):
            case "run":
                return self._run(str(message["source"]), str(message["name"]))
            case "limit":
                limit_seconds(int(message["seconds"]))
                return {"done": True}
            case "look":
                return _describe(self.names.get(str(message["variable"]), Ellipsis))
            case "call":
                return self._call(self.names.get(str(message["variable"])), unpack(message["args"]))
            case "gradient":
                function, wrt = self.names.get(str(message["variable"])), int(message["wrt"])
                return self._call(lambda *args: slope(function, args, wrt), unpack(message["args"]))
        return {"error": "Unknown message."}

    def _run(self, source: str, name: str) -> dict[str, Any]:
        """Run a cell as a notebook would, magics too; afterwards `check` and `display` do nothing."""
        self.names["get_ipython"] = lambda: self.shell
        if "get_ipython" in source and "IPython" in source:  # it may be imported by name
            import IPython

            IPython.get_ipython = self.names["get_ipython"]
        try:
            self.cells.run(as_python(source), name)
        except BaseException as error:  # also SystemExit and KeyboardInterrupt
            return {"error": _short(error)}
        self.names["check"] = lambda *_: SimpleNamespace(passed=True, message="", hint="")
        self.names["display"] = lambda *_, **__: None
        return {"done": True}

    def _call(self, function: Any, args: Any) -> dict[str, Any]:
        try:
            return {"value": pack(function(*_followed(args)))}
        except WireError as error:
            return {"error": f"The function returned something that cannot be graded. {error}"}
        except BaseException as error:
            return {"error": _short(error)}


def main() -> None:
    """Serve until the input ends."""
    memory, processes, disk = (int(argument) for argument in sys.argv[1:4])
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    limit(memory, processes, disk)
    submission = Submission()
    questions = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # input() of a submission gets nothing
    write(answers, {"ready": True})
    for line in questions:
        try:
            reply = submission.answer(parse(line))
        except WireError as error:
            reply = {"error": str(error)}
        write(answers, reply)


if __name__ == "__main__":
    main()
