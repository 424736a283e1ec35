"""FedBoosting: federated text recognition with performance weights and encrypted updates.

Paper: H. Ren, J. Deng, X. Xie, X. Ma, Y. Wang, "FedBoosting: Federated Learning with Gradient Protected Boosting for
Text Recognition", Neurocomputing 2024, arXiv 2007.07296.

In this folder, in reading order: `weights` (how much a client counts, slices, mixing), `network` (reading words),
`strategies`, `federation` (rounds), `paillier`, `protection` (adding up without showing), `flower` (the same rounds
with Flower). `lab` is how it is measured, `page` what its chapter draws and asks.

What differs from the paper: of its text only the abstract, one table and the protocol's figure could be verified; the
method follows the released code (Rand2AI/FedBoosting at 4faccba). Nothing is unpickled; keys are long unless a page
breaks them; batches are shuffled; losses can be clipped from below.
"""

from typing import Any

from firsthand.fedboost.federation import Client, ClientLost, Fit, History, Task, federate, train_alone
from firsthand.fedboost.network import (
    CRNN,
    CompactCRNN,
    DigitsMLP,
    ctc_loss,
    greedy_decode,
    word_accuracy,
    words_right,
)
from firsthand.fedboost.paillier import PrivateKey, PublicKey, factor, generate_key
from firsthand.fedboost.protection import (
    Packing,
    ckks_aggregate,
    encrypted_aggregate,
    masked_aggregate,
    masked_updates,
)
from firsthand.fedboost.strategies import STRATEGIES, Reports, Strategy, strategy
from firsthand.fedboost.weights import aggregate, boosting_weights, mix, mixing_matrix, slice_weights, unmix
from firsthand.kit.lazy import from_lab

__all__ = [
    "CLAIMS", "CRNN", "PRESETS", "STRATEGIES", "Client", "ClientLost", "CompactCRNN", "Config", "DigitsMLP", "Fit",
    "History", "Packing", "PrivateKey", "PublicKey", "Reports", "Strategy", "Task", "aggregate", "boosting_weights",
    "ckks_aggregate", "ctc_loss", "encrypted_aggregate", "factor", "federate", "generate_key", "greedy_decode",
    "masked_aggregate", "masked_updates", "mix", "mixing_matrix", "run", "slice_weights", "strategy", "train_alone",
    "unmix", "word_accuracy", "words_right",
]  # fmt: skip

_LAB = {
    "claims": "CLAIMS",
    "config": "PRESETS Config",
    "pipeline": "run",
}


def __getattr__(name: str) -> Any:
    return from_lab(__name__, _LAB, name)
