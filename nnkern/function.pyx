# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Function: the forward and backward of one op; the instance is the context of one application. And the tape's engine.

    class Mul(Function):
        def forward(self, x, y):                 # raw arrays (or numbers)
            self.saved = (x, y)
            return self.kernels.mul_forward(x, y)

        def backward(self, gy):                  # an array; a Tensor under create_graph, and then `saved` holds Tensors
            x, y = self.saved
            return mul(gy, y), mul(gy, x)        # one per input, None where not needed

    Mul()(x, y)                                  # Tensors in -> Tensor out, taped; arrays in -> array out

This file is Cython because the cost of a call is a feature: what it does per op is little, and done for every op.
"""

import sys
import threading
import weakref
from heapq import heappop, heappush

import numpy as np

from . import backends, device

cdef object ndarray = np.ndarray, generic = np.generic, number_type = np.number
cdef object _kernels = backends.kernels("cpu")
cdef tuple _NOTHING = ()
cdef tuple _FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
cdef object Tensor = None  # nnkern.tensor.Tensor, once it exists


def register_tensor(cls):
    """tensor.py hands over its Tensor class: results are made of it."""
    global Tensor
    Tensor = cls
    return cls


class _GradMode(threading.local):
    enabled = True


grad_mode = _GradMode()
cdef object _mode = grad_mode

# One counter orders every taped op and every in-place change; the newest change is backward's cheap first test.
cdef long long _sequence = 0
cdef long long _last_change = 0


cdef class TensorBase:
    """The fields of a Tensor that the engine works with."""

    cdef public object _data  # the ndarray
    cdef public bint _requires_grad
    cdef object _grad
    cdef public Function _fn  # the Function that made this tensor, None for leaves
    cdef public int _index  # which of its outputs
    # The tensor whose memory this one views; its history too, unless _view_sequence, which tells when the view was taken,
    # is -1 (no_grad): views of such a tensor have it for their base, and its own base below it.
    cdef public TensorBase _base
    cdef public long long _view_sequence
    cdef public Version _version  # the last in-place change (on bases, and shared with what was detached from them)
    cdef list _former  # [(the array that `data =` took away, weakly, and its version)], of arrays that were changed before
    cdef public dict _hooks  # of leaves; other tensors' hooks live on their Function
    cdef readonly long long _born  # the sequence number then: ops on this tensor have larger ones
    cdef object __weakref__

    def __cinit__(self):
        self._born = _sequence

    @property
    def data(self):
        """The array. One that is assigned takes its place: in another shape, too, if need be."""
        return self._data

    @data.setter
    def data(self, value):
        if isinstance(value, TensorBase):
            value = (<TensorBase>value)._data
        elif isinstance(value, (generic, bool, int, float)):
            raise TypeError(f"data: an array or Tensor is needed, got {type(value).__name__}")
        elif type(value) is not ndarray:
            value = (<TensorBase>Tensor(device.to_ndarray(value, "data")))._data
        if value.dtype.kind not in "biuf" or self._requires_grad and value.dtype not in _FLOATS:
            fitting = "float32 or float64, as the tensor requires grad" if self._requires_grad else "numbers or bools"
            raise TypeError(f"data: an array of {fitting} is needed, got {value.dtype}")
        if self._version is not None and not np.may_share_memory(value, self._data):  # the version is of what goes
            former = [entry for entry in self._former or () if entry[0]() is not None]
            self._former = [*former, (weakref.ref(self._data), self._version)]
            self._version = None
        self._data = value

    @property
    def requires_grad(self):
        """Whether ops on this tensor are taped, and backward() computes its gradient."""
        if self._base is not None and self._base._fn is not None:
            self._refresh_view()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        if type(value) is not bool:
            raise TypeError(f"requires_grad must be True or False, got {type(value).__name__}")
        if value and self._data.dtype not in _FLOATS:
            raise TypeError(f"requires_grad: only float32 and float64 tensors have gradients, not {self._data.dtype}")
        if not value and self.requires_grad and self._fn is not None:
            raise RuntimeError("requires_grad: only leaves can be switched off; use detach()")
        self._requires_grad = value

    @property
    def grad(self):
        """The gradient that backward() accumulated: a Tensor like this one, or None."""
        return self._grad

    @grad.setter
    def grad(self, value):
        cdef TensorBase g
        if value is not None:
            if not isinstance(value, TensorBase):
                raise TypeError(f"grad must be a Tensor or None, got {type(value).__name__}")
            g = <TensorBase>value
            if g._data.shape != self._data.shape or g._data.dtype != self._data.dtype:
                raise ValueError(
                    f"grad is {g._data.dtype} {g._data.shape} but its tensor {self._data.dtype} {self._data.shape}"
                )
        self._grad = value

    @grad.deleter
    def grad(self):
        self._grad = None


cdef class Version:
    """The last in-place change of a block of memory: shared by a Tensor and its views."""

    cdef public long long sequence
    cdef public str op
    cdef public str where


cdef class Function:
    """One application of one op. Options go to the constructor, arrays to the call."""

    cdef public tuple inputs  # what went in (Tensors, arrays, numbers); set when taped
    # Where each input's gradient goes: the Function that had made it when this op ran (an in-place change may give the
    # tensor another one later), the tensor itself if it is a leaf, None if it needs no gradient.
    cdef list targets
    cdef list target_index  # which output of that Function
    cdef tuple useful_inputs  # during a walk that looks for some tensors only: whose gradients lead to them
    cdef public object saved  # what backward needs; freed after backward unless retain_graph
    cdef public long long sequence
    cdef public int outputs
    cdef public dict _hooks  # {output index: {key: hook}}; those of retain_grad, which come last, at ~index
    cdef public object _out_id  # id() of the output array, or of each: finds outputs among `saved`
    cdef public Version _out_version  # set when the output is changed in place
    # Weakly: the Function that an in-place op's result has (inplace.Moved) in place of this one, which computed it.
    cdef public object _heir
    cdef Version _index_version  # the same of the output that holds indices: it has no history that leads here

    kernels = _kernels
    is_view = False  # True for ops whose result may share memory with their first input
    crosswise = False  # True for products: saved[0] serves the gradient of input 1 alone, saved[1] that of input 0
    takes_numbers = False  # True for ops of arrays and numbers: NumPy's scalars are numbers to them, like Python's

    def __cinit__(self, *args, **kwargs):
        self.saved = _NOTHING
        self.outputs = 1

    def forward(self, *arrays):
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, *gys):
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    @property
    def name(self):
        """The op's name in messages: MatMul -> matmul."""
        return type(self).__name__.lower()

    @property
    def needs_input_grad(self):
        """For each input, whether backward should compute its gradient."""
        return tuple([t is not None for t in self.targets]) if self.useful_inputs is None else self.useful_inputs

    def __call__(self, *inputs):
        cdef bint any_tensor = False, taped = False
        cdef list arrays = [], targets = [], target_index = []
        cdef TensorBase t, out
        if self.inputs is not None:
            raise RuntimeError(f"{self.name}: this Function was applied before; make a new one for each call")
        if _all_plain(inputs):
            y = self.forward(*inputs)
            return y if type(y) is ndarray or type(y) is tuple else _as_array(y, self, "forward")
        for x in inputs:
            if isinstance(x, TensorBase):
                t = <TensorBase>x
                any_tensor = True
                if t._base is not None and t._base._fn is not None:
                    t._refresh_view()
                if t._requires_grad:
                    taped = True
                    targets.append(t if t._fn is None else t._fn)
                else:
                    targets.append(None)
                target_index.append(t._index)
                arrays.append(t._data)
            elif x is None or isinstance(x, (float, int)) or type(x) is ndarray:
                arrays.append(x)
                targets.append(None)
                target_index.append(0)
            else:
                targets.append(None)
                target_index.append(0)
                number = self.takes_numbers and isinstance(x, number_type)
                arrays.append(x.item() if number else device.to_ndarray(x, self.name))
        if taped and 1 < len(arrays) <= 8:
            _tell_apart(inputs, arrays)
        if len(arrays) == 1:
            x = arrays[0]
            y = self.forward(x if type(x) is ndarray or not isinstance(x, generic) else np.asarray(x))
        else:
            y = self.forward(*arrays)
        if type(y) is not ndarray and type(y) is not tuple:
            y = _as_array(y, self, "forward")
        if not any_tensor:
            return _like_inputs(y, inputs)
        self.targets, self.target_index = targets, target_index
        if type(y) is tuple:
            return self._wrap_many(y, inputs, taped and _mode.enabled)
        out = <TensorBase>Tensor.__new__(Tensor)
        out._data = y
        if taped and _mode.enabled and y.dtype.kind == "f":
            global _sequence
            _sequence += 1
            self.inputs = inputs
            self.sequence = _sequence
            self._out_id = id(y)
            out._requires_grad = True
            out._fn = self
        if self.is_view and isinstance(inputs[0], TensorBase):
            self._mark_view(out, inputs[0])
        return out

    cdef tuple _wrap_many(self, tuple arrays, tuple inputs, bint taped):
        cdef list tensors = []
        cdef TensorBase t
        if taped:
            global _sequence
            _sequence += 1
            self.inputs = inputs
            self.sequence = _sequence
            self.outputs = len(arrays)
            self._out_id = tuple([id(a) for a in arrays])
        for i, a in enumerate(arrays):
            t = <TensorBase>Tensor.__new__(Tensor)
            t._data = a
            if taped and a.dtype.kind == "f":
                t._requires_grad = True
                t._fn = self
                t._index = i
            elif taped:
                t._version = self._index_version = Version()
            if self.is_view and isinstance(inputs[0], TensorBase):
                self._mark_view(t, inputs[0])
            tensors.append(t)
        return tuple(tensors)

    cdef _mark_view(self, TensorBase out, TensorBase x):
        cdef TensorBase base = x if x._base is None or x._view_sequence < 0 else x._base
        owner = out._data.base
        if out._data is base._data or (
            owner is not None
            and (owner is base._data or owner is base._data.base or np.may_share_memory(out._data, base._data))
        ):
            out._base = base
            out._view_sequence = _sequence if _mode.enabled else -1


cdef _tell_apart(tuple inputs, list arrays):
    """One ndarray for each of several inputs that share one (x and x.detach()): create_graph knows saved ones by it."""
    cdef Py_ssize_t i, j
    for i in range(1, len(arrays)):
        for j in range(i):
            if arrays[i] is arrays[j] and inputs[i] is not inputs[j] and isinstance(arrays[i], ndarray):
                x = inputs[i]
                a = (<TensorBase>x)._data if isinstance(x, TensorBase) else arrays[i]
                if a is arrays[j]:
                    a = a.view()
                    if isinstance(x, TensorBase):
                        (<TensorBase>x)._data = a
                arrays[i] = a


cdef bint _all_plain(tuple inputs):
    """Whether the inputs are arrays of NumPy or None: the shortest way is theirs."""
    for x in inputs:
        if type(x) is not ndarray and x is not None:
            return False
    return True


cdef _as_array(y, Function fn, str method):
    """What a user's Function returned, as an array: NumPy's scalars are welcome, too."""
    if isinstance(y, ndarray):
        return y
    if isinstance(y, np.generic):
        return np.asarray(y)
    raise TypeError(f"{method} of {fn.name} must return arrays, got {type(y).__name__}")


cdef _like_inputs(y, tuple inputs):
    """y as the kind of array that the first array among the inputs is."""
    for x in inputs:
        if type(x) is ndarray:
            return y
        if x is not None and not isinstance(x, (float, int)):
            return tuple([device.like(a, x) for a in y]) if type(y) is tuple else device.like(y, x)
    return y


# --- in-place changes ------------------------------------------------------------------------------------------


def newest():
    """The sequence number of the newest op or change: what runs from now on has a larger one."""
    return _sequence


def record_change(TensorBase t, str op):
    """Notes that t's memory was changed, and by which line of the user's code."""
    record_changes((t,), op)


def record_changes(tensors, str op):
    """record_change for several tensors that one line changed."""
    global _sequence, _last_change
    cdef TensorBase t, root
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "nnkern":
        frame = frame.f_back
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    _sequence += 1
    _last_change = _sequence
    for t in tensors:
        root = _root(t)
        if root._version is None:
            root._version = Version()
        root._version.sequence = _sequence
        root._version.op = op
        root._version.where = where
        if t._fn is not None:
            t._fn._out_version = root._version
        while t._base is not None:
            t = t._base
            if t._fn is not None:
                t._fn._out_version = root._version


cdef TensorBase _root(TensorBase t):
    """The tensor whose memory t views at last: it keeps the version."""
    while t._base is not None:
        t = t._base
    return t


cdef tuple _as_tuple(x):
    return x if type(x) is tuple else (x,)


def share_version(TensorBase t, TensorBase other):
    """t has the memory of other, but no history: a change of either is one of both."""
    cdef TensorBase root = _root(other)
    if root._version is None:
        root._version = Version()
    t._version = root._version
    for x in (other, root):
        if (<TensorBase>x)._fn is not None:
            (<TensorBase>x)._fn._out_version = root._version


def check_versions(Function fn):
    """RuntimeError if something that fn saved was changed in place after fn ran."""
    cdef TensorBase t
    cdef Version version
    saved = list(_as_tuple(fn.saved))
    if fn.crosswise:
        need_x, need_y = fn.needs_input_grad[:2]
        saved[:2] = [saved[0] if need_y else None, saved[1] if need_x else None]
    saved = [a for a in saved if isinstance(a, ndarray)]
    suspects = []
    for x in fn.inputs:
        if isinstance(x, TensorBase):
            t = <TensorBase>x
            suspects.append((_root(t)._version, t._data))
            suspects += [(version, array()) for array, version in t._former or () if array() is not None]
    out_ids = _as_tuple(fn._out_id)
    suspects += [
        (fn._out_version if a.dtype.kind == "f" else fn._index_version, a) for a in saved if id(a) in out_ids
    ]
    for version, array in suspects:
        if version is None or version.sequence < fn.sequence:
            continue
        for a in saved:
            if np.may_share_memory(a, array):
                raise RuntimeError(
                    f"backward of {fn.name} needs an array of shape {a.shape} that it saved, but {version.op} at "
                    f"{version.where} changed it in place afterwards; use an out-of-place op there, or clone() before"
                )


# --- backward ----------------------------------------------------------------------------------------------------


cdef _swap(a, dict by_id, tuple out_ids, Function fn):
    cdef TensorBase out
    if not isinstance(a, ndarray):
        return a
    key = id(a)
    if key in by_id:
        return by_id[key]
    if key in out_ids:
        out = <TensorBase>Tensor.__new__(Tensor)
        out._data = a
        out._requires_grad = True
        heir = None if fn._heir is None else fn._heir()
        if heir is None:
            out._fn = fn
            out._index = out_ids.index(key)
        else:
            out._fn = heir
        return out
    return a


cdef _saved_as_tensors(Function fn):
    """fn.saved with inputs and outputs replaced by their Tensors, so that backward can be taped (create_graph)."""
    by_id = {id((<TensorBase>x)._data): x for x in fn.inputs if isinstance(x, TensorBase)}
    out_ids = _as_tuple(fn._out_id)
    if type(fn.saved) is tuple:
        return tuple([_swap(a, by_id, out_ids, fn) for a in fn.saved])
    return _swap(fn.saved, by_id, out_ids, fn)


def call_backward(Function fn, gys, bint create_graph):
    """The gradients of fn's inputs, as a tuple of arrays (Tensors under create_graph)."""
    if fn.saved is None:
        raise RuntimeError(
            f"backward through {fn.name} a second time: its saved arrays were freed by the first backward; "
            "pass retain_graph=True to the first one"
        )
    if _last_change > fn.sequence:
        check_versions(fn)
    if not create_graph:
        gxs = fn.backward(*gys) if fn.outputs > 1 else fn.backward(gys)
    else:
        raw, fn.saved = fn.saved, _saved_as_tensors(fn)
        try:
            gxs = fn.backward(*gys) if fn.outputs > 1 else fn.backward(gys)
        finally:
            fn.saved = raw
    return gxs if type(gxs) is tuple else (gxs,)


def run_hooks(dict hooks, g, bint create_graph):
    """g after every hook had its say."""
    for hook in list(hooks.values()):
        result = hook(g if create_graph else Tensor(g))
        if result is None:
            continue
        array = (<TensorBase>result)._data if isinstance(result, TensorBase) else result
        if not isinstance(array, ndarray):
            raise TypeError(f"a hook must return None, a Tensor or an array, got {type(result).__name__}")
        if array.shape != g.shape or array.dtype != g.dtype:
            raise RuntimeError(f"a hook returned {array.dtype} {array.shape} for a gradient of {g.dtype} {g.shape}")
        g = (result if isinstance(result, TensorBase) else Tensor(result)) if create_graph else array
    return g


cdef _as_gradient(g, Function fn, bint create_graph):
    """What fn.backward returned, as what the walk carries: an array, or a Tensor under create_graph."""
    if create_graph:
        return g if isinstance(g, TensorBase) else Tensor(_as_array(g, fn, "backward"))
    return (<TensorBase>g)._data if isinstance(g, TensorBase) else _as_array(g, fn, "backward")


def _sequence_of(Function fn):
    return fn.sequence


cdef class Walk:
    """One backward pass over the tape, newest op first (a heap ordered by sequence), without recursion.

    Gradients are arrays, or Tensors under create_graph. With `wanted` (a list of Tensors) only these are found.
    """

    cdef bint create_graph
    cdef list heap
    cdef dict pending  # function -> gradient of its output, or list of them
    cdef dict leaves  # id(leaf) -> [leaf, gradient]
    # id -> buffer that this walk allocated, waits at one place and may be added into. A backward that receives it may
    # hand it on to several inputs or keep it: from then on nobody adds into it.
    cdef dict owned
    cdef dict wanted_at  # (function, index) -> wanted non-leaf tensors
    cdef set wanted_functions
    cdef set wanted_leaves
    cdef set useful  # the Functions whose backward leads to a wanted tensor, once the walk runs
    cdef public dict found  # id(tensor) -> (tensor, gradient)
    # The walk ends at what is no younger than this; hooks there are left to the walk that goes on from it.
    cdef public long long since

    def __init__(self, bint create_graph, wanted=None):
        self.create_graph = create_graph
        self.heap, self.pending, self.leaves, self.found = [], {}, {}, {}
        if wanted is not None:
            self.wanted_at = {}
            self.wanted_leaves = {id(t) for t in wanted if t._fn is None}
            for t in wanted:
                if t._fn is not None:
                    self.wanted_at.setdefault((t._fn, t._index), []).append(t)

    def start(self, TensorBase x, g):
        """The walk begins at x with this gradient."""
        self.send(x if x._fn is None else x._fn, x._index, g)

    cdef send(self, target, int index, g):
        """One gradient arrives at a leaf, or at an output of a Function."""
        cdef Function fn
        if not isinstance(target, Function):
            if self.wanted_leaves is not None and id(target) not in self.wanted_leaves:
                return
            entry = self.leaves.get(id(target))
            if entry is None:
                self.leaves[id(target)] = [target, g]
            else:
                entry[1] = self.combine(entry[1], g)
            return
        fn = <Function>target
        if fn.outputs == 1:
            before = self.pending.get(fn)
            if before is None:
                self.pending[fn] = g
                heappush(self.heap, (-fn.sequence, fn))
            else:
                self.pending[fn] = self.combine(before, g)
        else:
            slots = self.pending.get(fn)
            if slots is None:
                slots = self.pending[fn] = [None] * fn.outputs
                heappush(self.heap, (-fn.sequence, fn))
            slots[index] = g if slots[index] is None else self.combine(slots[index], g)

    cdef bint leads_on(self, target):
        """Whether a gradient that arrives at this Function or leaf is of use."""
        if isinstance(target, Function):
            return target in self.useful or target in self.wanted_functions
        return target is not None and id(target) in self.wanted_leaves

    cdef find_useful(self):
        cdef Function fn
        cdef list todo = [entry[1] for entry in self.heap]
        cdef set seen = set(todo)
        self.wanted_functions = {key[0] for key in self.wanted_at}
        self.useful = set()
        while todo:
            fn = <Function>todo.pop()
            for target in fn.targets:
                if isinstance(target, Function) and target not in seen:
                    seen.add(target)
                    if (<Function>target).sequence > self.since:
                        todo.append(target)
        for fn in sorted(seen, key=_sequence_of):
            if fn.sequence > self.since and any([self.leads_on(target) for target in fn.targets]):
                self.useful.add(fn)

    cdef combine(self, a, b):
        if self.create_graph:
            return a + b
        if self.owned is None:
            self.owned = {}
        c = _kernels.add_forward(a, b, a if id(a) in self.owned else None)
        self.owned[id(c)] = c
        return c

    cdef at_output(self, Function fn, gys):
        """Hooks of fn's outputs, and those outputs that are wanted."""
        slots = gys if fn.outputs > 1 else [gys]
        for i, g in enumerate(slots):
            if g is None:
                continue
            if fn._hooks is not None and fn.sequence > self.since:
                for key in (i, ~i):
                    if key in fn._hooks:
                        slots[i] = g = run_hooks(fn._hooks[key], g, self.create_graph)
            if self.wanted_at is not None:
                for t in self.wanted_at.get((fn, i), ()):
                    self.found[id(t)] = (t, g)
        return slots if fn.outputs > 1 else slots[0]

    cpdef run(self, bint retain_graph):
        cdef Function fn
        cdef TensorBase t
        cdef list targets
        cdef int i
        if self.wanted_at is not None:
            self.find_useful()
        while self.heap:
            fn = <Function>heappop(self.heap)[1]
            gys = self.pending.pop(fn)
            if self.owned:
                for g in gys if fn.outputs > 1 else (gys,):
                    self.owned.pop(id(g), None)
            if fn._hooks is not None or self.wanted_at is not None:
                gys = self.at_output(fn, gys)
            if fn.sequence <= self.since or (self.useful is not None and fn not in self.useful):
                continue
            if self.useful is None:
                gxs = call_backward(fn, gys, self.create_graph)
            else:
                fn.useful_inputs = tuple([self.leads_on(target) for target in fn.targets])
                try:
                    gxs = call_backward(fn, gys, self.create_graph)
                finally:
                    fn.useful_inputs = None
            if not retain_graph and fn.saved is not _NOTHING:
                fn.saved = None
            targets, i = fn.targets, 0
            if len(gxs) != len(targets):
                raise RuntimeError(f"backward of {fn.name} gave {len(gxs)} gradients for {len(targets)} inputs")
            for g in gxs:
                target = targets[i]
                if g is not None and target is not None and (self.useful is None or self.leads_on(target)):
                    if type(g) is not ndarray:
                        g = _as_gradient(g, fn, self.create_graph)
                    shape = (<TensorBase>fn.inputs[i])._data.shape
                    if g.shape != shape:
                        raise RuntimeError(f"backward of {fn.name} gave shape {g.shape} for an input of {shape}")
                    self.send(target, fn.target_index[i], g)
                i += 1
            gys = gxs = g = None
        self.owned = None
        for key, (x, g) in self.leaves.items():
            if g.dtype != (<TensorBase>x)._data.dtype:
                raise RuntimeError(f"a gradient of {g.dtype} arrived at a tensor of {(<TensorBase>x)._data.dtype}")
            if (<TensorBase>x)._hooks and self.since == 0:
                g = run_hooks((<TensorBase>x)._hooks, g, self.create_graph)
            self.found[key] = (x, g)
        self.leaves.clear()
        return self.found
