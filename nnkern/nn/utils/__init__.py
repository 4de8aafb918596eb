"""torch.nn.utils: packed sequences (rnn), the clipping of gradients, parameters computed from others (parametrize)."""

from . import parametrizations, parametrize, rnn
from .clip_grad import clip_grad_norm_, clip_grad_value_

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parametrizations", "parametrize", "rnn"]
