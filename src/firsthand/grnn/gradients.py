"""What a client shares, how two such gradients are compared, and what can be read off one without any search.

B examples, c channels, s pixels a side, C classes, P parameters. Gradients are flat, in the order of
`model.parameters()`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

ROOT_GUARD = 1e-12  # under the root, whose slope at 0 would be infinite


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy for class indices (B,) or probabilities (B, C), by log-softmax (the release's log of a
    softmax underflows)."""
    if y.ndim == 1:
        return F.cross_entropy(logits, y)
    return -(y * F.log_softmax(logits, dim=1)).sum(1).mean()


def gradient_function(model: nn.Module) -> Callable[[Tensor, Tensor, bool], Tensor]:
    """A function (x, y, create_graph) -> flat gradient (P,) of the mean loss that leaves the model as it is.

    Parameters are used through detached copies that share memory, buffers through clones, so that neither
    `.grad` nor running statistics change.
    """
    parameters = {name: p.detach().requires_grad_() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def gradient(x: Tensor, y: Tensor, create_graph: bool = False) -> Tensor:
        state = {**parameters, **{name: buffer.clone() for name, buffer in buffers.items()}}
        loss = cross_entropy(functional_call(model, state, (x,)), y)
        parts = torch.autograd.grad(loss, list(parameters.values()), create_graph=create_graph)
        return torch.cat([part.flatten() for part in parts])

    return gradient


def shared_gradient(model: nn.Module, x: Tensor, y: Tensor, *, create_graph: bool = False) -> Tensor:
    """The gradient that a client sends after one step of federated learning, equation (1).

    Args:
        model: the global model; nothing in it changes.
        x: (B, c, s, s) images in [0, 1].
        y: (B,) class indices, or (B, C) probabilities.
        create_graph: keep the graph, so that the result can be differentiated with respect to x and y.

    Returns:
        (P,) gradient of the mean cross-entropy.
    """
    return gradient_function(model)(x, y, create_graph)


def gradient_distance(fake: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of squared differences, and their Euclidean norm, which the paper calls a Wasserstein distance.

    Both enter the loss, equation (2), with weight 1: the norm keeps the slope from vanishing near the solution.

    Args:
        fake, true: (P,).
    """
    squares = (fake - true).square().sum()
    return squares, (squares + ROOT_GUARD).sqrt()


def wasserstein(fake: Tensor, true: Tensor) -> Tensor:
    """The 1-D Wasserstein distance between the values of two gradients as sets; which parameter a value belongs to
    is forgotten.

    Raises:
        ValueError: lengths that differ.
    """
    if fake.shape != true.shape:
        raise ValueError(f"Gradients must have the same length; got {tuple(fake.shape)} and {tuple(true.shape)}.")
    return (fake.sort().values - true.sort().values).abs().mean()


def total_variation(images: Tensor) -> Tensor:
    """Squared total variation, the brief form of the released code: 2/B (vertical / (c (s-1) s) + horizontal / …).

    TV of equation (2).

    Args:
        images: (B, c, s, s).
    """
    count, channels, height, width = images.shape
    down = (images[:, :, 1:] - images[:, :, :-1]).square().sum() / (channels * (height - 1) * width)
    right = (images[:, :, :, 1:] - images[:, :, :, :-1]).square().sum() / (channels * height * (width - 1))
    return 2 * (down + right) / count


# ------------------------------------------------------------------------------------------ closed forms


def split_gradient(model: nn.Module, gradient: Tensor) -> dict[str, Tensor]:
    """{parameter name: its part of a flat gradient, in its shape}.

    Raises:
        ValueError: the gradient has another length.
    """
    sizes = [p.numel() for p in model.parameters()]
    if gradient.shape != (sum(sizes),):
        raise ValueError(f"The gradient has shape {tuple(gradient.shape)}; the model has {sum(sizes)} parameters.")
    parts = gradient.split(sizes)
    return {name: part.view_as(p) for (name, p), part in zip(model.named_parameters(), parts, strict=True)}


def last_bias_gradient(model: nn.Module, gradient: Tensor, num_classes: int) -> Tensor:
    """The (C,) gradient of the classifier's bias, equation (3): mean softmax minus label frequencies.

    Raises:
        ValueError: the last parameter is not a vector of C numbers.
    """
    name, part = list(split_gradient(model, gradient).items())[-1]
    if part.shape != (num_classes,):
        raise ValueError(
            f"The last parameter, {name}, has shape {tuple(part.shape)}; a bias of {num_classes} is needed."
        )
    return part


def labels_from_bias(bias_gradient: Tensor, batch: int) -> Tensor:
    """Labels of a batch from the last bias's gradient: the most negative entry, then again with 1/B given back.

    Exact for one example, where by equation (3) only the true class is negative (iDLG); a heuristic for more, as
    softmax values of an untrained model blur the counts.

    Args:
        bias_gradient: (C,).
        batch: B.

    Returns:
        (B,) class indices, sorted.
    """
    rest = bias_gradient.clone()
    found = []
    for _ in range(batch):
        label = int(rest.argmin())
        found.append(label)
        rest[label] += 1 / batch
    return torch.tensor(sorted(found), device=bias_gradient.device)


def layer_input(weight_gradient: Tensor, bias_gradient: Tensor) -> Tensor:
    """What entered a linear layer, for one example: row of the weight's gradient over the entry of the bias's.

    Args:
        weight_gradient: (out, in) = bias_gradient times input.
        bias_gradient: (out,); its largest entry is used.

    Returns:
        (in,) the input, exact for one example and a meaningless mixture for more.

    Raises:
        ValueError: the bias's gradient is zero everywhere.
    """
    row = int(bias_gradient.abs().argmax())
    if bias_gradient[row] == 0:
        raise ValueError("The bias has a gradient of zero everywhere: the layer received no signal.")
    return weight_gradient[row] / bias_gradient[row]
