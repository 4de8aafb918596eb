"""Running sums and products along one dim."""

from __future__ import annotations

from typing import Any

from ..function import Function
from ..tensor import Tensor
from .arithmetic import add, mul
from .join import stack, unbind

__all__ = ["cumprod", "cumsum"]


class CumSum(Function):
    def __init__(self, dim: int, reverse: bool = False) -> None:
        self.dim, self.reverse = dim, reverse

    def forward(self, x: Any) -> Any:
        return self.kernels.cumsum_forward(x, self.dim, self.reverse)

    def backward(self, gy: Any) -> Any:
        return CumSum(self.dim, not self.reverse)(gy)


def cumsum(x: Any, dim: int) -> Any:
    """y[k] = x[0] + ... + x[k] along dim; float32 is accumulated in float64, whole numbers and bools become int64.

    Raises IndexError for a dim that does not exist.

    >>> cumsum(np.array([1.0, 2.0, 3.0]), 0).tolist()
    [1.0, 3.0, 6.0]
    """
    return CumSum(dim)(x)


class CumProd(Function):
    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        y = self.kernels.cumprod_forward(x, self.dim)
        self.saved = (x, y)
        return y

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        if not isinstance(gy, Tensor):
            return self.kernels.cumprod_backward(gy, x, y, self.dim)
        if not x.ndim:
            return gy
        # gx[k] = y[k-1] s[k], s[k] = gy[k] + x[k+1] s[k+1]
        xs, ys, gys = (unbind(a, self.dim) for a in (x, y, gy))
        s, gxs = None, []
        for k in reversed(range(len(xs))):
            s = gys[k] if s is None else add(gys[k], mul(xs[k + 1], s))
            gxs.append(mul(ys[k - 1], s) if k else s)
        return stack(gxs[::-1], self.dim) if gxs else gy


def cumprod(x: Any, dim: int) -> Any:
    """y[k] = x[0] ... x[k] (a product) along dim. The gradient is right where x is 0, too. Otherwise as cumsum."""
    return CumProd(dim)(x)
