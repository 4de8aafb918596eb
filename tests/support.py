"""What every op's test needs: random arrays, one table of tolerances, the three questions of a correct op.

1. Is the reference right?   `check_torch` (and typed-in cases in the op's own test)
2. Is its backward right?    `check_gradient`: one random direction, central differences, float64
3. Does every ISA equal it?  `check_kernels`: each ISA of this CPU, float32 and float64, with outputs poisoned by NaN
"""

import os

import numpy as np

from nnkern import _cpu, backends

# The sanitized run names the best one: see .ci/run.
ISAS = (os.environ.get("NNKERN_TEST_ISAS") or _cpu.available_isas()).split()
DTYPES = (np.float32, np.float64)
# One element below and above each vector width (1, 2, 4, 8, 16), and a few unrolled blocks.
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 130, 1000)

# Allowed error in units of eps(dtype) * scale * sqrt(n), n the length of the longest sum behind one element.
# scale is max |expected|, since a sum's rounding errors are relative to its largest terms, not to its result.
TOLERANCE = {
    "exact": 0,  # copies, comparisons, max: no arithmetic
    "sum": 4,  # products and sums in any order; random rounding errors grow with sqrt(n)
    "math": 4,  # exp, log, tanh...: documented <= 2.5 ulp, against NumPy's own <= 1 ulp
    "chain": 16,  # several of the above in a row (softmax, variance, losses)
}


def rng(*seed):
    return np.random.default_rng([20261121, *seed])


def randn(*shape, dtype=np.float32, seed=0):
    return rng(seed, *shape).standard_normal(shape).astype(dtype)


def assert_close(actual, expected, kind="sum", n=1, note=""):
    """Equal within the table; NaN and Inf must stand in the same places."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{note}: shape {actual.shape}, expected {expected.shape}"
    assert actual.dtype == expected.dtype, f"{note}: dtype {actual.dtype}, expected {expected.dtype}"
    if actual.dtype.kind in "biu" or kind == "exact":
        np.testing.assert_array_equal(actual, expected, err_msg=note)
        return
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite], err_msg=note)
    scale = max(1e-30, float(np.max(np.abs(expected[finite]), initial=0)))
    bound = TOLERANCE[kind] * np.finfo(actual.dtype).eps * scale * max(1, n) ** 0.5
    error = np.abs(actual[finite].astype(np.float64) - expected[finite].astype(np.float64))
    worst = float(np.max(error, initial=0))
    assert worst <= bound, f"{note}: error {worst:.3g} > {bound:.3g} ({kind}, n={n}, scale={scale:.3g})"


def each_isa():
    """for isa in each_isa(): runs the body under every ISA of this CPU and restores the choice."""
    before = _cpu.isa()
    try:
        for isa in ISAS:
            _cpu.set_isa(isa)
            assert _cpu.isa() == isa
            yield isa
    finally:
        _cpu.set_isa(before)


def _cast(value, dtype):
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(dtype)
    return value


def _tuple(y):
    return y if isinstance(y, tuple) else (y,)


def check_kernels(name, *args, kind="sum", n=1, dtypes=DTYPES, **options):
    """_cpu.<name> equals reference.<name> on every ISA and dtype; its inputs stay as they were."""
    reference = getattr(backends.load("reference"), name)
    kernel = getattr(_cpu, name)
    for dtype in dtypes:
        typed = [_cast(a, dtype) for a in args]
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in typed]
        expected = _tuple(reference(*typed, **options))
        for isa in each_isa():
            _cpu.set_poison(True)
            try:
                actual = _tuple(kernel(*typed, **options))
            finally:
                _cpu.set_poison(False)
            note = f"{name} {isa} {np.dtype(dtype).name} shapes={[getattr(a, 'shape', a) for a in typed]} {options}"
            assert len(actual) == len(expected), note
            for a, e in zip(actual, expected):
                assert_close(a, e, kind, n, note)
            for a, b in zip(typed, before):
                if isinstance(a, np.ndarray):
                    np.testing.assert_array_equal(a, b, err_msg=f"{note}: an input was changed")


def check_gradient(f, *arrays, seed=0, eps=1e-6, rtol=1e-6):
    """backward of f equals central differences along one random direction, in float64 (any number of inputs)."""
    from nnkern import Tensor

    arrays = [np.asarray(a, np.float64) for a in arrays]
    g = rng(seed, 77)
    tensors = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    y = f(*tensors)
    gy = g.standard_normal(y.shape)
    y.backward(gy)
    directions = [g.standard_normal(a.shape) for a in arrays]
    analytic = sum(
        float(np.sum(t.grad.numpy() * d)) for t, d in zip(tensors, directions) if t.grad is not None
    )
    plus = f(*[Tensor(a + eps * d) for a, d in zip(arrays, directions)]).data
    minus = f(*[Tensor(a - eps * d) for a, d in zip(arrays, directions)]).data
    numeric = float(np.sum((plus - minus) * gy)) / (2 * eps)
    scale = max(1.0, abs(numeric), abs(analytic))
    assert abs(analytic - numeric) <= rtol * scale * 10, (
        f"analytic {analytic}, numeric {numeric}, seed={seed}"
    )


def check_torch(f, torch_f, *arrays, kind="sum", n=1, dtypes=DTYPES, gradients=True):
    """f on Tensors equals torch_f on torch tensors: value and all gradients. Skips without torch."""
    import pytest

    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    from nnkern import Tensor

    for dtype in dtypes:
        typed = [_cast(a, dtype) for a in arrays]
        is_float = [isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in typed]
        ours = [Tensor(a.copy(), requires_grad=gradients) if fl else a for a, fl in zip(typed, is_float)]
        theirs = [
            torch.tensor(a, requires_grad=gradients and fl) if isinstance(a, np.ndarray) else a
            for a, fl in zip(typed, is_float)
        ]
        y, ty = f(*ours), torch_f(*theirs)
        note = f"{getattr(f, '__name__', f)} {np.dtype(dtype).name} shapes={[getattr(a, 'shape', a) for a in typed]}"
        assert_close(y.data, ty.detach().numpy(), kind, n, note)
        if not gradients:
            continue
        gy = randn(*y.shape, dtype=dtype, seed=5)
        y.backward(gy)
        ty.backward(torch.tensor(gy))
        for i, (a, b) in enumerate(zip(ours, theirs)):
            if is_float[i] and b.grad is not None:
                assert_close(a.grad.numpy(), b.grad.numpy(), kind, n, f"{note} gradient of input {i}")
