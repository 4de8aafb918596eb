"""The public functions, one file per family, and the tables that make Tensor methods and operators of them."""

from typing import Any

from ..tensor import Tensor
from .dropout import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .index import *  # noqa: F403
from .loss import *  # noqa: F403
from .reduce import *  # noqa: F403
from .shape import *  # noqa: F403
from .softmax import *  # noqa: F403

# Methods of Tensor: the public function of that name with the tensor as its first argument.
METHODS = """
neg
chunk clone contiguous flatten movedim narrow roll split squeeze swapaxes transpose tril triu unbind unflatten unsqueeze
all amax amin any argmax argmin logsumexp max mean min prod std sum var
log_softmax softmax
gather index_add index_select scatter scatter_add take_along_dim
"""

# Methods that take a list of numbers or the numbers themselves: x.reshape(2, 3), x.reshape((2, 3)).
SPREADING_METHODS = """
broadcast_to expand flip permute repeat reshape tile
"""

OPERATORS = {
    "__neg__": "neg",
    "__getitem__": "getitem",
}


def _spreading(function: Any) -> Any:
    def method(self: Tensor, *numbers: Any) -> Any:
        return function(self, numbers[0] if len(numbers) == 1 else numbers)

    method.__name__, method.__doc__ = function.__name__, function.__doc__
    return method



def _attach() -> None:
    for name in METHODS.split():
        setattr(Tensor, name, globals()[name])
    for name in SPREADING_METHODS.split():
        setattr(Tensor, name, _spreading(globals()[name]))
    for operator, name in OPERATORS.items():
        setattr(Tensor, operator, globals()[name])


_attach()
