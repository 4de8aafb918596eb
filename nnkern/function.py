"""Function: the forward and backward of one op. The instance is the context of one application.

    class Mul(Function):
        def forward(self, x, y):                 # raw arrays (or numbers)
            self.saved = (x, y)
            return self.kernels.mul_forward(x, y)

        def backward(self, gy):                  # an array; a Tensor under create_graph, and then `saved` holds Tensors
            x, y = self.saved
            return mul(gy, y), mul(gy, x)        # one per input, None where not needed

    Mul()(x, y)                                  # Tensors in -> Tensor out, taped; arrays in -> array out
"""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

import numpy as np

from . import backends, device
from .tensor import Tensor

_sequence = count(1)  # orders every taped op and every in-place change


class _GradMode(threading.local):
    enabled = True


grad_mode = _GradMode()
_ndarray = np.ndarray
_new = Tensor.__new__


class Function:
    """One application of one op. Options go to the constructor, arrays to the call."""

    kernels: Any = backends.kernels("cpu")
    inputs: tuple = ()  # the Tensors that went in (None in place of arrays and numbers); set when taped
    needs_input_grad: tuple = (True,) * 8
    saved: Any = ()  # what backward needs; freed after backward unless retain_graph
    sequence = 0
    is_view = False  # True for ops whose result may share memory with their first input
    outputs = 1
    _hooks: Any = None  # {output index: {key: hook}}
    _out_id: Any = 0  # id() of the output array(s): finds the output among `saved`
    _out_version: Any = None  # set when the output is changed in place

    def forward(self, *arrays: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, *gys: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    @property
    def name(self) -> str:
        """The public function's name: MatMul -> matmul, SumTo -> sumto."""
        return type(self).__name__.lower()

    def __call__(self, *inputs: Any) -> Any:
        arrays = []
        any_tensor = taped = False
        for x in inputs:
            if isinstance(x, Tensor):
                any_tensor = True
                if x.requires_grad:
                    taped = True
                arrays.append(x.data)
            elif isinstance(x, (_ndarray, float, int)) or x is None:
                arrays.append(x)
            else:
                arrays.append(device.to_ndarray(x, self.name))
        y = self.forward(*arrays)
        if not any_tensor:
            return self._like_inputs(y, inputs)
        if not (taped and grad_mode.enabled):
            if type(y) is tuple:
                return tuple(Tensor(a) for a in y)
            out = _new(Tensor)
            out.data = y
            if self.is_view:
                self._mark_view(out, inputs[0])
            self.saved = ()
            return out
        self.inputs = inputs = tuple([x if isinstance(x, Tensor) else None for x in inputs])
        self.needs_input_grad = tuple([x is not None and x.requires_grad for x in inputs])
        self.sequence = next(_sequence)
        if type(y) is tuple:
            return self._tape_many(y)
        out = _new(Tensor)
        out.data = y
        if y.dtype.kind != "f":
            return out
        out.requires_grad = True
        out._fn = self
        self._out_id = id(y)
        for x in inputs:
            if x is not None and x._base is not None:
                x._refresh_view()
        if self.is_view:
            self._mark_view(out, inputs[0])
        return out

    def _tape_many(self, arrays: tuple) -> tuple:
        self.outputs = len(arrays)
        self._out_id = tuple(id(a) for a in arrays)
        tensors = []
        for i, a in enumerate(arrays):
            t = Tensor(a)
            if a.dtype.kind == "f":
                t.requires_grad = True
                t._fn = self
                t._index = i
            tensors.append(t)
        return tuple(tensors)

    def _mark_view(self, out: Tensor, x: Any) -> None:
        if isinstance(x, Tensor) and out.data.base is not None:
            base = x._base if x._base is not None else x
            if np.may_share_memory(out.data, base.data):
                out._base = base
                out._view_sequence = self.sequence

    def _like_inputs(self, y: Any, inputs: tuple) -> Any:
        for x in inputs:
            if type(x) is _ndarray:
                return y
            if not isinstance(x, (float, int)) and x is not None:
                break
        else:
            return y
        return tuple(device.like(a, x) for a in y) if type(y) is tuple else device.like(y, x)


# --- in-place changes ------------------------------------------------------------------------------------------


class Version:
    """The last in-place change of a block of memory: shared by a Tensor and its views."""

    __slots__ = ("sequence", "op", "where")


class _LastChange:
    sequence = 0  # of the newest in-place change anywhere: backward's cheap first test


def record_change(t: Tensor, op: str) -> None:
    """Notes that t's memory was changed, and by which line of the user's code."""
    import sys

    root = t._base if t._base is not None else t
    version = root._version
    if version is None:
        version = root._version = Version()
    version.sequence = _LastChange.sequence = next(_sequence)
    version.op = op
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "nnkern":
        frame = frame.f_back
    version.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    for owner in (t, root):
        if owner._fn is not None:
            owner._fn._out_version = version


def check_versions(fn: Function) -> None:
    """RuntimeError if something that fn saved was changed in place after fn ran."""
    saved = [a for a in _flat(fn.saved) if isinstance(a, _ndarray)]
    candidates = [(x._base if x._base is not None else x)._version for x in fn.inputs if x is not None]
    arrays: list[Any] = [x.data for x in fn.inputs if x is not None]
    candidates.append(fn._out_version)
    out_ids = fn._out_id if type(fn._out_id) is tuple else (fn._out_id,)
    arrays.append(next((a for a in saved if id(a) in out_ids), None))
    for version, array in zip(candidates, arrays):
        if version is None or array is None or version.sequence < fn.sequence:
            continue
        for a in saved:
            if np.may_share_memory(a, array):
                raise RuntimeError(
                    f"backward of {fn.name} needs an array of shape {a.shape} that it saved, but {version.op} at "
                    f"{version.where} changed it in place afterwards; use an out-of-place op there, or clone() before"
                )


def _flat(saved: Any) -> Any:
    return saved if isinstance(saved, tuple) else (saved,)


# --- backward ----------------------------------------------------------------------------------------------------


def saved_as_tensors(fn: Function) -> tuple:
    """fn.saved with inputs and outputs replaced by their Tensors, so that backward can be taped (create_graph)."""
    by_id = {id(x.data): x for x in fn.inputs if x is not None}
    out_ids = fn._out_id if type(fn._out_id) is tuple else (fn._out_id,)

    def swap(a: Any) -> Any:
        if not isinstance(a, _ndarray):
            return a
        if id(a) in by_id:
            return by_id[id(a)]
        if id(a) in out_ids:
            out = _new(Tensor)
            out.data = a
            out.requires_grad = True
            out._fn = fn
            out._index = out_ids.index(id(a))
            return out
        return a

    return tuple(swap(a) for a in fn.saved) if isinstance(fn.saved, tuple) else swap(fn.saved)


def call_backward(fn: Function, gys: Any, create_graph: bool) -> tuple:
    """The gradients of fn's inputs, as a tuple of arrays (Tensors under create_graph)."""
    if fn.saved is None:
        raise RuntimeError(
            f"backward through {fn.name} a second time: its saved arrays were freed by the first backward; "
            "pass retain_graph=True to the first one"
        )
    if _LastChange.sequence > fn.sequence:
        check_versions(fn)
    if not create_graph:
        gxs = fn.backward(*gys) if fn.outputs > 1 else fn.backward(gys)
    else:
        raw, fn.saved = fn.saved, saved_as_tensors(fn)
        try:
            gxs = fn.backward(*gys) if fn.outputs > 1 else fn.backward(gys)
        finally:
            fn.saved = raw
    return gxs if type(gxs) is tuple else (gxs,)
