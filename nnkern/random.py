"""The one source of random numbers: a counter-based generator (Philox), seeded by manual_seed.

What draws from it: nn.init, dropout, shuffling, nnkern.rand and randn. NumPy's global state stays untouched.
"""

from __future__ import annotations

import numpy as np

_generator = np.random.Generator(np.random.Philox())


def manual_seed(seed: int) -> None:
    """Makes all random numbers that follow repeatable."""
    global _generator
    _generator = np.random.Generator(np.random.Philox(seed))


def generator() -> np.random.Generator:
    """The generator in use."""
    return _generator


def get_state() -> dict:
    """Where the generator stands; set_state goes back there."""
    return _generator.bit_generator.state


def set_state(state: dict) -> None:
    _generator.bit_generator.state = state


def next_seed() -> int:
    """A fresh 63-bit number for a kernel that makes random numbers of its own."""
    return _generator.bit_generator.random_raw() >> 1
