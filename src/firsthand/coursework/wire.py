"""What passes between a grader and a submission: plain values as JSON, arrays as bytes; nothing that runs.

A grader never lets a submission's objects into its own process, and a submission never sees a test: they exchange
arguments and results. Where an exercise takes a model, the grader sends a recipe (`Made`) that is followed in the
submission's process.
"""

from __future__ import annotations

import base64
import importlib
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

LARGEST = 64_000_000  # bytes of a message to a submission
REPLY = 4_000_000  # bytes of one from it: hidden tests compute with what comes back, outside the sandbox
KINDS = "biufc"  # of numpy's dtypes: bool, integers, floats, complex
DEPTH = 12


class WireError(ValueError):
    """A message that cannot be sent or is none."""


@dataclass(frozen=True)
class Made:
    """An argument that is made where it is used: the result of a function of the book.

    Attributes:
        path: "firsthand.module:function". args: plain values.
    """

    path: str
    args: tuple[Any, ...] = ()

    def make(self) -> Any:
        """Follow the recipe."""
        module, _, name = self.path.partition(":")
        if not module.startswith("firsthand."):
            raise WireError(f"Only functions of the book can be named; {self.path!r} is none.")
        return getattr(importlib.import_module(module), name)(*self.args)


def made_for(answer: Any, path: str, *args: Any) -> Any:
    """What a hidden test gives an answer that takes a model: the model, or its recipe where the answer runs elsewhere.

    Args:
        answer: a function. path, args: as `Made`.
    """
    recipe = Made(path, args)
    return recipe if getattr(answer, "remote", False) else recipe.make()


def gradient_of(answer: Any, *args: Any, wrt: int) -> Any:
    """The gradient of the sum of what an answer returns, by its argument number `wrt`, a tensor.

    It is computed where the answer runs: gradients do not pass through messages.
    """
    if getattr(answer, "remote", False):
        return answer.gradient(args, wrt)
    return slope(answer, args, wrt)


def slope(function: Any, args: tuple[Any, ...], wrt: int) -> Any:
    """That gradient, here; zeros where the result does not depend on the argument."""
    given = list(args)
    given[wrt] = given[wrt].clone().requires_grad_()
    total = function(*given).sum()
    if total.requires_grad:
        total.backward()
    found = given[wrt].grad
    return given[wrt].detach() * 0 if found is None else found


def pack(value: Any, depth: int = 0) -> Any:
    """A value as JSON has it.

    Raises:
        WireError: something that is no plain value, array, tensor or recipe.
    """
    if depth > DEPTH:
        raise WireError("The value is nested too deeply.")
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return {"t": "int", "v": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"t": "float", "v": repr(value)}
    if isinstance(value, complex):
        return {"t": "complex", "v": [pack(value.real), pack(value.imag)]}
    if isinstance(value, (list, tuple)):
        return {"t": "list" if isinstance(value, list) else "tuple", "v": [pack(v, depth + 1) for v in value]}
    if isinstance(value, dict):
        return {"t": "dict", "v": [[pack(k, depth + 1), pack(v, depth + 1)] for k, v in value.items()]}
    if isinstance(value, Made):
        return {"t": "made", "path": value.path, "args": [pack(v, depth + 1) for v in value.args]}
    return _pack_array(value)


def _pack_array(value: Any) -> Any:
    module = type(value).__module__
    if module.startswith("torch") and hasattr(value, "detach"):
        return {**_pack_array(value.detach().cpu().numpy()), "t": "tensor"}
    if isinstance(value, (np.ndarray, np.generic)) and np.asarray(value).dtype.kind in KINDS:
        array = np.ascontiguousarray(value)
        shape = list(np.asarray(value).shape)
        data = base64.b64encode(array.tobytes()).decode("ascii")
        return {"t": "array", "dtype": array.dtype.str, "shape": shape, "data": data}
    raise WireError(f"A {type(value).__name__} cannot be sent; numbers, strings, lists, arrays and tensors can.")


def unpack(content: Any, depth: int = 0) -> Any:
    """The value that was packed; recipes stay recipes.

    Raises:
        WireError: it was not packed by `pack`.
    """
    if depth > DEPTH:
        raise WireError("The value is nested too deeply.")
    if content is None or isinstance(content, (bool, str, float)):
        return content
    try:
        kind, inner = content["t"], content.get("v")
        if kind == "int":
            return int(inner)
        if kind == "float":
            return float(inner)
        if kind == "complex":
            return complex(unpack(inner[0]), unpack(inner[1]))
        if kind in ("list", "tuple"):
            values = [unpack(v, depth + 1) for v in inner]
            return values if kind == "list" else tuple(values)
        if kind == "dict":
            return {unpack(k, depth + 1): unpack(v, depth + 1) for k, v in inner}
        if kind == "made":
            return Made(str(content["path"]), tuple(unpack(v, depth + 1) for v in content["args"]))
        if kind in ("array", "tensor"):
            return _unpack_array(content, kind)
    except WireError:
        raise
    except Exception as error:  # dtypes and shapes of a forger raise many kinds
        raise WireError(f"A damaged message: {str(error)[:100]}.") from None
    raise WireError(f"Unknown kind {str(kind)[:20]!r} in a message.")


def _unpack_array(content: dict[str, Any], kind: str) -> Any:
    dtype = np.dtype(content["dtype"])
    shape = tuple(int(n) for n in content["shape"])
    data = base64.b64decode(content["data"], validate=True)
    if dtype.kind not in KINDS or dtype.hasobject or len(data) != dtype.itemsize * math.prod(shape) or len(shape) > 8:
        raise WireError("An array whose bytes do not fit its shape.")
    array = np.frombuffer(data, dtype).reshape(shape).copy()
    if kind == "array":
        return array
    import torch

    return torch.from_numpy(array)


def write(stream: Any, message: dict[str, Any]) -> None:
    """One message, one line.

    Raises:
        WireError: too long.
    """
    line = json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    if len(line) > LARGEST:
        raise WireError(f"A result of more than {LARGEST // 1_000_000} MB.")
    stream.write(line)
    stream.flush()


def parse(line: bytes) -> dict[str, Any]:
    """A message from its line.

    Raises:
        WireError: no JSON object.
    """
    try:
        message = json.loads(line)
    except ValueError:  # also bytes that are no text
        raise WireError("A line that is no JSON.") from None
    except RecursionError:
        raise WireError("The value is nested too deeply.") from None
    except MemoryError:
        raise WireError("The value is too large.") from None
    if not isinstance(message, dict):
        raise WireError("A line that is no message.")
    return message
