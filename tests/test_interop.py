"""Arrays of others: torch tensors and DLPack in and out, read-only arrays, and what is refused."""

import inspect
import itertools
from functools import partial

import numpy as np
import pytest
from support import randn

import nnkern
import nnkern.functional as F
from nnkern import Tensor


def test_the_kind_that_comes_in_goes_out():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    a, t = randn(3, 4), torch.tensor(randn(3, 4))
    assert type(nnkern.exp(a)) is np.ndarray
    for y in (nnkern.exp(t), nnkern.matmul(t, t.T), nnkern.add(t, a), nnkern.sum(t, 1), nnkern.softmax(t, 1)):
        assert isinstance(y, torch.Tensor)
    assert isinstance(nnkern.add(Tensor(a), t), Tensor) and isinstance(nnkern.add(t, Tensor(a)), Tensor)
    torch.testing.assert_close(nnkern.exp(t), torch.exp(t))
    torch.testing.assert_close(nnkern.exp(t.T), torch.exp(t.T))


def test_torch_memory_is_shared_not_copied():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    t = torch.zeros(3)
    x = Tensor(t)
    t[0] = 7
    assert x[0].item() == 7
    y = nnkern.exp(t)
    y[0] = -1  # an ordinary torch tensor
    assert y[0] == -1


def test_torch_graphs_are_not_cut_silently():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(TypeError, match=r"exp: a torch tensor that requires grad.*detach"):
        nnkern.exp(torch.zeros(3, requires_grad=True))
    with torch.no_grad():  # there is none to cut
        assert nnkern.exp(torch.zeros(3, requires_grad=True)).tolist() == [1, 1, 1]


class Exporter:
    """Something with DLPack and nothing else."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_dlpack_and_array_interface():
    a = randn(3, 4)
    np.testing.assert_array_equal(nnkern.neg(Exporter(a)), -a)
    np.testing.assert_array_equal(nnkern.neg(memoryview(a)), -a)
    np.testing.assert_array_equal(nnkern.add(a, np.float32(2)), a + 2)


class OnGpu:
    __cuda_array_interface__ = {"shape": (3,), "typestr": "<f4", "data": (0, False), "version": 3}


def test_what_is_refused():
    with pytest.raises(TypeError, match="exp: this build of nnkern has no kernels on 'cuda'"):
        nnkern.exp(OnGpu())
    for bad in ([1.0], "x", None, {}, object()):
        with pytest.raises(TypeError):
            nnkern.exp(bad)
        with pytest.raises(TypeError):
            nnkern.matmul(randn(2, 2), bad)


def test_read_only_and_foreign_byte_order():
    a = randn(4, 5)
    a.flags.writeable = False
    np.testing.assert_array_equal(nnkern.neg(a), -a)
    np.testing.assert_array_equal(nnkern.neg(a.astype(">f4")), -a)
    raw = np.zeros(a.nbytes + 1, np.uint8)
    odd = raw[1:].view(np.float32).reshape(4, 5)  # not aligned
    odd[...] = a
    np.testing.assert_array_equal(nnkern.matmul(odd, a.T), nnkern.matmul(a, a.T))
    with pytest.raises(ValueError, match="read-only"):
        Tensor(a).add_(1.0)


def test_views_that_torch_has_not_are_copied_for_it():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    t = torch.arange(6.0).reshape(2, 3)
    assert nnkern.flip(t, (1,)).tolist() == [[2, 1, 0], [5, 4, 3]]
    assert nnkern.getitem(t, (slice(None), slice(None, None, -2))).tolist() == [[2, 0], [5, 3]]
    assert isinstance(nnkern.one_hot(torch.tensor([1, 0])), torch.Tensor)
    turned = Tensor(randn(2, 3)[:, ::-1])
    with pytest.raises(BufferError, match="negative strides"):
        torch.from_dlpack(turned)  # it ended the process
    np.testing.assert_array_equal(torch.from_dlpack(turned.clone()), turned.data)


def test_torch_tensors_that_are_no_plain_arrays():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for t in (
        torch.ones(2, dtype=torch.bfloat16),
        torch.eye(2).to_sparse(),
        torch.ones(2, dtype=torch.complex64).conj(),
    ):
        with pytest.raises(TypeError, match="exp: a torch tensor of"):
            nnkern.exp(t)


def argument_lists(function):
    """Some arguments of every kind for function: most don't fit."""
    arrays = [
        abs(randn(2, 3, 4, 4)), abs(randn(3, 3)), abs(randn(3)), np.array([0, 1, 2]), np.zeros((3, 3), np.int64),
        np.array([True, False, True]), abs(randn(2, 3, 4)), 2, (1, 1), (1, 1, 2, 2), (2, 3, 4, 5), abs(randn(2, 2, 3)),
        abs(randn(2, 4, 4, 2)),
    ]  # fmt: skip
    kinds = {"int": [1, 2], "float": [2.0], "str": ["mean", "sum"], "bool": [True]}
    parameters = inspect.signature(function).parameters.values()
    required = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    lists = itertools.product(*[kinds.get(p.annotation, arrays) for p in required])
    return [a for a in itertools.islice(lists, 2000) if any(isinstance(x, np.ndarray) for x in a)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [n for n in dir(F) if n[0] != "_" and inspect.isfunction(getattr(F, n))])
def test_what_takes_arrays_takes_torch_tensors(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    function, done = getattr(F, name), 0
    if name in (
        "interpolate",
        "upsample",
        "upsample_nearest",
        "upsample_bilinear",
    ):  # which need one of two options
        function = partial(function, size=2)
    for args in argument_lists(getattr(F, name)):
        nnkern.manual_seed(0)
        try:
            y = function(*[a.copy() if isinstance(a, np.ndarray) else a for a in args])
        except (TypeError, ValueError, IndexError):
            continue
        nnkern.manual_seed(0)
        z = function(*[torch.tensor(a) if isinstance(a, np.ndarray) else a for a in args])
        if isinstance(y, np.ndarray):
            assert isinstance(z, torch.Tensor) and str(z.dtype) == f"torch.{y.dtype}"
            np.testing.assert_array_equal(z, y)
        done += 1
        if done == 3:
            break


def test_numpy_scalars_are_numbers():
    for dtype in (np.float32, np.float64):
        x = randn(3).astype(dtype)
        for number in (np.float32(2), np.float64(2), np.int64(2), np.int32(2), np.uint8(2), 2):
            for y in (nnkern.mul(x, number), (number * Tensor(x)).data, (Tensor(x) * number).data):
                assert y.dtype == dtype, (dtype, type(number))
                np.testing.assert_array_equal(y, x * dtype(2))
    assert nnkern.add(np.arange(3), np.float32(0.5)).dtype == np.float32
    assert nnkern.exp(np.float64(0)) == nnkern.exp(np.float32(0)) == 1
    assert nnkern.mse_loss(np.float32(1), np.float32(3)) == 4  # arrays without dims elsewhere
    assert nnkern.where(np.bool_(True), np.float32(1), np.zeros(2, np.float32)).tolist() == [1, 1]
    assert (Tensor(randn(3).astype(float)) > np.float32(9)).tolist() == [False] * 3


def test_byte_order():
    x = randn(2, 3).astype(">f4")
    np.testing.assert_allclose(nnkern.exp(x), np.exp(x), rtol=1e-6)
    expected = np.maximum(x, 0)
    assert nnkern.relu_(x) is x
    np.testing.assert_array_equal(x, expected)


def test_masked_arrays_are_refused_everywhere():
    x = np.ma.array(randn(2, 3), mask=[[1, 0, 0], [0, 0, 0]])
    index, t = np.ma.array([0, 1], mask=[1, 0]), Tensor(randn(2, 3))
    calls = {
        "relu": lambda: F.relu(x),
        "add": lambda: t + x,
        "sum": lambda: F.sum(x),
        "linear": lambda: F.linear(t, x),
        "matmul": lambda: F.matmul(x, randn(3, 2)),
        "mse_loss": lambda: F.mse_loss(t, x),
        "cross_entropy": lambda: F.cross_entropy(t, index),
        "embedding": lambda: F.embedding(index, t),
        "one_hot": lambda: F.one_hot(index),
        "getitem": lambda: t[index],
        "masked_select": lambda: F.masked_select(t, x > 0),
        "repeat_interleave": lambda: F.repeat_interleave(t, index, 0),
        "index_copy": lambda: F.index_copy(t, 0, index, t),
        "data": lambda: setattr(t, "data", x),
        "Tensor": lambda: Tensor(x),
    }
    for name, call in calls.items():
        with pytest.raises(
            TypeError, match=rf"{name}: .*a masked array's mask would be lost; pass x.filled\(value\)"
        ):
            call()
    assert F.relu(x.filled(0)).shape == (2, 3)

    class Mine(np.ndarray):
        pass

    assert F.relu(np.ones(2).view(Mine)).tolist() == [1, 1]  # other kinds of ndarray are arrays
