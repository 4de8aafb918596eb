"""weight_norm and spectral_norm: torch.nn.utils.parametrizations, with its names in state_dict."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops, random
from ...autograd import no_grad
from ...tensor import Tensor
from ..conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..module import Module
from .parametrize import register_parametrization


def _others(ndim: int, dim: int) -> tuple[int, ...] | None:
    """All axes but dim; None, all of them, for -1."""
    return None if dim == -1 else tuple(i for i in range(ndim) if i != dim % ndim)


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def _length(self, v: Any) -> Any:
        if self.dim == -1:
            return ops.vector_norm(v)
        axes = _others(v.ndim, self.dim)
        return ops.vector_norm(v, 2, axes, True) if axes else abs(v)

    def forward(self, g: Any, v: Any) -> Any:
        return v * (g / self._length(v))

    def right_inverse(self, weight: Any) -> Any:
        if self.dim != -1 and not -weight.ndim <= self.dim < weight.ndim:
            raise IndexError(f"weight_norm: dim {self.dim} does not exist (weight.shape={weight.shape})")
        return self._length(weight), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """weight = g v / |v|: length and direction are trained apart. dim: the axis that has a length each; None: one for all.

    state_dict: parametrizations.<name>.original0 is g, original1 is v. Salimans and Kingma 2016.

    >>> layer = weight_norm(nn.Linear(20, 40))
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    def __init__(self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(f"spectral_norm: dim {dim} does not exist (weight.shape={weight.shape})")
        if n_power_iterations <= 0:
            raise ValueError(f"spectral_norm: n_power_iterations must be positive, got {n_power_iterations}")
        self.dim, self.eps, self.n_power_iterations = dim % weight.ndim, eps, n_power_iterations
        if weight.ndim > 1:
            matrix = self._matrix(weight.detach()).data
            draw = random.generator().standard_normal
            for buffer, n in zip(("_u", "_v"), matrix.shape):
                self.register_buffer(buffer, self._unit(draw(n).astype(matrix.dtype)))
            self._iterate(matrix, 15)

    def _unit(self, v: np.ndarray) -> np.ndarray:
        return v / max(float(np.linalg.norm(v)), self.eps)

    def _matrix(self, weight: Any) -> Any:
        return ops.reshape(ops.movedim(weight, self.dim, 0), (weight.shape[self.dim], -1))

    def _iterate(self, matrix: np.ndarray, times: int) -> None:
        """u and v towards the singular vectors of the largest singular value (power method)."""
        for _ in range(times):
            self._u.data[...] = self._unit(ops.mv(matrix, self._v.data))
            self._v.data[...] = self._unit(ops.mv(matrix.T, self._u.data))

    def forward(self, weight: Any) -> Any:
        if weight.ndim == 1:
            return ops.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            with no_grad():
                self._iterate(matrix.data, self.n_power_iterations)
        # Copies: the next call's iteration must not change what this call's backward reads.
        u, v = Tensor(self._u.data.copy()), Tensor(self._v.data.copy())
        sigma = ops.sum(u * ops.mv(matrix, v))
        return weight / sigma

    def right_inverse(self, value: Any) -> Any:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """weight / sigma, its largest singular value, seen as a matrix with rows along dim (1 for transposed convolutions).

    While training, every use takes n_power_iterations steps of the power method. state_dict:
    parametrizations.<name>.original, and the singular vectors parametrizations.<name>.0._u and _v. Miyato et al. 2018.

    >>> layer = spectral_norm(nn.Linear(20, 40))
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"{type(module).__name__} has no parameter {name!r} to normalise")
    if dim is None:
        dim = 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
