"""Taping on and off in every way that PyTorch has, and what grad() says of inputs that were not used."""

import numpy as np
import pytest
from support import randn

import nnkern
from nnkern import Tensor


def taped():
    return (Tensor([1.0], requires_grad=True) * 2).requires_grad


def test_decorators_with_and_without_brackets():
    switched = lambda f: nnkern.set_grad_enabled(False)(f)  # noqa: E731
    for off in (nnkern.no_grad, nnkern.no_grad(), nnkern.inference_mode(), switched):
        function = off(taped)
        assert taped(), off
        assert not function(), off
        assert taped(), off
        assert function.__name__ == "taped"
    with nnkern.no_grad():
        for on in (nnkern.enable_grad, nnkern.enable_grad(), nnkern.inference_mode(False)):
            assert on(taped)()
        assert not taped()

    @nnkern.no_grad
    def numbers():
        yield taped()
        yield taped()

    assert list(numbers()) == [False, False]


def test_set_grad_enabled_as_a_statement():
    nnkern.set_grad_enabled(False)
    try:
        assert not taped()
        with nnkern.set_grad_enabled(True):
            assert taped()
        assert not taped()
    finally:
        nnkern.set_grad_enabled(True)
    assert taped()
    again = nnkern.set_grad_enabled(False)
    for _ in range(2):
        with again:
            assert not taped()
        assert taped()


def test_nesting_survives_exceptions():
    with nnkern.no_grad():
        with pytest.raises(KeyError), nnkern.enable_grad(), nnkern.no_grad():
            raise KeyError
        assert not nnkern.is_grad_enabled()
    assert nnkern.is_grad_enabled()


def test_materialize_grads():
    x, z = Tensor(randn(2), requires_grad=True), Tensor(randn(3, dtype=np.float64), requires_grad=True)
    gx, gz = nnkern.grad((x * 2).sum(), (x, z), materialize_grads=True)
    assert gx.tolist() == [2, 2]
    assert gz.tolist() == [0, 0, 0]
    assert gz.dtype == np.float64
    assert nnkern.grad((x * 2).sum(), (x, z), allow_unused=True)[1] is None
    with pytest.raises(RuntimeError, match="was not used"):
        nnkern.grad((x * 2).sum(), (x, z))
    with pytest.raises(ValueError, match="materialize_grads needs allow_unused"):
        nnkern.grad((x * 2).sum(), (x, z), allow_unused=False, materialize_grads=True)
