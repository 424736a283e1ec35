"""GHOST: a small aerial-image detector by hybrid quantisation, taught by its own full-precision self.

Paper: J. Zhang, J. Lei, W. Xie, Y. Li, X. Jia, "Guided Hybrid Quantization for Object Detection in Multimodal Remote
Sensing Imagery via One-to-one Self-teaching", IEEE TGRS 2023, arXiv 2301.00131.

In this folder, in reading order: `detector` (the network and what it costs), `loss`, `evaluation` (suppression,
average precision), `quantizers` (DoReFa, PACT, LSQ), `bits` (how many bits a layer gets), `teaching` (the gate and
what passes it), `training`. `lab` is how it is measured, `page` what its chapter draws and asks.

What differs from the paper: we could not obtain its body, so the method follows the released code (icey-zhang/GHOST at
89b4d92). Its switches are never trained and its own flag turns the lessons off; here the gate is a choice.
"""

from typing import Any

from firsthand.ghost.bits import allocate_bits, bit_operations, bits_closed_form, input_bits, model_size_mb
from firsthand.ghost.detector import Detector, count_macs, fold_batch_norm
from firsthand.ghost.evaluation import average_precision, average_precisions, suppress
from firsthand.ghost.loss import assign, detection_loss
from firsthand.ghost.quantizers import LSQ, Activation, quantize_activation, quantize_model, quantize_weight
from firsthand.ghost.teaching import OneToOneTeacher, energy, lesson, open_probability
from firsthand.ghost.training import Pictures, Recipe, evaluate, measure_batch_norm, train_detector
from firsthand.kit.lazy import from_lab

__all__ = [
    "CLAIMS", "LSQ", "PRESETS", "Activation", "Config", "Detector", "OneToOneTeacher", "Pictures", "Recipe",
    "allocate_bits", "assign", "average_precision", "average_precisions", "bit_operations", "bits_closed_form",
    "count_macs", "detection_loss", "energy", "evaluate", "export_int8", "fold_batch_norm", "input_bits", "lesson",
    "measure_batch_norm", "model_size_mb", "open_probability", "quantize_activation", "quantize_model",
    "quantize_weight", "run", "suppress", "train_detector",
]  # fmt: skip

_LAB = {
    "claims": "CLAIMS",
    "config": "PRESETS Config",
    "export": "export_int8",
    "pipeline": "run",
}


def __getattr__(name: str) -> Any:
    return from_lab(__name__, _LAB, name)
