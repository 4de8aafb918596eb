"""AdaptiveLogSoftmaxWithLoss: the output layer of many classes, of which few are frequent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import ops
from ..tensor import Tensor
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module


class AdaptiveResult(NamedTuple):
    """log p of each target (N,), and minus their mean."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """log p(target) of classes sorted by falling frequency: the frequent ones in the head, the others in clusters.

    The head tells the first cutoffs[0] classes and one number per cluster; cluster i, of the classes cutoffs[i] to
    cutoffs[i + 1], has its own layers, of width in_features / div_value^(i + 1), which only its targets pass.
    x: (N, in_features) and target: (N,), or one sample without N. Raises ValueError for targets that are no class.
    Grave et al., Efficient softmax approximation for GPUs, arXiv 1609.04309.

    >>> nn.AdaptiveLogSoftmaxWithLoss(16, 1000, [10, 100])(nnkern.randn(4, 16), np.array([3, 50, 999, 0])).output.shape
    (4,)
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        bounds = [0, *cutoffs, n_classes]
        if (
            len(bounds) < 3
            or any(int(b) != b for b in bounds)
            or any(a >= b for a, b in zip(bounds, bounds[1:]))
        ):
            raise ValueError(
                f"AdaptiveLogSoftmaxWithLoss: cutoffs must be rising whole numbers between 1 and n_classes - 1, "
                f"got {list(cutoffs)} for {n_classes} classes"
            )
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, bounds[1:]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = bounds[1], len(bounds) - 2
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, dtype=dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width, size = int(in_features // div_value ** (i + 1)), self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, dtype=dtype),
                    Linear(width, size, bias=False, dtype=dtype),
                )
            )

    def reset_parameters(self) -> None:
        self.head.reset_parameters()
        for narrow, wide in self.tail:
            narrow.reset_parameters()
            wide.reset_parameters()

    def forward(self, x: Any, target: Any) -> AdaptiveResult:
        labels = self._labels(x, target)
        if labels.ndim == 0:
            output, loss = self.forward(x.reshape(1, -1), labels.reshape(1))
            return AdaptiveResult(output.reshape(()), loss)
        place = labels.copy()  # in the head: the class itself, or its cluster
        parts = []
        for i, cluster in enumerate(self.tail):
            rows = np.flatnonzero((labels >= self.cutoffs[i]) & (labels < self.cutoffs[i + 1]))
            if rows.size:
                place[rows] = self.shortlist_size + i
                inside = ops.log_softmax(cluster(x[rows]), 1)
                parts.append((rows, self._picked(inside, labels[rows] - self.cutoffs[i])))
        output = self._picked(ops.log_softmax(self.head(x), 1), place)
        for rows, log_p in parts:
            output = ops.index_add(output, 0, rows, log_p)
        return AdaptiveResult(output, -output.mean())

    @staticmethod
    def _picked(log_p: Any, classes: Any) -> Any:
        return ops.gather(log_p, 1, classes.reshape(-1, 1)).squeeze(1)

    def _labels(self, x: Any, target: Any) -> Any:
        labels = np.asarray(target.data if isinstance(target, Tensor) else target)
        name = "AdaptiveLogSoftmaxWithLoss"
        if labels.dtype.kind not in "iu":
            raise TypeError(f"{name}: target must hold whole numbers, got {labels.dtype}")
        if labels.ndim > 1 or tuple(x.shape[:-1]) != labels.shape:
            raise ValueError(
                f"{name}: x must be (N, {self.in_features}) and target (N,) "
                f"(x.shape={tuple(x.shape)}, target.shape={labels.shape})"
            )
        wrong = np.flatnonzero((labels < 0) | (labels >= self.n_classes))
        if wrong.size:
            raise ValueError(
                f"{name}: target[{wrong[0]}] is {labels.flat[wrong[0]]}, but there are {self.n_classes} classes"
            )
        return labels.astype(np.int64)

    def log_prob(self, x: Any) -> Tensor:
        """log p of every class: (N, n_classes) of x (N, in_features)."""
        head = ops.log_softmax(self.head(x), 1)
        parts = [head[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            at = self.shortlist_size + i
            parts.append(ops.log_softmax(cluster(x), 1) + head[:, at : at + 1])
        return ops.cat(parts, 1)

    def predict(self, x: Any) -> Tensor:
        """The most probable class of each row of x: (N,)."""
        return ops.argmax(self.log_prob(x), 1)
