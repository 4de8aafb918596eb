"""Dtypes and numbers under PyTorch's names, so that `dtype=nnkern.float32` and `x.to(nnkern.long)` work; all are NumPy's."""

from numpy import bool_ as bool
from numpy import e, finfo, float32, float64, iinfo, inf, int32, int64, nan, newaxis, pi, uint8

__all__ = [
    "bool", "double", "e", "finfo", "float", "float32", "float64", "iinfo", "inf", "int", "int32", "int64", "long", "nan",
    "newaxis", "pi", "uint8",
]  # fmt: skip

float, double, int, long = float32, float64, int32, int64
