"""In-place changes of Tensors: x.add_(y), x += y, x[i] = v, and what they mean for autograd.

Semantics are PyTorch's: a leaf that requires grad may only be changed under no_grad; a change of a view is a change of
its base; what an op saved and somebody changed later is found by backward (function.check_versions).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .function import Function, grad_mode, newest, record_change
from .tensor import Tensor

_new = Tensor.__new__


def change(t: Tensor, op: str, value: Any) -> Tensor:
    """Writes `value` into t's memory: a number, an array, a Tensor, or a function of t that gives a Tensor."""
    if grad_mode.enabled and t.requires_grad and t._fn is None:
        raise RuntimeError(
            f"{op}: a leaf that requires grad can't be changed in place (shape {t.shape}); do it under nnkern.no_grad()"
        )
    if t._base is not None:
        refresh_view(t)
    old, start = _alias(t), newest()
    result = value(old) if callable(value) else value
    if isinstance(result, Tensor) and result.dtype != t.dtype:
        raise TypeError(f"{op}: the result is {result.dtype} but the tensor changed in place is {t.dtype}")
    taped = grad_mode.enabled and (t.requires_grad or (isinstance(result, Tensor) and result.requires_grad))
    if taped:
        _check_view(t, op)
    if taped and not callable(value):
        result = Overwrite()(old, _expanded(result, t, op))
    array = result.data if isinstance(result, Tensor) else result
    if isinstance(array, np.ndarray) and array.shape != t.shape and not callable(value):
        array = np.broadcast_to(array, t.shape)
    elif isinstance(array, np.ndarray) and array.shape != t.shape:
        raise ValueError(
            f"{op}: the result has shape {array.shape}, but the tensor changed in place {t.shape}"
        )
    if not t.data.flags.writeable:
        raise ValueError(f"{op}: the tensor's array is read-only (shape {t.shape})")
    if taped:
        _keep_saved(result._fn, start, old)
    np.copyto(t.data, array, casting="same_kind")
    record_change(t, op)
    if taped:
        _rewrite(t, Moved(t.data)(result) if _told(t) is None else result)
    return t


def setitem(t: Tensor, index: Any, value: Any) -> None:
    """t[index] = value, taped when t or value requires grad."""
    if grad_mode.enabled and t.requires_grad and t._fn is None:
        raise RuntimeError(
            f"x[...] = v: a leaf that requires grad can't be changed in place (shape {t.shape}); "
            "do it under nnkern.no_grad()"
        )
    index = _plain(index)
    if t._base is not None:
        refresh_view(t)
    taped = grad_mode.enabled and (t.requires_grad or (isinstance(value, Tensor) and value.requires_grad))
    array = value.data if isinstance(value, Tensor) else value
    if taped:
        _check_view(t, "x[...] = v")
        old = _alias(t)
        result = SetItem(index)(
            old, value if isinstance(value, Tensor) else Tensor(np.asarray(value, t.dtype))
        )
    t.data[index] = array
    record_change(t, "x[...] = v")
    if taped:
        _rewrite(t, result)


def _plain(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(i.data if isinstance(i, Tensor) else i for i in index)
    return index.data if isinstance(index, Tensor) else index


def _alias(t: Tensor) -> Tensor:
    """t as it was before the change: same memory, same history."""
    old = _new(Tensor)
    old.data, old.requires_grad, old._fn, old._index, old._base = (
        t.data,
        t.requires_grad,
        t._fn,
        t._index,
        t._base,
    )
    old._view_sequence = t._view_sequence
    return old


def _expanded(value: Any, t: Tensor, op: str) -> Tensor:
    value = value if isinstance(value, Tensor) else Tensor(np.asarray(value, t.dtype))
    if value.shape == t.shape:
        return value
    try:
        np.broadcast_shapes(value.shape, t.shape)
    except ValueError:
        raise ValueError(f"{op}: a value of shape {value.shape} does not fit a tensor of {t.shape}") from None
    return value.expand(*t.shape)


def _keep_saved(fn: Function | None, start: int, old: Tensor) -> None:
    """The ops that compute the change (those after `start`) may need the old values: they and `old` get a copy."""
    before, kept = old.data, None
    todo = [fn]
    while todo:
        fn = todo.pop()
        if fn is None or fn.sequence <= start:
            continue
        if isinstance(fn.saved, tuple) and any(a is before for a in fn.saved):
            if kept is None:
                kept, old._base = before.copy(), None  # memory of its own, which nobody changes
                old.data = kept
            fn.saved = tuple(kept if a is before else a for a in fn.saved)
        todo += [x._fn for x in fn.inputs if isinstance(x, Tensor)]


def _told(t: Tensor) -> Tensor | None:
    """The tensor whose history a change of the view t is part of."""
    return None if t._view_sequence < 0 else t._base


def _check_view(t: Tensor, op: str) -> None:
    """What a taped change of t would stumble over later, when its memory is changed already."""
    base = _told(t)
    if base is None:
        return
    if base.requires_grad and base._fn is None:
        raise RuntimeError(
            f"{op}: a view of a leaf that requires grad can't be changed in place; do it under no_grad()"
        )
    Layout(t.data, base.data)


def _rewrite(t: Tensor, result: Tensor) -> None:
    """t's history is now result's; if t is a view, its base's history is told about the change, too."""
    base = _told(t)
    if base is None:
        t._fn, t._index, t.requires_grad = result._fn, result._index, True
        return
    new_base = ViewUpdate(Layout(t.data, base.data))(_alias(base), result)
    base._fn, base._index, base.requires_grad = new_base._fn, 0, True
    refresh_view(t)


def refresh_view(t: Tensor) -> None:
    """A view taken before its base's history was rewritten gets its history from the base as it is now."""
    base = t._base
    if base is None or base._fn is None or t._view_sequence < 0:
        return
    if t._view_sequence >= base._fn.sequence or not grad_mode.enabled:
        return
    view = TakeView(Layout(t.data, base.data))(base)
    t._fn, t._index, t.requires_grad = view._fn, 0, True
    t._view_sequence = view._fn.sequence


# --- what a change means to gradients: linear functions of them, so that their gradients are of the same kind ---------


class Layout:
    """Where a view lies in its base: enough to take the same view of the base's gradient, laid out like the base.

    `order`: the base's axes by falling stride, in which it is C-contiguous.
    """

    def __init__(self, view: np.ndarray, base: np.ndarray) -> None:
        self.order = tuple(sorted(range(base.ndim), key=lambda i: -base.strides[i]))
        if base.flags.c_contiguous:
            self.order = tuple(range(base.ndim))
        elif not base.transpose(self.order).flags.c_contiguous:
            raise RuntimeError(
                "in-place changes of a view of a tensor with gaps can't be taped; clone() first"
            )
        self.shape, self.strides = view.shape, view.strides
        self.offset = view.__array_interface__["data"][0] - base.__array_interface__["data"][0]

    def of(self, array: np.ndarray) -> np.ndarray:
        return np.ndarray(self.shape, array.dtype, array.transpose(self.order), self.offset, self.strides)

    def laid(self, array: np.ndarray, copy: bool = False) -> np.ndarray:
        """The array in the base's layout."""
        back = np.argsort(self.order)
        return np.array(array.transpose(self.order), order="C", copy=copy or None).transpose(back)

    def take(self, array: np.ndarray) -> np.ndarray:
        return self.of(array).copy()

    def clear(self, array: np.ndarray) -> None:
        self.of(array)[...] = 0

    def add(self, array: np.ndarray, part: np.ndarray) -> None:
        repeated = tuple(i for i, step in enumerate(self.strides) if step == 0)  # of an expanded view
        once = tuple(slice(0, 1) if i in repeated else slice(None) for i in range(part.ndim))
        place = self.of(array)[(*once, ...)]
        place += part.sum(repeated, keepdims=True) if repeated else part


class Index:
    """The elements at [index], as a Layout."""

    def __init__(self, index: Any) -> None:
        self.index = index

    def laid(self, array: np.ndarray, copy: bool = False) -> np.ndarray:
        return array.copy() if copy else array

    def take(self, array: np.ndarray) -> np.ndarray:
        return np.array(array[self.index])

    def clear(self, array: np.ndarray) -> None:
        array[self.index] = 0

    def add(self, array: np.ndarray, part: np.ndarray) -> None:
        np.add.at(array, self.index, part)


class Take(Function):
    """x -> a copy of the elements at a place."""

    def __init__(self, place: Any) -> None:
        self.place = place

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.shape = x.shape
        return self.place.take(self.place.laid(x))

    def backward(self, gy: Any) -> Any:
        return Put(self.place, self.shape)(gy)


class Put(Function):
    """part -> zeros with `part` at a place."""

    def __init__(self, place: Any, shape: tuple[int, ...]) -> None:
        self.place, self.shape = place, shape

    def forward(self, part: np.ndarray) -> np.ndarray:
        whole = self.place.laid(np.zeros(self.shape, part.dtype))
        self.place.add(whole, part)
        return whole

    def backward(self, gy: Any) -> Any:
        return Take(self.place)(gy)


class Clear(Function):
    """x -> a copy of it with zeros at a place."""

    def __init__(self, place: Any) -> None:
        self.place = place

    def forward(self, x: np.ndarray) -> np.ndarray:
        y = self.place.laid(x, copy=True)
        self.place.clear(y)
        return y

    def backward(self, gy: Any) -> Any:
        return Clear(self.place)(gy)


class ViewUpdate(Function):
    """base, part -> base with `part` written at the view's place."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def forward(self, base: np.ndarray, part: np.ndarray) -> np.ndarray:
        return base

    def backward(self, gy: Any) -> tuple[Any, ...]:
        return Clear(self.layout)(gy), Take(self.layout)(gy)


class TakeView(Function):
    """base -> the view of it."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def forward(self, base: np.ndarray) -> np.ndarray:
        self.shape = base.shape
        return self.layout.of(base)

    def backward(self, gy: Any) -> Any:
        return Put(self.layout, self.shape)(gy)


class Moved(Function):
    """A result, in the memory of the tensor that it replaces."""

    def __init__(self, memory: np.ndarray) -> None:
        self.memory = memory

    def forward(self, result: np.ndarray) -> np.ndarray:
        return self.memory

    def backward(self, gy: Any) -> Any:
        return gy


class Overwrite(Function):
    """old, new -> new: nothing of the old value remains."""

    def forward(self, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        return new

    def backward(self, gy: Any) -> tuple[Any, ...]:
        return None, gy


class SetItem(Function):
    """old, value -> old with value at [index]; old's memory is written by the caller."""

    def __init__(self, index: Any) -> None:
        self.place = Index(index)

    def forward(self, old: np.ndarray, value: np.ndarray) -> np.ndarray:
        self.value_shape = value.shape
        return old

    def backward(self, gy: Any) -> tuple[Any, ...]:
        part = Take(self.place)(gy)
        extra = part.ndim - len(self.value_shape)
        axes = tuple(range(extra)) + tuple(
            i + extra for i, n in enumerate(self.value_shape) if n == 1 and part.shape[i + extra] != 1
        )
        return Clear(self.place)(gy), part.sum(axes).reshape(self.value_shape) if axes else part
