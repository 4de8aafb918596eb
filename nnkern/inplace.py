"""In-place changes of Tensors: x.add_(y), x += y, x[i] = v, and what they mean for autograd.

Semantics are PyTorch's: a leaf that requires grad may only be changed under no_grad; a change of a view is a change of
its base; what an op saved and somebody changed later is found by backward (function.check_versions).
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from .device import as_array, to_ndarray
from .function import Function, grad_mode, newest, record_change, share_version
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
        try:
            array = np.broadcast_to(array, t.shape)
        except ValueError:
            raise ValueError(
                f"{op}: a value of shape {array.shape} does not fit a tensor of {t.shape}"
            ) from None
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
        _rewrite(t, _moved(t, result, start) if _told(t) is None else result)
    return t


def _moved(t: Tensor, result: Tensor, start: int) -> Tensor:
    """The result in t's memory. What the op that made it saved of it leads here, too: to t's hooks, in create_graph."""
    moved = Moved(t.data)(result)
    if result._fn is not None and result._fn.sequence > start:
        result._fn._heir = weakref.ref(moved._fn)
    return moved


def setitem(t: Tensor, index: Any, value: Any) -> None:
    """t[index] = value, taped when t or value requires grad."""
    if grad_mode.enabled and t.requires_grad and t._fn is None:
        raise RuntimeError(
            f"x[...] = v: a leaf that requires grad can't be changed in place (shape {t.shape}); "
            "do it under nnkern.no_grad()"
        )
    if not isinstance(index, (int, slice)):
        index = _plain(index, t.ndim)
    if t._base is not None:
        refresh_view(t)
    taped = grad_mode.enabled and (t.requires_grad or (isinstance(value, Tensor) and value.requires_grad))
    array = value
    if type(value) is not float and type(value) is not int:
        array = value.data if isinstance(value, Tensor) else _value(value)
    if taped:
        _check_view(t, "x[...] = v")
        old = _alias(t)
        result = SetItem(index)(
            old, value if isinstance(value, Tensor) else Tensor(np.asarray(array, t.dtype))
        )
    try:
        t.data[index] = _short(array)
    except (IndexError, OverflowError, ValueError) as e:
        kind = next(k for k in (IndexError, OverflowError, ValueError) if isinstance(e, k))
        raise kind(f"x[...] = v: {str(e).rstrip()} (x.shape={t.shape})") from None
    record_change(t, "x[...] = v")
    if taped:
        _rewrite(t, result)


def _value(value: Any) -> Any:
    """What NumPy may put into an array: it would take None for NaN, text for a number and half of a complex one."""
    if type(value) is np.ndarray and value.dtype.kind in "biuf":
        return value
    try:
        array = (to_ndarray if hasattr(value, "__dlpack__") else as_array)(value, "x[...] = v")
    except ValueError as e:
        raise ValueError(f"x[...] = v: {e}") from None
    if array.dtype.kind not in "biuf" and array.size:
        raise TypeError(f"x[...] = v: numbers or bools are needed, got {array.dtype}")
    return array


def _plain(index: Any, ndim: int) -> Any:
    items = index if isinstance(index, tuple) else (index,)
    return tuple(expand_ellipsis("x[...] = v", [plain_item("x[...] = v", i) for i in items], ndim))


def plain_item(op: str, item: Any) -> Any:
    """An item of an index as int, slice, None, ... or an integer or boolean array."""
    if item is None or item is ... or isinstance(item, slice):
        return item
    if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
        if not -(2**63) <= item < 2**63:
            raise IndexError(f"{op}: index {item} is out of range")
        return int(item)
    mine = isinstance(item, Tensor)  # a copy, since backward needs the index as it was
    array = as_array(item.numpy() if mine else item, op)
    if array.dtype.kind == "b":
        return array.copy() if mine else array
    if array.dtype.kind in "iu" or array.size == 0:
        return as_int64(op, array, mine)
    raise IndexError(f"{op}: an index must be integers, slices or a mask, got {array.dtype}")


def as_int64(op: str, index: np.ndarray, copy: bool = True) -> np.ndarray:
    """Whole numbers as int64; IndexError for one so large that it would turn negative."""
    if index.dtype.kind == "u" and index.size and int(index.max()) >= 2**63:
        raise IndexError(f"{op}: index {index.max()} is out of range")
    return index.astype(np.int64, copy=copy)


def expand_ellipsis(op: str, index: list[Any], ndim: int) -> list[Any]:
    """index with ... replaced by full slices (by nothing where no dims are left); missing ones added at the end."""
    used = sum(
        i.ndim if isinstance(i, np.ndarray) and i.dtype == bool else i is not None and i is not ...
        for i in index
    )
    if used > ndim:
        raise IndexError(f"{op}: {used} indices for {ndim} dimensions")
    places = [i for i, item in enumerate(index) if item is ...]
    if len(places) > 1:
        raise IndexError(f"{op}: an index may have one ellipsis (...), got {len(places)}")
    at = places[0] if places else len(index)
    return [*index[:at], *[slice(None)] * (ndim - used), *index[at + 1 :]]


def _short(array: Any) -> Any:
    """A value without its leading dims of length 1: they never matter, but NumPy does not always take them."""
    shape = np.shape(array)
    if not shape or shape[0] != 1:
        return array
    lead = next((i for i, n in enumerate(shape) if n != 1), len(shape))
    return np.reshape(array, shape[lead:])


def _alias(t: Tensor) -> Tensor:
    """t as it was before the change: same memory, same history. Not t's base, whose history will lead here: a cycle."""
    old = _new(Tensor)
    old._data, old._requires_grad, old._fn, old._index = t._data, t._requires_grad, t._fn, t._index
    if t._base is not None:
        share_version(old, t)
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
                kept, old._version = before.copy(), None  # memory of its own, which nobody changes
                old._data = kept
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
    _cut(result._fn, t if base is None else base)
    if base is None:
        t._set_history(result._fn, result._index)
        return
    new_base = ViewUpdate(Layout(t.data, base.data))(_alias(base), result)
    base._set_history(new_base._fn, 0)
    refresh_view(t)


def _cut(fn: Function | None, base: Tensor) -> None:
    """What `base` is about to be computed from must not hold it, nor its views: nobody would free such a circle soon."""
    made = base._born if base._fn is None else base._fn.sequence
    seen, todo = set(), [fn]
    while todo:
        fn = todo.pop()
        if fn is None or fn.sequence <= made or fn in seen:
            continue
        seen.add(fn)
        tensors = [x for x in fn.inputs if isinstance(x, Tensor)]
        if any(x is base or x._base is base for x in tensors):
            fn.inputs = tuple(
                _shared(x) if isinstance(x, Tensor) and (x is base or x._base is base) else x
                for x in fn.inputs
            )
        todo += [x._fn for x in tensors]


def _shared(t: Tensor) -> Tensor:
    old = _alias(t)
    share_version(old, t)
    return old


def refresh_view(t: Tensor) -> None:
    """A view taken before its base's history was rewritten gets its history from the base as it is now."""
    base = t._base
    if base is None or base._fn is None or t._view_sequence < 0:
        return
    if t._view_sequence >= base._fn.sequence or not grad_mode.enabled:
        return
    view = TakeView(Layout(t.data, base.data))(_alias(base))
    t._set_history(view._fn, 0)
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
        if view.size and not np.may_share_memory(view, base):
            raise RuntimeError(
                "in-place changes of a view can't be taped after its base was given other data; clone() first"
            )
        self.shape, self.strides = view.shape, view.strides
        self.offset = view.__array_interface__["data"][0] - base.__array_interface__["data"][0]

    def of(self, array: np.ndarray) -> np.ndarray:
        if not array.size:  # no byte that an offset could point to
            return np.ndarray(self.shape, array.dtype)
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
        extra = max(0, part.ndim - len(self.value_shape))
        shape = self.value_shape[max(0, len(self.value_shape) - part.ndim) :]  # those before are 1
        axes = tuple(range(extra)) + tuple(
            i + extra for i, n in enumerate(shape) if n == 1 and part.shape[i + extra] != 1
        )
        part = part.sum(axes) if axes else part
        return Clear(self.place)(gy), part if part.shape == self.value_shape else part.reshape(
            self.value_shape
        )
