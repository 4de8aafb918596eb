"""nnkern: neural-network kernels for everyone who holds arrays."""

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
