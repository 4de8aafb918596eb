"""Activations as layers: the functions of nnkern.functional with their options as attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import ops
from .module import Module
from .parameter import Parameter


class Activation(Module):
    """forward(x) is function(x, **options), the options being attributes."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._names = tuple(options)
        for name, value in options.items():
            setattr(self, name, value)

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}

    def forward(self, x: Any) -> Any:
        return type(self).function(x, **self._options())

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={v!r}" for k, v in self._options().items() if (k, v) != ("inplace", False))


class ReLU(Activation):
    """max(x, 0)"""

    function = staticmethod(ops.relu)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class ReLU6(Activation):
    """min(max(x, 0), 6)"""

    function = staticmethod(ops.relu6)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class LeakyReLU(Activation):
    """x where x > 0, else negative_slope x"""

    function = staticmethod(ops.leaky_relu)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(negative_slope=negative_slope, inplace=inplace)


class PReLU(Module):
    """x where x > 0, else weight x; weight is learned: one number, or one per channel (dim 1)."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: Any = np.float32) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = Parameter(np.full(num_parameters, init, dtype))

    def forward(self, x: Any) -> Any:
        return ops.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Activation):
    """LeakyReLU with a random slope for each element while training, and the middle one in eval."""

    function = staticmethod(ops.rrelu)

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__(lower=lower, upper=upper, inplace=inplace)

    def forward(self, x: Any) -> Any:
        return ops.rrelu(x, training=self.training, **self._options())


class ELU(Activation):
    """x where x > 0, else alpha (e^x - 1)"""

    function = staticmethod(ops.elu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha=alpha, inplace=inplace)


class SELU(Activation):
    """The ELU that keeps mean 0 and variance 1"""

    function = staticmethod(ops.selu)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class CELU(Activation):
    """x where x > 0, else alpha (e^(x / alpha) - 1)"""

    function = staticmethod(ops.celu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha=alpha, inplace=inplace)


class GELU(Activation):
    """x * Phi(x), Phi the normal distribution; approximate="tanh" takes Hendrycks and Gimpel's formula."""

    function = staticmethod(ops.gelu)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)


class SiLU(Activation):
    """x * sigmoid(x)"""

    function = staticmethod(ops.silu)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Mish(Activation):
    """x * tanh(softplus(x))"""

    function = staticmethod(ops.mish)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Softplus(Activation):
    """log(1 + e^(beta x)) / beta; x itself where beta x > threshold"""

    function = staticmethod(ops.softplus)

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)


class Softsign(Activation):
    """x / (1 + |x|)"""

    function = staticmethod(ops.softsign)


class Sigmoid(Activation):
    """1 / (1 + exp(-x))"""

    function = staticmethod(ops.sigmoid)


class LogSigmoid(Activation):
    """log(sigmoid(x))"""

    function = staticmethod(ops.logsigmoid)


class Tanh(Activation):
    """Hyperbolic tangent"""

    function = staticmethod(ops.tanh)


class Tanhshrink(Activation):
    """x - tanh(x)"""

    function = staticmethod(ops.tanhshrink)


class Hardtanh(Activation):
    """x limited to [min_val, max_val]"""

    function = staticmethod(ops.hardtanh)

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(min_val=min_val, max_val=max_val, inplace=inplace)


class Hardsigmoid(Activation):
    """relu6(x + 3) / 6"""

    function = staticmethod(ops.hardsigmoid)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Hardswish(Activation):
    """x relu6(x + 3) / 6"""

    function = staticmethod(ops.hardswish)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Softshrink(Activation):
    """x moved by lambd towards 0, and 0 where |x| <= lambd"""

    function = staticmethod(ops.softshrink)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)


class Hardshrink(Activation):
    """x, and 0 where |x| <= lambd"""

    function = staticmethod(ops.hardshrink)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)


class Threshold(Activation):
    """x where x > threshold, else value"""

    function = staticmethod(ops.threshold)

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(threshold=threshold, value=value, inplace=inplace)


class GLU(Activation):
    """a sigmoid(b), a and b the halves of x along dim"""

    function = staticmethod(ops.glu)

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim=dim)


class SwiGLU(Activation):
    """silu(a) b, a and b the halves of x along dim"""

    function = staticmethod(ops.swiglu)

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim=dim)


class GeGLU(Activation):
    """gelu(a) b, a and b the halves of x along dim"""

    function = staticmethod(ops.geglu)

    def __init__(self, dim: int = -1, approximate: str = "none") -> None:
        super().__init__(dim=dim, approximate=approximate)


class Maxout(Activation):
    """The maximum of each `pieces` neighbours along dim"""

    function = staticmethod(ops.maxout)

    def __init__(self, pieces: int, dim: int = 1) -> None:
        super().__init__(pieces=pieces, dim=dim)


class Softmax(Activation):
    """exp(x) / sum(exp(x)) along dim; None: see nnkern.softmax"""

    function = staticmethod(ops.softmax)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim=dim)


class LogSoftmax(Activation):
    """log(softmax(x)) along dim; None: see nnkern.softmax"""

    function = staticmethod(ops.log_softmax)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim=dim)


class Softmin(Activation):
    """softmax(-x) along dim; None: see nnkern.softmax"""

    function = staticmethod(ops.softmin)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim=dim)


class Softmax2d(Module):
    """softmax over the channels of (N, C, H, W) or (C, H, W)"""

    def forward(self, x: Any) -> Any:
        if x.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: x must be (N, C, H, W) or (C, H, W) (x.shape={tuple(x.shape)})")
        return ops.softmax(x, -3)
