"""The only place that knows kinds of arrays: what comes in becomes an ndarray, what goes out the caller's kind."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

DEVICES = ("cpu",)


def check_device(device: Any) -> str:
    """'cpu', or a clear error: this build has no other device."""
    if device is None or str(device) == "cpu":
        return "cpu"
    raise ValueError(f"device '{device}' is not available; this build of nnkern has: {', '.join(DEVICES)}")


def is_torch(x: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """dtype as NumPy's; PyTorch's go by their names."""
    try:
        return np.dtype(dtype)
    except TypeError:
        name = str(dtype).removeprefix("torch.")
        if name not in np.sctypeDict:
            raise TypeError(f"dtype must be one that NumPy has, such as float32, got {dtype}") from None
        return np.dtype(name)


def to_ndarray(x: Any, op: str = "nnkern") -> np.ndarray:
    """A CPU array of any kind as an ndarray that shares its memory; TypeError for what is no array."""
    if type(x) is np.ndarray:
        return x
    if isinstance(x, np.ndarray):
        return as_array(x, op)
    if is_torch(x):
        if x.requires_grad and sys.modules["torch"].is_grad_enabled():
            raise TypeError(
                f"{op}: a torch tensor that requires grad would lose its graph here; pass x.detach(), "
                "or wrap it: nnkern.Tensor(x.detach(), requires_grad=True)"
            )
        if x.device.type != "cpu":
            raise TypeError(f"{op}: this build of nnkern has no kernels on '{x.device}'; pass x.cpu()")
        try:
            return x.detach().numpy()
        except (RuntimeError, TypeError) as e:  # bfloat16, sparse, conjugate...
            raise TypeError(f"{op}: a torch tensor of {x.dtype} ({x.layout}) can't be read: {e}") from None
    if isinstance(x, (np.generic, bool, int, float)):
        return np.asarray(x)
    if hasattr(x, "__cuda_array_interface__"):
        raise TypeError(
            f"{op}: this build of nnkern has no kernels on 'cuda'; copy the array to the host first"
        )
    if hasattr(x, "__dlpack__"):
        try:
            return np.from_dlpack(x)
        except (BufferError, RuntimeError, TypeError) as e:
            raise TypeError(f"{op}: {type(x).__name__} could not be read through DLPack: {e}") from None
    if hasattr(x, "__array_interface__") or isinstance(x, memoryview):
        return np.asarray(x)
    raise TypeError(
        f"{op}: expected an array or Tensor, got {type(x).__name__}; wrap it: np.asarray(x, dtype=np.float32)"
    )


def as_array(x: Any, op: str) -> np.ndarray:
    """np.asarray, which takes lists, too; TypeError where it would drop a mask."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{op}: a masked array's mask would be lost; pass x.filled(value)")
    return np.asarray(x)


def like(y: np.ndarray, example: Any) -> Any:
    """The result y as the same kind of array as `example` (NumPy in, NumPy out; torch in, torch out)."""
    if is_torch(example):
        if any(s < 0 for s in y.strides):  # which torch tensors can't have
            y = y.copy()
        return sys.modules["torch"].from_numpy(y)
    module = type(example).__module__.partition(".")[0]
    if module in ("jaxlib", "jax") and "jax" in sys.modules:
        return sys.modules["jax"].dlpack.from_dlpack(y)
    return y
