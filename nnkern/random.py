"""The one source of random numbers: a counter-based generator (Philox), seeded by manual_seed.

What draws from it: nn.init, dropout, shuffling, nnkern.rand and randn. NumPy's global state stays untouched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_generator: np.random.Generator | None = None  # made on first use: numpy.random takes 10 ms to import


def manual_seed(seed: int | None) -> None:
    """Makes all random numbers that follow repeatable."""
    global _generator
    from numpy.random import Generator, Philox

    if seed is not None and (not hasattr(seed, "__index__") or seed < 0):
        raise ValueError(f"manual_seed: seed must be a whole number that is not negative, got {seed!r}")
    _generator = Generator(Philox(seed))


def generator() -> np.random.Generator:
    """The generator in use."""
    if _generator is None:
        manual_seed(None)
    assert _generator is not None
    return _generator


def get_state() -> Any:
    """Where the generator stands; set_state goes back there."""
    return generator().bit_generator.state


def set_state(state: Any) -> None:
    generator().bit_generator.state = state


def next_seed() -> int:
    """A fresh 63-bit number for a kernel that makes random numbers of its own."""
    return generator().bit_generator.random_raw() >> 1
