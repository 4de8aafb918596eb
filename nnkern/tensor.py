"""Tensor: an ndarray with a memory of how it was computed.

Methods and operators that compute are the public functions of nnkern.ops, attached by the tables in ops/__init__.py:
`x.exp()` is `nnkern.exp(x)`, `x + y` is `nnkern.add(x, y)`. Here is only what is not an op.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import device as _device
from . import random
from .function import TensorBase, register_tensor, share_version


@register_tensor
class Tensor(TensorBase):
    """An array that takes part in autograd.

    Tensor(data, requires_grad=False, device=None)

    data: ndarray (shared, not copied), number, list (a list of floats becomes float32, as in PyTorch), Tensor or any
    CPU array with DLPack. requires_grad needs a float32 or float64 array.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ()

    __array_priority__ = 1000
    __array_ufunc__ = None  # ndarray * Tensor asks the Tensor

    if TYPE_CHECKING:  # the op tables attach these

        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    def __init__(self, data: Any, requires_grad: bool = False, device: Any = None) -> None:
        if type(data) is not np.ndarray or data.dtype.kind not in "biuf":
            data = _as_data(data)
        if device is not None:
            _device.check_device(device)
        self._data = data
        if requires_grad:
            self.requires_grad_()

    # --- facts -----------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def is_leaf(self) -> bool:
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Any:
        """The Function that made this tensor, None for leaves."""
        if self._base is not None:
            self._refresh_view()
        return self._fn

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its entry `dim`."""
        return self.data.shape if dim is None else self.data.shape[dim]

    def dim(self) -> int:
        return self.data.ndim

    @property
    def T(self) -> Tensor:
        """All dims in reverse order, as a view."""
        return self.permute(tuple(range(self.data.ndim))[::-1])

    @property
    def mT(self) -> Tensor:
        """The last two dims swapped, as a view."""
        return self.transpose(-2, -1)

    def numel(self) -> int:
        return self.data.size

    nelement = numel
    ndimension = dim

    def element_size(self) -> int:
        return self.data.itemsize

    @property
    def itemsize(self) -> int:
        return self.data.itemsize

    @property
    def nbytes(self) -> int:
        return self.data.nbytes

    @property
    def is_cuda(self) -> bool:
        return False

    def is_floating_point(self) -> bool:
        return self.data.dtype.kind == "f"

    def stride(self, dim: int | None = None) -> Any:
        """The strides, counted in elements, or the one of `dim`."""
        steps = tuple([s // self.data.itemsize for s in self.data.strides])
        return steps if dim is None else steps[dim]

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self.data.__array_interface__["data"][0]

    def is_contiguous(self) -> bool:
        return self.data.flags.c_contiguous

    def __len__(self) -> int:
        if not self.data.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.data.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.data.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(self.data.shape[0]))  # type: ignore[index]

    def __bool__(self) -> bool:
        return bool(self._one("bool"))

    def __float__(self) -> float:
        return float(self._one("float"))

    def __int__(self) -> int:
        return int(self._one("int"))

    def __index__(self) -> int:
        if self.data.dtype.kind not in "iu":
            raise TypeError(f"a {self.dtype} tensor is no index")
        return int(self._one("index"))

    __hash__ = object.__hash__  # by identity; in C, since optimisers look up their state by parameter

    def _one(self, what: str) -> Any:
        if self.data.size != 1:
            raise ValueError(f"{what}: the tensor must hold one number, but its shape is {self.shape}")
        return self.data.item()

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self._one("item")

    def __format__(self, spec: str) -> str:
        return format(self.data.item() if spec and not self.data.ndim else str(self), spec)

    def tolist(self) -> Any:
        return self.data.tolist()

    def __repr__(self) -> str:
        text = np.array2string(self.data, separator=", ", prefix="tensor(")
        if self.data.dtype not in (np.float32, np.int64, np.bool_) or not self.data.size:
            text += f", dtype={self.data.dtype}"
        if self.grad_fn is not None:
            text += f", grad_fn=<{type(self._fn).__name__}>"
        elif self.requires_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"

    # --- arrays in and out -----------------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """The array itself (shared memory). A tensor with history must be detached first."""
        if self.grad_fn is not None:
            raise RuntimeError("numpy: this tensor has a history; use x.detach().numpy()")
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if dtype is not None and self.data.dtype != dtype:
            if copy is False:
                raise ValueError(f"a {self.dtype} tensor can't become {np.dtype(dtype)} without a copy")
            return self.data.astype(dtype)
        return self.data.copy() if copy else self.data

    def __dlpack__(self, **options: Any) -> Any:
        if any(s < 0 for s in self.data.strides):  # PyTorch would end the process
            raise BufferError("a tensor with negative strides can't be handed over; use x.clone()")
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.data.__dlpack_device__()

    def detach(self) -> Tensor:
        """The same memory without history."""
        t = Tensor(self.data)
        share_version(t, self)
        return t

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        self.requires_grad = requires_grad
        return self

    def to(self, *args: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False) -> Tensor:
        """In another dtype, or in that of another Tensor; "cpu" is the only device. x itself where nothing changes.

        non_blocking is taken, so that PyTorch's code runs, and without effect.
        """
        for a in args:
            if isinstance(a, Tensor):
                dtype = a.dtype
            elif isinstance(a, str) and a.split(":")[0] in ("cpu", "cuda"):
                device = "cpu" if a == "cpu:0" else a
            else:
                dtype = a
        _device.check_device(device)
        return self if dtype is None else self.astype(dtype)

    def cpu(self) -> Tensor:
        return self

    def type(self, dtype: Any = None) -> Any:
        """In another dtype; without one the name of this one."""
        return self.data.dtype.name if dtype is None else self.astype(dtype)

    def type_as(self, other: Tensor) -> Tensor:
        return self.astype(other.dtype)

    def view_as(self, other: Tensor) -> Tensor:
        return self.reshape(other.shape)

    reshape_as = view_as

    def expand_as(self, other: Tensor) -> Tensor:
        return self.broadcast_to(other.shape)

    def ravel(self) -> Tensor:
        return self.reshape(-1)

    def __pos__(self) -> Tensor:
        return self

    def __invert__(self) -> Tensor:
        """Not, of bools; of integers every bit flipped."""
        if self.data.dtype.kind == "f":
            raise TypeError(f"~x: bools or integers are needed, got {self.data.dtype}")
        return Tensor(np.invert(self.data))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.grad_fn is not None:
            raise RuntimeError("deepcopy: only leaf tensors can be copied; use x.detach()")
        t = type(self).__new__(type(self))
        memo[id(self)] = t
        t._data = self._data.copy()
        t._requires_grad = self._requires_grad
        if self.grad is not None:
            t.grad = Tensor(self.grad.data.copy())
        return t

    def __reduce__(self) -> tuple[Any, ...]:
        if self.grad_fn is not None:
            raise RuntimeError("pickle: only leaf tensors can be pickled; use x.detach()")
        return (_rebuild, (type(self), self.data, self.requires_grad))

    # --- autograd --------------------------------------------------------------------------------------------------

    def backward(self, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Adds the gradient of this tensor (times `gradient`) to .grad of the leaves it was computed from."""
        _autograd().backward(self, gradient, retain_graph, create_graph)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Calls hook(gradient) when this tensor's gradient is known; what it returns replaces the gradient."""
        if not self.requires_grad:
            raise RuntimeError("register_hook: the tensor does not require grad")
        if self._fn is None:
            if self._hooks is None:
                self._hooks = {}
            hooks = self._hooks
        else:
            if self._fn._hooks is None:
                self._fn._hooks = {}
            hooks = self._fn._hooks.setdefault(self._index, {})
        return RemovableHandle(hooks, hook)

    def retain_grad(self) -> None:
        """Keeps .grad of this non-leaf tensor, too."""
        if self.grad_fn is None:
            return
        if self._fn._hooks is None:
            self._fn._hooks = {}
        self._fn._hooks.setdefault(~self._index, {})[id(self)] = _KeepGrad(self)

    def _set_history(self, fn: Any, index: int) -> None:
        """This tensor is now what fn computed; a gradient that retain_grad keeps is that of the tensor as it is now."""
        kept = self._fn and self._fn._hooks and self._fn._hooks.get(~self._index, {}).pop(id(self), None)
        self._fn, self._index, self._requires_grad = fn, index, True
        if kept and kept.tensor() is self:
            self.retain_grad()

    # --- in place --------------------------------------------------------------------------------------------------

    def _change(self, op: str, result: Any) -> Tensor:
        """Writes `result` (a Tensor computed from this one, or an array or number) into this tensor's memory."""
        return _inplace().change(self, op, result)

    def _refresh_view(self) -> None:
        _inplace().refresh_view(self)

    def __setitem__(self, index: Any, value: Any) -> None:
        _inplace().setitem(self, index, value)

    def add_(self, other: Any, *, alpha: float = 1) -> Tensor:
        """x += alpha other."""
        return self._change("add_", lambda x: x.add(other, alpha=alpha))

    def sub_(self, other: Any, *, alpha: float = 1) -> Tensor:
        """x -= alpha other."""
        return self._change("sub_", lambda x: x.sub(other, alpha=alpha))

    def mul_(self, other: Any) -> Tensor:
        """x *= other."""
        return self._change("mul_", lambda x: x * other)

    def div_(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """x /= other; rounding_mode: see div."""
        return self._change("div_", lambda x: x.div(other, rounding_mode=rounding_mode))

    def pow_(self, other: Any) -> Tensor:
        """x **= other."""
        return self._change("pow_", lambda x: x**other)

    def neg_(self) -> Tensor:
        return self._change("neg_", lambda x: -x)

    def exp_(self) -> Tensor:
        return self._change("exp_", lambda x: x.exp())

    def relu_(self) -> Tensor:
        return self._change("relu_", lambda x: x.relu())

    def clamp_(self, min: Any = None, max: Any = None) -> Tensor:
        return self._change("clamp_", lambda x: x.clamp(min, max))

    def zero_(self) -> Tensor:
        return self._change("zero_", False)  # which fits every dtype

    def fill_(self, value: Any) -> Tensor:
        """Writes one number, or a 0-d tensor's, everywhere; in this tensor's dtype."""
        if np.ndim(value):
            raise ValueError(f"fill_: one number is needed, got an array of shape {tuple(np.shape(value))}")
        return self._change("fill_", self._in_my_dtype("fill_", value))

    def normal_(self, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """Normal random numbers, nnkern.manual_seed's."""
        if not std >= 0:
            raise ValueError(f"normal_: std must not be negative, got {std}")
        return self._change("normal_", random.generator().normal(mean, std, self.shape).astype(self.dtype))

    def uniform_(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Random numbers in [low, high), nnkern.manual_seed's."""
        if not low <= high:
            raise ValueError(f"uniform_: low must not be above high, got {low} and {high}")
        return self._change("uniform_", random.generator().uniform(low, high, self.shape).astype(self.dtype))

    def bernoulli_(self, p: float = 0.5) -> Tensor:
        """1 with probability p, else 0; nnkern.manual_seed's random numbers."""
        if not 0 <= p <= 1:
            raise ValueError(f"bernoulli_: p must lie in [0, 1], got {p}")
        return self._change("bernoulli_", (random.generator().random(self.shape) < p).astype(self.dtype))

    def detach_(self) -> Tensor:
        """Forgets the history of this tensor: it becomes a leaf that requires no grad."""
        if self._base is not None:
            raise RuntimeError("detach_: a view has its base's history; use detach()")
        self._fn, self._index, self._requires_grad = None, 0, False
        return self

    def copy_(self, source: Any) -> Tensor:
        """Takes over the values of `source` (broadcast to this shape, converted to this dtype)."""
        return self._change("copy_", self._in_my_dtype("copy_", source))

    def _in_my_dtype(self, op: str, value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.astype(self.dtype)
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{op}: numbers or bools are needed, got {array.dtype}")
        if not array.ndim and self.dtype.kind in "iu":
            limits = np.iinfo(self.dtype)
            if not limits.min <= array.item() <= limits.max:
                raise OverflowError(f"{op}: {self.dtype} can't hold {array.item()}")
        return array.astype(self.dtype, copy=False)

    __iadd__ = add_
    __isub__ = sub_
    __imul__ = mul_
    __itruediv__ = div_
    __ipow__ = pow_


class _KeepGrad:
    """The hook of retain_grad: the tensor's Function holds it, so it must not hold the tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = weakref.ref(tensor)

    def __call__(self, g: Tensor) -> None:
        t = self.tensor()
        if t is not None:
            t.grad = g.detach().clone() if t.grad is None else t.grad + g.detach()


class RemovableHandle:
    """What register_hook returns: .remove() takes the hook away again."""

    _numbers = itertools.count()

    def __init__(self, hooks: dict[int, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks, self._number = hooks, next(self._numbers)
        hooks[self._number] = hook

    def remove(self) -> None:
        self._hooks.pop(self._number, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def _as_data(data: Any) -> np.ndarray:
    if isinstance(data, Tensor):
        return data.data
    if isinstance(data, (list, tuple)):
        data = [x.data if isinstance(x, Tensor) else x for x in data]
        try:
            array = np.asarray(data)
        except ValueError as e:  # lists of unequal lengths
            raise ValueError(f"Tensor: {e}") from None
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        what = "a list of "
    elif type(data) is float:  # a np.float64 keeps its dtype
        return np.asarray(data, np.float32)
    else:
        array, what = np.asarray(_device.to_ndarray(data, "Tensor")), ""
    if array.dtype.kind not in "biuf":
        raise TypeError(f"Tensor: {what}{array.dtype} can't become a tensor; floats, integers and bools can")
    return array


def _rebuild(cls: type[Tensor], data: np.ndarray, requires_grad: bool) -> Tensor:
    t = cls.__new__(cls)
    t._data = data
    t._requires_grad = requires_grad
    return t


def _autograd() -> Any:
    from . import autograd

    return autograd


def _inplace() -> Any:
    from . import inplace

    return inplace
