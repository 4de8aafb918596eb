"""What no function can take: the error is a TypeError or ValueError (IndexError for places) that names the function."""

import inspect
import re

import numpy as np
import pytest
from support import randn

import nnkern
import nnkern.functional as F
from nnkern import Tensor

FUNCTIONS = [n for n in dir(F) if not n.startswith("_") and inspect.isfunction(getattr(F, n))]
WRONG = {
    "None": None, "str": "abc", "dict": {}, "complex": np.ones((2, 3, 4, 4), complex),
    "object": np.ones((2, 3, 4, 4), object), "float16": np.ones((2, 3, 4, 4), np.float16),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_of_the_wrong_kind(name):
    function = getattr(F, name)
    parameters = inspect.signature(function).parameters.values()
    required = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    for i, p in enumerate(required):
        for kind, wrong in WRONG.items():
            args = [randn(2, 3, 4, 4) for _ in required]
            args[i] = wrong
            for wrap in (lambda a: a, Tensor):
                given = [a if j == i else wrap(a) for j, a in enumerate(args)]
                try:
                    function(*given)
                except (TypeError, ValueError, IndexError) as e:
                    assert re.match(r"[a-z_0-9]+: ", str(e)), (p.name, kind, e)


NAMED = (
    (lambda: F.prelu(randn(3), None), "prelu: weight must not be None"),
    (lambda: F.prelu(None, randn(1)), "prelu: x must be .* got NoneType"),
    (lambda: F.permute(randn(2, 3), None), "permute: dims must not be None"),
    (lambda: F.narrow(randn(2, 3), 0, None, 1), "narrow: start must be an int, got NoneType"),
    (lambda: F.pixel_shuffle(randn(1, 4, 2, 2), "2"), "pixel_shuffle: upscale_factor must be an int, got str"),
    (lambda: F.hardtanh(None), "hardtanh: x must be .* got NoneType"),
    (lambda: F.rope("x"), "rope: x must not be of type str"),
    (lambda: F.masked_fill(randn(2), np.array([True, False]), None), "masked_fill: value must be .* got NoneType"),
    (lambda: F.mse_loss(randn(2), np.ones(2, complex)), "mse_loss: .*target must be .* got complex128"),
    (lambda: F.softmin(None), "softmin: neg: x must be"),
    (lambda: nnkern.zeros_like(None), "zeros_like: expected an array or Tensor, got NoneType"),
    (lambda: nnkern.grad(None, Tensor(randn(2))), "grad: outputs must be a Tensor or several, got NoneType"),
    (lambda: nnkern.grad(Tensor(randn(1), requires_grad=True).sum(), "w"), "grad: inputs must be a Tensor or several, got str"),
    (lambda: nnkern.save(randn(3), "x"), "save: state_dict must map names to arrays, got ndarray"),
    (lambda: F.split(randn(3)), r"split\(\) missing 1 required"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "text"), NAMED, ids=[t for _, t in NAMED])
def test_the_argument_is_named(call, text):
    with pytest.raises(TypeError, match=text):
        call()


H = np.float16
IMAGE, FILTER = randn(1, 2, 4, 4), randn(3, 2, 3, 3)
PUBLIC = (  # kernels call them x, w, b and gy
    ("linear", "weight", lambda f: f(randn(2, 3), randn(4, 3).astype(H))),
    ("linear", "bias", lambda f: f(randn(2, 3), randn(4, 3), randn(4).astype(H))),
    ("conv2d", "input", lambda f: f(IMAGE.astype(H), FILTER)),
    ("conv2d", "weight", lambda f: f(IMAGE, FILTER.astype(H))),
    ("conv2d", "bias", lambda f: f(IMAGE, FILTER, randn(3).astype(H))),
    ("conv2d_input_grad", "grad_output", lambda f: f((1, 2, 4, 4), FILTER, randn(1, 3, 2, 2).astype(H))),
    ("batch_norm", "weight", lambda f: f(IMAGE, None, None, randn(2).astype(H), training=True)),
    ("instance_norm", "input", lambda f: f(IMAGE.astype(H))),
    ("group_norm", "bias", lambda f: f(IMAGE, 2, randn(2), randn(2).astype(H))),
    ("layer_norm", "input", lambda f: f(IMAGE.astype(H), 4)),
    ("rms_norm", "weight", lambda f: f(IMAGE, 4, randn(4).astype(H))),
    ("embedding", "weight", lambda f: f([0], randn(2, 3).astype(H))),
    ("max_pool2d", "input", lambda f: f(IMAGE.astype(H), 2)),
)  # fmt: skip


@pytest.mark.parametrize(("name", "argument", "call"), PUBLIC, ids=[f"{n}-{a}" for n, a, _ in PUBLIC])
def test_arrays_go_by_their_public_names(name, argument, call):
    with pytest.raises(TypeError, match=f"^{name}: {argument} must be a float32, .* array, got float16"):
        call(getattr(nnkern, name))


def test_dtypes_that_differ_go_by_their_public_names():
    x, w = randn(2, 3), randn(4, 3, 3)
    for call, text in (
        (lambda: F.bilinear(x, x, w.astype(float)), "bilinear: input1 is float32 but weight is float64"),
        (lambda: F.bilinear(x, x.astype(float), w), "bilinear: input1 is float32 but input2 is float64"),
        (lambda: F.prelu(x, np.ones(1)), "prelu: x is float32 but weight is float64"),
        (lambda: F.conv2d(IMAGE, FILTER, np.ones(3)), "conv2d: input is float32 but bias is float64"),
        (lambda: F.rms_norm(x.astype(int), 3), "rms_norm: input is int64; float32 or float64 is needed"),
        (lambda: Tensor(x).clamp("a"), "clamp: expected an array or Tensor, got str"),
        (lambda: Tensor(x) < "a", "lt: expected an array or Tensor, got str"),
    ):
        with pytest.raises(TypeError, match=f"^{text}"):
            call()
    with pytest.raises(ValueError, match="^binary_cross_entropy: .* must lie between 0 and 1"):
        F.binary_cross_entropy(x + 2, x)


def test_a_users_own_error_stays_whole():
    def distance(x, y):
        return x.no_such_method()

    with pytest.raises(AttributeError, match="no_such_method"):
        F.triplet_margin_with_distance_loss(randn(2, 3), randn(2, 3), randn(2, 3), distance_function=distance)

    def broken(x, y):
        raise TypeError("mine")

    with pytest.raises(TypeError, match="^mine$"):
        F.triplet_margin_with_distance_loss(randn(2, 3), randn(2, 3), randn(2, 3), distance_function=broken)
