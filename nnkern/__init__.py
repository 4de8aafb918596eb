"""nnkern: neural-network kernels for everyone who holds arrays."""

import sys as _sys

try:
    from . import _cpu
except ImportError as _e:
    # A bad NNKERN_ISA or NNKERN_NUM_THREADS ends the command in a line, not in a traceback.
    _started = _sys.orig_argv[1:3]
    _is_command = _started == ["-m", "nnkern"] or "".join(_started[:1]).endswith(("/nnkern", "nnkern.exe"))
    if _is_command and str(_e).startswith("NNKERN_"):
        _sys.exit(f"nnkern: {_e}")
    raise
from . import autograd, functional, nn, optim, random
from .autograd import (
    checkpoint,
    enable_grad,
    grad,
    gradcheck,
    gradgradcheck,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from .config import *
from .creation import *
from .dtypes import *
from .explain import explain
from .function import Function
from .ops import *
from .random import manual_seed
from .serialization import load, load_metadata, save
from .tensor import Tensor

__version__ = "0.1.0"
