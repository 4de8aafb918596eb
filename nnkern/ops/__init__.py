"""The public functions, one file per family, and the tables that make Tensor methods and operators of them."""

from ..tensor import Tensor
from .elementwise import *  # noqa: F403

# Methods of Tensor: the public function of that name with the tensor as its first argument.
METHODS = """
neg
"""

OPERATORS = {
    "__neg__": "neg",
}


def _attach() -> None:
    for name in METHODS.split():
        setattr(Tensor, name, globals()[name])
    for operator, name in OPERATORS.items():
        setattr(Tensor, operator, globals()[name])


_attach()
