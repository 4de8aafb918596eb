"""torch.nn.functional's names: `import nnkern.functional as F`. They are the functions of nnkern.ops, no others."""

from .ops import *
