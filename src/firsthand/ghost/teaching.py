"""One-to-one self-teaching: a layer of the full-precision network teaches the same layer of its quantised copy.

A switch decides, picture by picture and layer by layer, whether that lesson is given.

N pictures, L layers. Maps are lists of L tensors (N, C_l, h_l, w_l).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firsthand.kit.train.distributed import gathered

GATES = ("frozen", "trained", "always")
TEMPERATURE = 1.0


def energy(maps: Tensor) -> Tensor:
    """Mean square over channels, as a vector of length one: (N, C, h, w) to (N, h w)."""
    return F.normalize(maps.square().mean(1).flatten(1), dim=1)


def lesson(student: Tensor, teacher: Tensor) -> Tensor:
    """A layer's lesson, a term of equation (3): squared distance of energies over the number of sites, (N,)."""
    distance = energy(student) - energy(teacher)
    return distance.square().mean(1)


def open_probability(logit: Tensor) -> Tensor:
    """Chance that the released switch is open: with a single Gumbel draw it is 1 - exp(-exp(a)), not a sigmoid."""
    return 1 - torch.exp(-torch.exp(logit))


class OneToOneTeacher(nn.Module):
    """The lessons and their switches.

    Args:
        channels: of the L layers.
        dim: of queries and keys.
        gate: "frozen": random projections that never learn, as the released training has it (its optimiser is built
            before they exist); "trained": they learn with the student; "always": every lesson is given.
        budget: ours: the share of open switches that a trained gate is held to; None: nothing holds it.
        noise: Gumbel noise on the logits in training.
        weight: of the budget's penalty, sum over layers of (mean open chance - budget) ** 2.
    """

    def __init__(
        self, channels: Sequence[int], *, dim: int = 128, gate: str = "frozen", budget: float | None = None,
        noise: bool = True, weight: float = 0.01,
    ) -> None:  # fmt: skip
        super().__init__()
        if gate not in GATES:
            raise ValueError(f"Unknown gate {gate!r}: choose one of {', '.join(GATES)}.")
        if budget is not None and not (0 < budget < 1 and gate == "trained"):
            raise ValueError("A budget lies between 0 and 1 and needs gate='trained'.")
        self.gate, self.budget, self.noise, self.dim, self.weight = gate, budget, noise, dim, weight
        self.queries = nn.ModuleList(nn.Sequential(nn.Linear(c, dim), nn.BatchNorm1d(dim)) for c in channels)
        self.keys = nn.ModuleList(nn.Sequential(nn.Linear(c, dim), nn.BatchNorm1d(dim), nn.ReLU()) for c in channels)
        if gate != "trained":
            self.requires_grad_(False)

    def logits(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """The diagonal of queries times keys, (N, L). Means are detached: the student cannot close a switch (ours)."""
        found = []
        for s, t, query, key in zip(student, teacher, self.queries, self.keys, strict=True):
            q, k = query(t.detach().mean((2, 3))), key(s.detach().mean((2, 3)))
            found.append((q * k).sum(1) / self.dim**0.5)
        return torch.stack(found, 1)

    def switches(self, logits: Tensor, noise: Tensor | torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Open or not (N, L) in {0, 1} with the gradient of the soft value, and that value; m of equation (3).

        noise: (N, L) in [0, 1), or where it is drawn from.
        """
        shifted = logits
        if self.noise and self.training:
            if not isinstance(noise, Tensor):
                noise = torch.rand(logits.shape, generator=noise, device=logits.device)
            uniform = noise.to(logits.device).clamp(1e-6, 1 - 1e-6)
            shifted = logits - torch.log(-torch.log(uniform))
        soft = torch.sigmoid(shifted / TEMPERATURE)
        hard = (soft > 0.5).to(soft.dtype)
        return hard + soft - soft.detach(), soft

    def forward(
        self,
        student_maps: Sequence[Tensor],
        teacher_maps: Sequence[Tensor],
        noise: Tensor | torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The loss, the last sum of equation (3), and which switches were open (N, L).

        Args:
            student_maps, teacher_maps: layers in the same order and of the same shapes.
            noise: as `switches`.

        Raises:
            ValueError: maps of other pictures or other sites than the teacher's.
        """
        if [(len(s), *s.shape[2:]) for s in student_maps] != [(len(t), *t.shape[2:]) for t in teacher_maps]:
            raise ValueError("The student's maps are not of the teacher's pictures and sizes, layer by layer.")
        lessons = torch.stack([lesson(s, t.detach()) for s, t in zip(student_maps, teacher_maps, strict=True)], 1)
        if self.gate == "always":
            return lessons.mean(0).sum(), torch.ones_like(lessons)
        logits = self.logits(student_maps, teacher_maps)
        switch, _ = self.switches(logits, noise)
        loss = (switch * lessons).mean(0).sum()
        if self.budget is not None:
            loss = loss + self.weight * (gathered(open_probability(logits)).mean(0) - self.budget).square().sum()
        return loss, switch.detach().round()
