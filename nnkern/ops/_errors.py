"""Errors of public functions name the function and the argument, also where Python or NumPy found the mistake first."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..function import Function
from ..tensor import Tensor

_KINDS = {"int": "__index__", "float": "__float__"}


def friendly(function: Any) -> Any:
    """Function, with errors that name it where an argument is of a kind that it can't take."""

    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except (AttributeError, IndexError, TypeError, ValueError) as e:
            text = _better(function, e, args, options)
            if text is None:
                raise
            kinds = (kind for kind in (IndexError, ValueError, TypeError) if isinstance(e, kind))
            raise next(kinds, TypeError)(text) from None

    return wrapper


def _better(function: Any, e: Exception, args: Any, options: Any) -> str | None:
    """What the error should say, None if it says that already or is not ours."""
    name, text = function.__name__, str(e)
    if not _ours(e):
        return None
    try:
        given = inspect.signature(function).bind(*args, **options)
    except TypeError:  # Python's own words about missing arguments
        return None
    refused = refused_argument(text, given.arguments)
    if refused is not None:
        return f"{name}: {refused}"
    said, text = text, _public(name, text, given.arguments)
    named = re.match(r"([a-z]\w*): ", text)
    if said == text and named and (f"_{named[1]}_" in f"_{name}_" or name in named[1]):
        return None
    if isinstance(e, AttributeError) and (isinstance(e.obj, Tensor) or hasattr(e.obj, "__array_interface__")):
        return None
    if named and said != text:
        return text
    wrong = None
    if not named and not (isinstance(e, AttributeError) and isinstance(e.obj, (list, tuple, int, float))):
        wrong = _wrong_argument(given)
    if wrong is None and isinstance(e, AttributeError):
        wrong = f"expected an array or Tensor, got {type(e.obj).__name__}"
    return f"{name}: {wrong or text}"


def refused_argument(text: str, given: Mapping[str, Any]) -> str | None:
    """A kernel's "conv: w must be a ... array, got int8" in the caller's words: "weight must be ...", or None.

    The argument is the one that is an int8 array, so that what the kernel calls it does not matter.
    """
    said = re.fullmatch(r"(?:\w+: )+(\w+) (must be an? .* array, got (\w+))", text)
    if said is None or (said[1] in given and _kind(given[said[1]]) == said[3]):
        return None
    return next((f"{name} {said[2]}" for name, value in given.items() if _kind(value) == said[3]), None)


def _is_kernel(stem: str) -> bool:
    """Whether kernels only are called so, such as conv or max_unpool, and no public function."""
    if callable(getattr(sys.modules[__package__], stem, None)):
        return False
    for name in (f"{stem}_forward", stem):
        try:
            return callable(getattr(Function.kernels, name))
        except NotImplementedError:
            pass
    return False


def _public(name: str, text: str, given: Mapping[str, Any]) -> str:
    """A kernel's text in the caller's words: its function, its argument, shapes without a batch that was not given."""
    stem = re.match(r"([a-z]\w*): (\w+)", text)
    if stem and (stem[1] == name or _is_kernel(stem[1])):
        argument = stem[2]
        if argument not in given and re.match(r" must be an? (int|number|bool)", text[stem.end() :]):
            argument = next((a for a in given if argument in a), argument)  # groups: num_groups
        text = f"{name}: {argument}{text[stem.end() :]}"
    for argument, value in given.items():
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple) and f"{argument}.shape={(1, *shape)}" in text:
            text = text.replace(f"{argument}.shape={(1, *shape)}", f"{argument}.shape={tuple(shape)}")
            text = text.replace("result.shape=(1, ", "result.shape=(")
    return text


def _kind(value: Any) -> str:
    """What a kernel says that it got: the dtype of an array, else the type."""
    dtype = getattr(value, "dtype", None)
    return type(value).__name__ if dtype is None else str(dtype).rpartition(".")[2]


def _ours(e: Exception) -> bool:
    """Whether no code of the user's was running, such as a distance function of theirs."""
    at = e.__traceback__
    while at is not None:
        if at.tb_frame.f_globals.get("__name__", "").partition(".")[0] not in ("nnkern", "numpy"):
            return False
        at = at.tb_next
    return True


def _wrong_argument(given: inspect.BoundArguments) -> str | None:
    for name, value in given.arguments.items():
        parameter = given.signature.parameters[name]
        needs = _KINDS.get(parameter.annotation)
        if needs and (not hasattr(type(value), needs) or np.ndim(value)):
            kind = "an int" if parameter.annotation == "int" else "a number"
            return f"{name} must be {kind}, got {type(value).__name__}"
        required = parameter.default is parameter.empty and parameter.annotation == "Any"
        if required and (value is None or isinstance(value, (str, bytes, dict, set, Callable))):  # type: ignore[arg-type]
            return f"{name} must not be {'None' if value is None else 'of type ' + type(value).__name__}"
    return None
