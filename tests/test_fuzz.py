"""Random inputs to the public functions: a result, or a clear error; never a crash. NNKERN_FUZZ_SECONDS sets the budget."""

import os
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nnkern
from nnkern.backends.reference import activation, elementwise

SECONDS = float(os.environ.get("NNKERN_FUZZ_SECONDS", "6"))
DTYPES = ["float32"] * 4 + [
    "float64",
    "int64",
    "int32",
    "uint8",
    "bool",
    "float16",
    "complex64",
    "object",
    "datetime64[s]",
]
SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40, 3e38]


@st.composite
def arrays(draw, max_dims=4):
    """An array of random shape, dtype and strides (transposed, reversed, sliced, broadcast, misaligned)."""
    shape = draw(st.lists(st.sampled_from([0, 1, 1, 2, 3, 4, 7, 8, 17, 33]), max_size=max_dims))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    g = np.random.default_rng(draw(st.integers(0, 1000)))
    x = g.standard_normal(shape) * 3
    if x.size and draw(st.booleans()):
        x.flat[draw(st.integers(0, x.size - 1))] = draw(st.sampled_from(SPECIAL))
    with np.errstate(all="ignore"):
        x = np.asarray(x).astype("int64").astype(dtype) if dtype.kind == "M" else np.asarray(x).astype(dtype)
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(
            st.sampled_from(["transpose", "reverse", "slice", "broadcast", "readonly", "misalign", "swap"])
        )
        if kind == "transpose":
            x = x.T
        elif kind == "reverse":
            x = x[..., ::-1] if x.ndim else x
        elif kind == "slice":
            x = x[::2] if x.ndim else x
        elif kind == "broadcast":
            x = np.broadcast_to(x, (draw(st.sampled_from([1, 2, 3])), *x.shape))
        elif kind == "misalign" and x.dtype.kind in "fiu" and x.size:
            raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view()
            raw[:] = np.frombuffer(np.ascontiguousarray(x).tobytes(), np.uint8)
            x = raw.view(x.dtype).reshape(x.shape)
        elif kind == "swap" and x.dtype.kind in "fi":
            x = x.astype(x.dtype.newbyteorder())
        elif kind == "readonly":
            x = x.view()
            x.flags.writeable = False
        x = np.asarray(x)
    return x


anything = st.one_of(
    arrays(),
    arrays(),
    arrays(),
    st.floats(width=32),
    st.integers(-5, 5),
    st.none(),
    st.just([1.0, 2.0]),
    st.text(max_size=3),
)
dims = st.one_of(st.none(), st.integers(-5, 5), st.lists(st.integers(-4, 4), max_size=3).map(tuple))

UNARY = [n for n in (*elementwise.UNARY, *activation.UNARY) if n != "gelu_tanh"]
BINARY = ["add", "sub", "mul", "div", "maximum", "minimum", "pow", "eq", "lt", "matmul", "outer", "mv", "bmm"]
REDUCE = ["sum", "mean", "prod", "amax", "amin", "argmax", "var", "std", "any", "logsumexp"]
FINE = (ValueError, TypeError, IndexError, MemoryError)


def call(name, *args, **options):
    """The function's result, or None if it refused its input with an error that says something."""
    before = [a.copy() if isinstance(a, np.ndarray) and a.dtype != object else None for a in args]
    try:
        with np.errstate(all="ignore"):
            y = getattr(nnkern, name)(*args, **options)
    except FINE as e:
        assert str(e), f"{name}: {type(e).__name__} without a word"
        return None
    for a, b in zip(args, before):
        if b is not None:
            np.testing.assert_array_equal(a, b, err_msg=f"{name} changed its input")
    return y


def check_unary(data):
    name, x = data.draw(st.sampled_from(UNARY)), data.draw(anything)
    y = call(name, x)
    if isinstance(x, np.ndarray) and y is not None:
        assert y.shape == x.shape


def check_binary(data):
    name, x, y = data.draw(st.sampled_from(BINARY)), data.draw(anything), data.draw(anything)
    z = call(name, x, y)
    if name in ("add", "eq") and isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and z is not None:
        expected = x + y if name == "add" else x == y
        np.testing.assert_allclose(np.asarray(z, expected.dtype), expected, rtol=1e-6, atol=1e-37)


def check_reduce(data):
    name, x = data.draw(st.sampled_from(REDUCE)), data.draw(anything)
    y = call(name, x, data.draw(dims), data.draw(st.booleans()))
    assert y is None or isinstance(y, (np.ndarray, np.generic, float, int))


def check_shape(data):
    x, n = data.draw(anything), st.integers(-4, 6)
    name = data.draw(
        st.sampled_from(
            ["reshape", "permute", "transpose", "squeeze", "unsqueeze", "flip", "expand", "split", "roll"]
        )
    )
    if name == "transpose":
        call(name, x, data.draw(n), data.draw(n))
    elif name in ("squeeze", "unsqueeze", "split"):
        call(name, x, data.draw(n))
    else:
        call(name, x, data.draw(st.lists(n, max_size=4).map(tuple)))


def check_index(data):
    x, axis = data.draw(anything), data.draw(st.integers(-4, 4))
    index = np.array(data.draw(st.lists(st.integers(-9, 40), max_size=5)), np.int64)
    name = data.draw(
        st.sampled_from(["index_select", "gather", "cat", "stack", "where", "clamp", "pad", "getitem"])
    )
    if name == "index_select":
        call(name, x, axis, index)
    elif name == "gather":
        call(
            name,
            x,
            axis,
            index.reshape((1,) * (getattr(x, "ndim", 1) - 1) + (-1,))
            if hasattr(x, "ndim") and x.ndim
            else index,
        )
    elif name in ("cat", "stack"):
        call(name, [x, data.draw(anything)], axis)
    elif name == "where":
        call(name, data.draw(anything), x, data.draw(anything))
    elif name == "clamp":
        call(name, x, data.draw(st.floats(-2, 0)), data.draw(st.floats(0, 2)))
    elif name == "pad":
        call(name, x, data.draw(st.lists(st.integers(-3, 5), max_size=5)))
    elif hasattr(x, "shape"):
        call(name, x, tuple(index[:2].tolist()))


def check_training(data):
    x, w, b, t = (data.draw(anything) for _ in range(4))
    name = data.draw(
        st.sampled_from(["linear", "softmax", "log_softmax", "cross_entropy", "addmm", "mse_loss"])
    )
    if name == "linear":
        call(name, x, w, b)
    elif name in ("softmax", "log_softmax"):
        call(name, x, data.draw(st.integers(-5, 5)))
    elif name == "addmm":
        call(name, b, x, w)
    else:
        call(name, x, t)


@pytest.mark.parametrize(
    "check", [check_unary, check_binary, check_reduce, check_shape, check_index, check_training]
)
def test_any_input_is_survived(check):
    end = time.monotonic() + SECONDS / 6

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def run(data):
        check(data)

    while time.monotonic() < end:
        run()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: nnkern.softmax(x, "a"), "softmax: axis must be an int, got str"),
        (lambda x: nnkern.softmax(x, 2**70), f"softmax: axis must be an int, got {2**70}"),
        (lambda x: nnkern.layer_norm(x, 3, eps={}), "layer_norm: eps must be a number, got dict"),
        (lambda x: nnkern.avg_pool1d(x, 2, ceil_mode="a"), "avg_pool1d: ceil_mode must be a bool, got str"),
        (lambda x: nnkern.sum(x, "a"), "sum: axes must be an int or a list or tuple of at most 64 ints"),
        (lambda x: nnkern.layer_norm(x, (1, [])), "layer_norm: normalized_shape must be an int or a list"),
        (lambda x: nnkern.pad(x, (1, 2**70)), "pad: pads must be an int or a list"),
    ],
)
def test_options_of_another_kind_are_named(call, message):
    with pytest.raises(TypeError, match=message):
        call(np.ones((2, 3), np.float32))
