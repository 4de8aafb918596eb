"""The public functions, one file per family, and the tables that make Tensor methods and operators of them."""

import sys as _sys
from typing import Any as _Any

from ..tensor import Tensor
from ._composed import *
from ._counting import *
from ._errors import friendly as _friendly
from ._scatter_reduce import *
from ._with_indices import *
from .activation import *
from .arithmetic import *
from .attention import *
from .compare import *
from .compare import Compare as _Compare
from .conv import *
from .distance import *
from .dropout import *
from .einsum import *
from .elementwise import *
from .embedding import *
from .fold import *
from .gate import *
from .grid_sample import *
from .index import *
from .interpolate import *
from .join import *
from .layer_norm import *
from .loss import *
from .loss_ctc import *
from .loss_pointwise import *
from .matmul import *
from .norm import *
from .pad import *
from .pool import *
from .recurrent import *
from .reduce import *
from .remainder import *
from .scan import *
from .shape import *
from .softmax import *
from .sort import *
from .unpool import *

norm = _sys.modules[f"{__name__}._composed"].norm  # of that name is the module of batch_norm and its kin, too

# Methods of Tensor: the public function of that name with the tensor as its first argument.
_METHODS = """
abs add astype ceil clamp cos cosh div eq erf exp exp2 expm1 floor ge gt isfinite isinf isnan le log log10 log1p log2
logical_and logical_not logical_or logical_xor lt maximum minimum mul ne neg pow reciprocal relu round rsqrt sigmoid sign
sin sinh sqrt square sub tan tanh trunc
floor_divide fmod remainder
absolute addcdiv addcmul clamp_max clamp_min clip divide frac lerp logaddexp logit multiply nan_to_num negative norm subtract true_divide xlogy
matmul mm bmm mv outer addmm baddbmm dot
chunk clone contiguous diag_embed diagonal flatten movedim narrow roll split squeeze swapaxes transpose tril triu unbind unflatten unsqueeze
aminmax diag diff moveaxis select swapdims t tensor_split trace
allclose argwhere bernoulli bincount count_nonzero equal isclose multinomial nonzero unique
all amax amin any argmax argmin cumprod cumsum logsumexp max mean min prod std sum var
log_softmax softmax
argsort gather index_add index_copy index_fill index_select kthvalue masked_fill masked_select median repeat_interleave scatter scatter_add scatter_reduce sort take_along_dim topk
"""

# x.sigmoid_() puts x.sigmoid() in the place of x.
_IN_PLACE_METHODS = """
abs addcdiv addcmul ceil clamp_max clamp_min clip cos cosh erf exp2 expm1 floor floor_divide fmod frac index_add index_copy
index_fill lerp log log10 log1p log2 logit masked_fill nan_to_num reciprocal remainder round rsqrt scatter scatter_add sigmoid
sign sin sinh sqrt square tan tanh tril triu trunc
"""

# x.double() is x.astype(np.float64).
_CASTS = {
    "float": "float32",
    "double": "float64",
    "int": "int32",
    "long": "int64",
    "byte": "uint8",
    "bool": "bool",
}

# Methods that take a list of numbers or the numbers themselves: x.reshape(2, 3), x.reshape((2, 3)).
_SPREADING_METHODS = """
broadcast_to expand flip permute repeat reshape tile view
"""

_OPERATORS = {
    "__neg__": "neg", "__abs__": "abs", "__getitem__": "getitem",
    "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge",
    "__add__": "add", "__sub__": "sub", "__mul__": "mul", "__truediv__": "div", "__pow__": "pow", "__matmul__": "matmul",
    "__floordiv__": "floor_divide", "__mod__": "remainder",
}  # fmt: skip

# 2 - x is sub(2, x).
_REFLECTED_OPERATORS = {
    "__radd__": "add", "__rsub__": "sub", "__rmul__": "mul", "__rtruediv__": "div", "__rpow__": "pow",
    "__rmatmul__": "matmul", "__rfloordiv__": "floor_divide", "__rmod__": "remainder",
}  # fmt: skip

# Of bool alone: what they do with integers elsewhere, bit by bit, is not logic.
_LOGIC = {
    "__and__": "and", "__or__": "or", "__xor__": "xor", "__rand__": "and", "__ror__": "or", "__rxor__": "xor",
}  # fmt: skip


def _spreading(function: _Any) -> _Any:
    def method(self: Tensor, *numbers: _Any) -> _Any:
        return function(self, numbers[0] if len(numbers) == 1 else numbers)

    method.__name__, method.__doc__ = function.__name__, function.__doc__
    return method


def _in_place(name: str, function: _Any) -> _Any:
    def method(self: Tensor, *args: _Any, **options: _Any) -> _Any:
        return self._change(name, lambda x: function(x, *args, **options))

    method.__name__, method.__doc__ = name, f"{function.__name__}, in place."
    return method


def _reflected(function: _Any) -> _Any:
    def operator(self: Tensor, other: _Any) -> _Any:
        return function(other, self)

    return operator


def _logic(kernel: str) -> _Any:
    def operator(self: Tensor, other: _Any) -> _Any:
        return _Compare(kernel)(self, other)

    return operator


def _cast(name: str, dtype: str) -> _Any:
    def method(self: Tensor) -> _Any:
        return globals()["astype"](self, dtype)

    method.__name__, method.__doc__ = name, f"The tensor in {dtype}; itself if it is that already."
    return method


def _equality(function: _Any, beside_none: bool) -> _Any:
    def operator(self: Tensor, other: _Any) -> _Any:
        return beside_none if other is None else function(self, other)

    return operator


def _where(self: Tensor, condition: _Any, other: _Any) -> _Any:
    """This tensor where the condition (bool) holds, else `other`."""
    return globals()["where"](condition, self, other)


def _attach() -> None:
    Tensor.where = _where  # type: ignore[attr-defined]
    for name in _METHODS.split():
        setattr(Tensor, name, globals()[name])
    for name in _SPREADING_METHODS.split():
        setattr(Tensor, name, _spreading(globals()[name]))
    for name in _IN_PLACE_METHODS.split():
        setattr(Tensor, f"{name}_", _in_place(f"{name}_", globals()[name]))
    Tensor.__ifloordiv__ = _in_place("floor_divide_", globals()["floor_divide"])  # type: ignore[attr-defined]
    Tensor.__imod__ = _in_place("remainder_", globals()["remainder"])  # type: ignore[attr-defined]
    for name, dtype in _CASTS.items():
        setattr(Tensor, name, _cast(name, dtype))
    for operator, name in _OPERATORS.items():
        setattr(Tensor, operator, globals()[name])
    for operator, name in _REFLECTED_OPERATORS.items():
        setattr(Tensor, operator, _reflected(globals()[name]))
    for operator, name in _LOGIC.items():
        setattr(Tensor, operator, _logic(f"logical_{name}_forward"))
    Tensor.__eq__ = _equality(globals()["eq"], False)  # type: ignore[method-assign]
    Tensor.__ne__ = _equality(globals()["ne"], True)  # type: ignore[method-assign]


_attach()


# Methods have a Tensor already; elementwise functions, matmul and linear ask themselves, and their calls are the shortest.
# These look at shapes before anything else does.
for _family in (
    "_composed", "_counting", "_scatter_reduce", "_with_indices", "einsum", "grid_sample", "interpolate", "pad", "sort",
    "conv", "fold", "gate", "index", "join", "loss", "loss_ctc", "loss_pointwise", "matmul", "norm", "pool", "recurrent", "reduce", "remainder", "scan", "shape", "unpool",
    "distance", "dropout", "embedding", "layer_norm",
):  # fmt: skip
    for _name in _sys.modules[f"{__name__}.{_family}"].__all__:
        if not isinstance(globals()[_name], type) and _name not in ("matmul", "linear"):
            globals()[_name] = _friendly(globals()[_name])
for _name in (
    "astype", "gumbel_softmax", "masked_fill", "prelu", "softmin",
    "alibi_bias", "alibi_slopes", "multi_head_attention_forward", "rope", "sinusoidal_positions",
):  # fmt: skip
    globals()[_name] = _friendly(globals()[_name])
