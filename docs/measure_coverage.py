"""Writes docs/coverage.md: what nnkern has of torch.nn.functional and torch.nn. Run, with PyTorch: python docs/measure_coverage.py"""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("coverage.md")

TEXT = """# torch.nn.functional and torch.nn in nnkern

## Functions

Every public function of `torch.nn.functional` {version}: {have} of {all} are in `nnkern.functional`, under the same name, with the
same arguments in the same order (the arrays in front are often called x). Arguments that are not there are named. Those that
PyTorch deprecates are left out everywhere: `size_average` and `reduce` of losses (where they stand before others, such as
`reduction` or `ignore_index`, give these by name), `min_value` and `max_value` of `nn.Hardtanh` (now `min_val`, `max_val`).
`python docs/measure_coverage.py` makes this page, and a test holds it up to date.

{table}

Beyond PyTorch's names, `nnkern.functional` has these:

{beyond}

## Layers

Every module of `torch.nn` {version}: {have_layers} of {all_layers} are in `nnkern.nn`, with the same arguments and names in
state_dict. None takes `device`: there is one. Arguments that are not there are named.

{layers}

Beyond PyTorch's names, `nnkern.nn` has these: {beyond_layers}
"""

# PyTorch's own machinery and types, which are no functions of arrays.
MACHINERY = {
    "Callable", "DType", "Optional", "ScalingType", "SwizzleType", "Tensor", "assert_int_or_pair", "boolean_dispatch",
    "handle_torch_function", "has_torch_function", "has_torch_function_unary", "has_torch_function_variadic",
}  # fmt: skip

NO_LAYERS = {"Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"}  # Tensors

DEPRECATED = {
    "size_average",
    "min_value",
    "max_value",
    "reduce",
    "_stacklevel",
    "*",
}  # by PyTorch, or its own affair

# Why a function is missing.
_LOW = "products of 8-bit floats in blocks, for GPUs that have them"
MISSING = {
    "scaled_mm": _LOW,
    "scaled_grouped_mm": _LOW,
    "grouped_mm": "products of bfloat16 matrices of many experts, for GPUs",
}  # fmt: skip

_LAZY = "sizes are given when a layer is made: an optimiser or a file may ask for its parameters next"
MISSING_LAYERS = {
    "Container": "deprecated by PyTorch; `Module` is the same",
    "CrossMapLRN2d": "PyTorch's older `LocalResponseNorm`",
    "DataParallel": "one process on several GPUs; nnkern uses all cores of the CPU without it",
    "NLLLoss2d": "deprecated by PyTorch; `NLLLoss` takes images, too",
    "RNNBase": "what PyTorch's own recurrent layers share",
    "RNNCellBase": "what PyTorch's own recurrent cells share",
    "SyncBatchNorm": "statistics over several processes; there is one",
}  # fmt: skip

# What is particular about some that are there.
REMARKS = {
    "tanhshrink": "exact near 0, where PyTorch's difference loses its digits",
    "gelu": "its limits at infinity, where PyTorch gives NaN",
    "rrelu": "the random slopes are nnkern.manual_seed's",
    "dropout": "the random numbers are nnkern.manual_seed's, the same for any number of threads",
}  # fmt: skip


def torch_names() -> tuple[str, list[str]]:
    """PyTorch's version (major.minor), and its public functions."""
    import torch

    names = [n for n in dir(torch.nn.functional) if not n.startswith("_") and n not in MACHINERY]
    version = ".".join(torch.__version__.split(".")[:2])
    return version, [n for n in names if callable(getattr(torch.nn.functional, n))]


def our_names() -> list[str]:
    import nnkern.functional as ours

    return [n for n in dir(ours) if not n.startswith("_") and inspect.isfunction(getattr(ours, n))]


def arguments(function: Any) -> list[str]:
    """The names of a function's arguments; those of a compiled one stand in its docstring."""
    try:
        names = list(inspect.signature(function).parameters)
    except (ValueError, TypeError):
        names = []
    if not names or names == ["args", "kwargs"]:
        found = re.search(rf"{function.__name__}\((.*?)\) *->", function.__doc__ or "", re.DOTALL)
        names = [re.split("[=:]", a)[0].strip() for a in found.group(1).split(",")] if found else []
    return [n for n in names if n not in DEPRECATED]


def lacking(name: str) -> list[str]:
    """PyTorch's arguments that ours does not take; the arrays in front may have other names."""
    import torch

    import nnkern.functional as ours

    theirs, mine = arguments(getattr(torch.nn.functional, name)), arguments(getattr(ours, name))
    arrays = ("input", "input1", "input2", "tensor", "x1", "x2", "query")
    return [n for n in theirs if n not in mine and n not in arrays]


def layer_table() -> tuple[list[str], list[str], list[str]]:
    """The lines of the table of layers, PyTorch's names of them, and what is ours alone."""
    import torch

    import nnkern.nn as ours

    def modules(home: Any, base: Any) -> list[str]:
        found = [n for n in dir(home) if isinstance(getattr(home, n), type) and n not in NO_LAYERS]
        return [n for n in found if issubclass(getattr(home, n), base)]

    theirs, mine = modules(torch.nn, torch.nn.Module), modules(ours, ours.Module)
    lines = ["| layer | in nnkern | |", "|---|---|---|"]
    for name in theirs:
        if name in mine:
            wanted, taken = (arguments(getattr(home, name).__init__) for home in (torch.nn, ours))
            first = {
                "self",
                "args",
                "kwargs",
                "device",
                "dtype",
                "input_size",
                "hidden_size",
                "mode",
                "_freeze",
            }
            without = [n for n in wanted if n not in taken and n not in first]
            note = "without " + ", ".join(f"`{n}`" for n in without) if without else ""
        else:
            note = _LAZY if name.startswith("Lazy") else MISSING_LAYERS.get(name, "not written yet")
        lines.append(f"| {name} | {'yes' if name in mine else '**no**'} | {note} |")
    return lines, theirs, [n for n in mine if n not in theirs]


def page() -> str:
    """The text of docs/coverage.md."""
    version, theirs = torch_names()
    ours = set(our_names())
    lines = ["| function | in nnkern | |", "|---|---|---|"]
    for name in theirs:
        if name in ours:
            missing = ", ".join(f"`{n}`" for n in lacking(name))
            note = "; ".join(filter(None, [REMARKS.get(name), missing and f"without {missing}"]))
        else:
            note = MISSING.get(name, "not written yet")
        lines.append(f"| {name} | {'yes' if name in ours else '**no**'} | {note} |")
    beyond = textwrap.fill(", ".join(f"`{n}`" for n in sorted(ours - set(theirs))), 125)
    have = sum(n in ours for n in theirs)
    layers, their_layers, beyond_layers = layer_table()
    return TEXT.format(
        version=version, have=have, all=len(theirs), table="\n".join(lines), beyond=beyond,
        layers="\n".join(layers), all_layers=len(their_layers),
        have_layers=sum("| yes |" in line for line in layers),
        beyond_layers=", ".join(f"`{n}`" for n in beyond_layers),
    )  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(page())
