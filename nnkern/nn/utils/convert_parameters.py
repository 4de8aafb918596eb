"""All parameters as one vector and back. Names and results are torch.nn.utils'."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ... import ops
from ...autograd import no_grad
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Any:
    """All elements of the parameters as one vector, in order; gradients flow back.

    >>> layer = nn.Linear(3, 2)
    >>> nn.utils.parameters_to_vector(layer.parameters()).shape
    (8,)
    """
    return ops.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Tensor]) -> None:
    """Copies consecutive parts of the vector into the parameters."""
    parameters = list(parameters)
    needed = sum(p.numel() for p in parameters)
    if np.shape(vec) != (needed,):
        raise ValueError(
            f"vector_to_parameters: the parameters hold {needed} numbers, the vector is {np.shape(vec)}"
        )
    with no_grad():
        for p, part in zip(parameters, ops.split(vec, [p.numel() for p in parameters])):
            p.copy_(part.reshape(p.shape))
