"""A correction desk for JupyterLab: paint on a retina what the system missed, submit, and see what it learned.

The desk is an anywidget: brush and layers live in the browser (`corrector.js`), so that a stroke needs no kernel; a
submission comes back as one JSON record, the same that a journal holds. ipycanvas would ask the kernel for every move
of the brush, and ipyannotations no longer keeps up with ipywidgets 8.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets
from PIL import Image

from firsthand.data.drawn.lesions import KINDS, NAMES
from firsthand.drgnet.explain import gate_map
from firsthand.drgnet.feedback import Correction, Journal
from firsthand.drgnet.interaction import Update, lesson_of, update
from firsthand.drgnet.system import DRGNet, Retinas, lesion_probabilities, unit
from firsthand.drgnet.training import Terms
from firsthand.errors import UserError

QUICK = Update(steps=20, batch=4, terms=Terms(erasure=0.0))  # some seconds on a processor


def _png(pixels: np.ndarray) -> str:
    """Pixels (h, w) or (h, w, 3) as a data address."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def view_of(system: DRGNet, image: torch.Tensor) -> dict[str, Any]:
    """What the desk shows of one uint8 picture (3, s, s): probabilities as grey pictures, grades, shares, the gate."""
    system.eval()
    with torch.no_grad():
        lesions = lesion_probabilities(system.segmenter, image[None])
        grading = system.grader(unit(image[None]), lesions)
    bytes_ = (255 * lesions[0]).round().to(torch.uint8).numpy()
    shown: dict[str, Any] = {
        "layers": [_png(layer) for layer in bytes_],
        "grades": [round(float(p), 4) for p in grading.logits.softmax(1)[0]],
        "shares": [] if grading.shares is None else [round(float(b), 4) for b in grading.shares[0]],
    }
    if grading.gate is not None:
        gate = gate_map(grading, image.shape[-1])[0, 0]
        span = float(gate.max() - gate.min()) or 1.0
        shown["gate"] = _png((255 * (gate - gate.min()) / span).round().to(torch.uint8).numpy())
    return shown


class Corrector(anywidget.AnyWidget):
    """The desk.

    Args:
        system: to correct; it is updated in place.
        data: its training set, for replay.
        pictures: to correct, one after another.
        journal: file that every submission is appended to before anything is learned from it.
        how: the recipe of an update.
    """

    _esm = resources.files("firsthand.drgnet.page").joinpath("corrector.js").read_text(encoding="utf-8")
    _css = resources.files("firsthand.drgnet.page").joinpath("corrector.css").read_text(encoding="utf-8")
    picture = traitlets.Unicode().tag(sync=True)
    size = traitlets.Int(256).tag(sync=True)
    number = traitlets.Int(0).tag(sync=True)
    count = traitlets.Int(0).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    kinds = traitlets.List(list(zip(KINDS, NAMES, strict=True))).tag(sync=True)
    now = traitlets.Dict().tag(sync=True)
    before = traitlets.Dict().tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)
    answers = traitlets.Int(0).tag(sync=True)  # counts what was answered, so that the same message twice is noticed

    def __init__(
        self, system: DRGNet, data: Retinas, pictures: Retinas, journal: str | Path, *, how: Update | None = None,
        after: Callable[[Correction], None] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.system, self.data, self.pictures = system, data, pictures
        self.journal, self.how, self.after = Journal(journal), how or QUICK, after
        self.said: dict[
            int, tuple[Correction, torch.Tensor]
        ] = {}  # by picture: the last that was said, and the old answer
        self.count, self.hashes = len(pictures), pictures.hashes()
        self.on_msg(self._told)
        self.show(0)

    def show(self, number: int) -> None:
        """Turn to a picture."""
        if not 0 <= number < len(self.pictures):
            raise ValueError(f"There are pictures 0 to {len(self.pictures) - 1}; got {number}.")
        image = self.pictures.images[number]
        with self.hold_sync():
            self.number, self.size, self.name = number, image.shape[-1], self.hashes[number]
            self.picture = _png(image.permute(1, 2, 0).numpy())
            self.before, self.now = {}, view_of(self.system, image)
            self.message = ""

    def _told(self, _: Any, content: Any, __: Any) -> None:
        """A message from the desk: turn the page, or a submission."""
        try:
            if isinstance(content, dict) and content.get("do") == "turn":
                self.show((self.number + (1 if content.get("by") == 1 else -1)) % len(self.pictures))
            elif isinstance(content, dict) and content.get("do") == "submit":
                self.submit(content.get("record"))
        except Exception as error:  # the desk must stay usable, whatever happened
            self.message = str(error) or type(error).__name__
        finally:
            self.answers += 1

    def submit(self, record: Any) -> None:
        """Check a record, keep it in the journal, and learn from it and all before; one of the same picture replaces
        the earlier one.

        Raises:
            UserError: it is damaged, of another picture, or empty.
        """
        feedback = Correction.from_record(record, "the submission")
        if feedback.image != self.name or feedback.size != self.size:
            raise UserError("The submission belongs to another picture.")
        if not (feedback.pixels or feedback.grade is not None or feedback.presence):
            raise UserError("Nothing was said: paint something or choose a grade.")
        self.journal.append(feedback)
        image = self.pictures.images[self.number]
        old = self.said[self.number][1] if self.number in self.said else self._seen(image)
        self.said[self.number] = feedback, old
        self._learn()
        with self.hold_sync():
            self.before, self.now = self.now, view_of(self.system, image)
            pictures = "picture" if len(self.said) == 1 else "pictures"
            self.message = f"Learned from {len(self.said)} corrected {pictures}; {feedback.pixels} pixels in this one."
        if self.after is not None:
            self.after(feedback)

    def _seen(self, image: torch.Tensor) -> torch.Tensor:
        return lesion_probabilities(self.system.segmenter, image[None])[0]

    def _learn(self) -> None:
        """Update on all that was said; if anything goes wrong the system is as before."""
        rows = list(self.said)
        feedback, old = ([self.said[row][part] for row in rows] for part in (0, 1))
        lesson = lesson_of(self.pictures.images[rows], torch.stack(old), feedback)  # type: ignore[arg-type]
        kept = {name: value.clone() for name, value in self.system.state_dict().items()}
        try:
            losses = update(self.system, lesson, self.data, self.how, seed=len(self.said))
            if not np.isfinite(losses).all():
                raise UserError("Learning failed: the loss is not finite. The system is as before.")
        except Exception:
            self.system.load_state_dict(kept)
            raise

    def replay(self) -> int:
        """Take up what the journal holds of these pictures, as after a restart; returns how many records."""
        found = [one for one in self.journal.read() if one.image in self.hashes and one.size == self.size]
        for one in found:
            row = self.hashes.index(one.image)
            self.said[row] = one, self._seen(self.pictures.images[row])
        if found:
            self._learn()
            self.show(self.number)
        return len(found)
