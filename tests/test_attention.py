"""Attention: options crossed against PyTorch and the definition, masks that hide NaN, caches, positions."""

import itertools

import numpy as np
import pytest
from support import DTYPES, assert_close, check_gradient, check_kernels, check_torch, each_isa, randn, rng

import nnkern
import nnkern as F
from nnkern import Tensor, _cpu, backends, nn

torch = pytest.importorskip("torch")
sdpa = F.scaled_dot_product_attention
# (B, H, J, L, S, D, E)
SHAPES = [
    (2, 3, 3, 5, 7, 8, 6), (1, 2, 2, 1, 9, 16, 16), (2, 4, 2, 33, 40, 24, 24), (1, 1, 1, 64, 64, 64, 64),
    (1, 2, 1, 70, 131, 17, 33), (1, 2, 2, 129, 300, 8, 8), (2, 5, 1, 1, 37, 24, 70), (2, 2, 2, 4, 150, 20, 16),
]  # fmt: skip


def qkv(b, h, j, rows, keys, d, e, dtype=np.float32):
    return (
        randn(b, h, rows, d, dtype=dtype), randn(b, j, keys, d, dtype=dtype, seed=1),
        randn(b, j, keys, e, dtype=dtype, seed=2),
    )  # fmt: skip


def masks(kind, b, h, rows, keys):
    g = rng(3, rows, keys)
    if kind == "bool":
        mask = g.random((rows, keys)) > 0.4
        mask[:, 0] = True
        return mask
    if kind == "padding":
        return np.arange(keys) < g.integers(1, keys + 1, b)[:, None, None, None]
    if kind == "float":
        return g.standard_normal((h, rows, keys)).astype(np.float32)
    return None


@pytest.mark.parametrize("kind", ["none", "causal", "bool", "padding", "float"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_torch(shape, kind):
    b, h, j, rows, keys, _, _ = shape
    if rows == 1 and kind == "causal":
        pytest.skip("one key: gradients are rounding errors")
    mask = masks(kind, b, h, rows, keys)

    def call(f, convert):
        def run(q, k, v):
            m = (
                mask
                if mask is None or mask.dtype == bool
                else mask.astype(str(q.dtype).removeprefix("torch."))
            )
            return f(
                q, k, v, None if m is None else convert(m), is_causal=kind == "causal", enable_gqa=h != j
            )

        return run

    theirs = call(torch.nn.functional.scaled_dot_product_attention, torch.from_numpy)
    check_torch(call(sdpa, np.asarray), theirs, *qkv(*shape), kind="chain", n=16)


# left, right, offset, softcap, dropout
BANDS = [(-1, -1, 0, 0.0, 0.0), (-1, 0, 0, 0.0, 0.0), (5, 9, 3, 0.0, 0.0), (40, -1, 60, 2.0, 0.0), (-1, -1, 0, 0.0, 0.3),
         (33, 2, 1, 1.5, 0.6)]  # fmt: skip


def options(shape, band, kind):
    b, h, _, rows, keys, _, _ = shape
    left, right, offset, softcap, dropout = band
    mask, lengths = masks(kind, b, h, rows, keys), (None, None)
    if kind == "lengths":
        g = rng(8)
        lengths = g.integers(0, rows + 1, b), g.integers(0, keys + 1, b)
    if mask is not None:
        if mask.dtype != bool:
            mask[rng(9).random(mask.shape) > 0.7] = -np.inf
        mask = np.broadcast_to(mask, (b, h, rows, keys))
    return mask, *lengths, 0.4, left, right, offset, softcap, dropout, 12345


@pytest.mark.parametrize("kind", ["none", "bool", "padding", "float", "lengths"])
@pytest.mark.parametrize("band", BANDS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_kernels_equal_the_definition(shape, band, kind):
    o = options(shape, band, kind)
    check_kernels("attention_forward", *qkv(*shape), *o, kind="chain", n=60)
    reference = backends.load("reference")
    gy = randn(*shape[:2], shape[3], shape[6], seed=3)
    for dtype in DTYPES:
        arrays = [x.astype(dtype) for x in (gy, *qkv(*shape))]
        typed = (None if o[0] is None else o[0] if o[0].dtype == bool else o[0].astype(dtype), *o[1:])
        y, statistics = reference.attention_forward(*arrays[1:], *typed)
        wanted = reference.attention_backward(*arrays, y, statistics, *typed)
        for isa in each_isa():
            _cpu.set_poison(True)
            found = _cpu.attention_backward(*arrays, y, statistics, *typed)
            _cpu.set_poison(False)
            # one scale for all: where a query sees one key, gq and gk are rounding errors
            flat = [np.concatenate([g.ravel() for g in gs]) for gs in (found, wanted)]
            assert_close(*flat, "chain", 200, f"{isa} {np.dtype(dtype)}")


def test_the_same_bits_for_any_number_of_threads():
    shape = (2, 4, 2, 200, 300, 32, 32)
    arrays, gy = qkv(*shape), randn(2, 4, 200, 32, seed=3)
    o = options(shape, (-1, 0, 100, 0.0, 0.2), "none")
    found, before = [], _cpu.num_threads()
    for threads in (1, 2, 3):
        _cpu.set_num_threads(threads)
        y, statistics = _cpu.attention_forward(*arrays, *o)
        found.append([y, statistics, *_cpu.attention_backward(gy, *arrays, y, statistics, *o)])
    _cpu.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("where", ["q", "k", "v", "gy"])
@pytest.mark.parametrize("how", ["causal", "mask", "lengths"])
def test_masked_nan_never_leaks(where, how):
    """What sees no NaN is what it is without NaN; what sees one is NaN."""
    b, rows, keys = 1, 70, 90
    arrays = dict(
        zip(("q", "k", "v"), qkv(b, 2, 1, rows, keys, 8, 8, np.float64)),
        gy=randn(b, 2, rows, 8, dtype=np.float64),
    )
    seen = np.tri(rows, keys, dtype=bool) if how == "causal" else rng(5).random((rows, keys)) > 0.9
    given = {"is_causal": True} if how == "causal" else {"attn_mask": seen}
    place = 60
    if how == "lengths":
        place, seen = (
            69,
            np.broadcast_to(np.arange(keys) < 69, (rows, keys)) & (np.arange(rows)[:, None] < 69),
        )
        given = {"lengths": (np.array([69]), np.array([69]))}

    def run(a):
        q, k, v = (Tensor(a[name], requires_grad=True) for name in "qkv")
        y = sdpa(q, k, v, enable_gqa=True, **given)
        y.backward(a["gy"])
        return y.data, q.grad.data, k.grad.data, v.grad.data

    clean = run(arrays)
    dirty = {name: a.copy() for name, a in arrays.items()}
    dirty[where][:, 0, place] = np.nan
    y, gq, gk, gv = run(dirty)
    bad = seen[:, place] if where in "kv" else (np.arange(rows) == place) & seen.any(1)
    if where != "gy":
        assert np.isnan(y[:, 0, bad]).all()
        np.testing.assert_array_equal(y[:, 0, ~bad], clean[0][:, 0, ~bad])
    assert np.isnan(gq[:, 0, bad]).all()
    assert_close(gq[:, 0, ~bad], clean[1][:, 0, ~bad], "chain", 8)
    touched = seen[bad].any(0)
    assert np.isnan(gk[:, 0, touched]).all() == touched.any() or not touched.any()
    assert np.isfinite(gk[:, 0, ~touched]).all() and np.isfinite(gv[:, 0, ~touched]).all()


def test_padding_that_is_nan_leaks_into_no_second_derivative():
    b, rows, keys = 2, 5, 7
    q, k, v = (x.astype(np.float64) for x in qkv(b, 2, 2, rows, keys, 4, 4, np.float64))
    mask = np.broadcast_to(np.arange(keys) < np.array([7, 4])[:, None, None, None], (b, 1, rows, keys))

    def second(k, v):
        made = [Tensor(x, requires_grad=True) for x in (q, k, v)]
        y = sdpa(*made, attn_mask=mask)
        first = nnkern.grad((y * y).sum(), made, create_graph=True)
        return [g.data for g in nnkern.grad(sum((g * g).sum() for g in first), made)]

    clean = second(k, v)
    k, v = k.copy(), v.copy()
    k[1, :, 4:] = v[1, :, 4:] = np.nan
    for found, wanted in zip(second(k, v), clean, strict=True):
        assert_close(found, wanted, "chain", 8)


@pytest.mark.parametrize("kind", [bool, np.float64])
def test_multi_head_weights_of_padding_that_is_nan(kind):
    layer = nn.MultiheadAttention(8, 2, batch_first=True, dtype=np.float64)
    x = randn(2, 5, 8, dtype=np.float64)
    padding = np.arange(5) >= np.array([5, 3])[:, None]
    padding = padding if kind is bool else np.where(padding, -np.inf, 0.0)
    y, w = layer(Tensor(x), Tensor(x), Tensor(x), key_padding_mask=padding)
    dirty = x.copy()
    dirty[1, 3:] = np.nan
    found, weights = layer(Tensor(x), Tensor(dirty), Tensor(dirty), key_padding_mask=padding)
    np.testing.assert_array_equal(found.data, y.data)
    np.testing.assert_array_equal(weights.data, w.data)


def by_hand(q, k, v, seen, scale, softcap=None):
    s = q @ np.swapaxes(k, -1, -2) * scale
    s = softcap * np.tanh(s / softcap) if softcap else s
    s = np.where(seen, s, -np.inf)
    top = s.max(-1, keepdims=True)
    e = np.exp(s - np.where(np.isinf(top), 0, top))
    return e / np.maximum(e.sum(-1, keepdims=True), 1e-300) @ v


@pytest.mark.parametrize("window, offset", [((3, 0), 0), (4, 2), ((-1, 5), 0), ((0, 0), 6), ((7, -1), 40)])
def test_windows_offsets_and_lengths(window, offset):
    b, rows, keys = 3, 37, 45
    q, k, v = qkv(b, 2, 2, rows, keys, 8, 8, np.float64)
    i, j = np.arange(rows)[:, None] + offset, np.arange(keys)
    left, right = (window, window) if isinstance(window, int) else window
    seen = (j >= i - left if left >= 0 else j >= 0) & (j <= i + right if right >= 0 else j >= 0)
    assert_close(sdpa(q, k, v, window=window, offset=offset), by_hand(q, k, v, seen, 8**-0.5), "chain", 8)
    ql, kl = np.array([37, 5, 0]), np.array([45, 0, 20], np.int32)
    seen = seen & (j < kl[:, None, None, None]) & (np.arange(rows)[:, None] < ql[:, None, None, None])
    y = sdpa(q, k, v, window=window, offset=offset, lengths=(ql, kl))
    assert_close(y, by_hand(q, k, v, seen, 8**-0.5), "chain", 8)


def test_softcap_and_scale():
    q, k, v = qkv(2, 2, 2, 9, 12, 8, 8, np.float64)
    y = sdpa(3 * q, k, v, scale=0.7, softcap=2.5)
    assert_close(y, by_hand(3 * q, k, v, True, 0.7, 2.5), "chain", 8)


OPTIONS = [
    {}, {"is_causal": True}, {"softcap": 1.5}, {"window": (3, 2), "offset": 1}, {"lengths": np.array([4, 20])},
    {"dropout_p": 0.3},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients(options):
    shape = (2, 4, 2, 19, 21, 6, 5)

    def f(q, k, v):
        F.manual_seed(3)
        return sdpa(q, k, v, enable_gqa=True, **options)

    check_gradient(f, *qkv(*shape))
    q, k, v = (Tensor(x[:, :2, :4].astype(np.float64), requires_grad=True) for x in qkv(2, 2, 2, 4, 4, 3, 3))
    options = {**options, "lengths": np.array([2, 4])} if "lengths" in options else options
    assert F.gradgradcheck(lambda *a: f(*a), (q, k, v))


def test_the_gradient_of_an_added_mask():
    q, k, v = qkv(2, 2, 2, 5, 6, 4, 4)
    check_gradient(lambda q, k, v, m: sdpa(q, k, v, m), q, k, v, randn(2, 1, 6, seed=4))


def test_rows_that_see_nothing_are_zero():
    q, k, v = (Tensor(x, requires_grad=True) for x in qkv(1, 2, 2, 40, 50, 8, 8))
    for mask in (np.arange(40)[:, None] % 3 > 0, np.zeros((40, 1), bool)):
        seen = np.broadcast_to(mask, (40, 50))
        for m in (seen, np.where(seen, 0, -np.inf).astype(np.float32)):
            y = sdpa(q, k, v, m)
            y.backward(np.ones_like(y.data))
            empty = ~mask[:, 0]
            assert (y.data[:, :, empty] == 0).all() and (q.grad.data[:, :, empty] == 0).all()
            assert all(np.isfinite(t.grad.data).all() for t in (q, k, v))
            q.grad = k.grad = v.grad = None


def test_dropout_is_seeded_and_unbiased():
    q, k, v = qkv(1, 2, 2, 40, 64, 8, 64)
    v = np.broadcast_to(np.eye(64, dtype=np.float32), v.shape)
    F.manual_seed(1)
    a = sdpa(q, k, v, dropout_p=0.25)
    F.manual_seed(1)
    np.testing.assert_array_equal(a, sdpa(q, k, v, dropout_p=0.25))
    whole = sdpa(q, k, v)
    assert abs((a == 0).mean() - 0.25) < 0.02
    assert_close(a[a != 0], (whole / np.float32(0.75))[a != 0], "chain", 8)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3, 2)], ids=str)
def test_leading_axes(lead):
    q, k, v = randn(*lead, 5, 4), randn(*lead, 6, 4, seed=1), randn(*lead, 6, 3, seed=2)
    theirs = torch.nn.functional.scaled_dot_product_attention
    assert_close(sdpa(q, k, v), theirs(*map(torch.from_numpy, (q, k, v))).numpy(), "chain", 4)
    shared = sdpa(q, k[..., :1, :, :], v) if len(lead) > 1 else sdpa(q, k, v)
    assert shared.shape == (*lead, 5, 3)


def test_kinds_and_layouts():
    q, k, v = qkv(2, 3, 3, 20, 20, 8, 8)
    y = sdpa(q, k, v)
    assert isinstance(sdpa(*map(torch.from_numpy, (q, k, v))), torch.Tensor)
    turned = [np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3) for x in (q, k, v)]
    np.testing.assert_array_equal(sdpa(*turned), y)
    strided = [np.repeat(x, 2, -1)[..., ::2] for x in (q, k, v)]
    np.testing.assert_array_equal(sdpa(*strided), y)
    backward = sdpa(q[..., ::-1, :], k[..., ::-1, :], v[..., ::-1, :])
    assert_close(backward, y[..., ::-1, :], "chain", 8)


@pytest.mark.parametrize("shape", [(0, 2, 2, 3, 3, 4, 4), (1, 2, 2, 0, 3, 4, 4), (1, 2, 2, 3, 0, 4, 4), (1, 2, 2, 3, 3, 0, 4),
                                   (1, 2, 2, 3, 3, 4, 0)])  # fmt: skip
def test_empty(shape):
    q, k, v = (Tensor(x, requires_grad=True) for x in qkv(*shape))
    y = sdpa(q, k, v)
    assert y.shape == (*shape[:2], shape[3], shape[6])
    y.backward(np.ones_like(y.data))
    if shape[4] == 0:
        assert (y.data == 0).all() and (q.grad.data == 0).all()


def test_errors():
    q, k, v = qkv(1, 2, 2, 3, 4, 8, 8)
    with pytest.raises(ValueError, match="same width"):
        sdpa(q, k[..., :4], v)
    with pytest.raises(ValueError, match="same length"):
        sdpa(q, k, v[:, :, :2])
    with pytest.raises(ValueError, match="enable_gqa"):
        sdpa(np.concatenate([q, q], 1), k, v)
    with pytest.raises(ValueError, match="divide"):
        sdpa(np.concatenate([q, q[:, :1]], 1), k, v, enable_gqa=True)
    with pytest.raises(ValueError, match=r"attn_mask must broadcast to \(1, 2, 3, 4\)"):
        sdpa(q, k, v, np.ones((3, 3), bool))
    with pytest.raises(ValueError, match="not both"):
        sdpa(q, k, v, np.ones((3, 4), bool), is_causal=True)
    with pytest.raises(ValueError, match="dropout_p"):
        sdpa(q, k, v, dropout_p=1.5)
    with pytest.raises(ValueError, match="lengths must lie in"):
        sdpa(q, k, v, lengths=np.array([5]))
    with pytest.raises(TypeError, match="attn_mask must be bool"):
        sdpa(q, k, v, np.ones((3, 4)))
    with pytest.raises(TypeError, match="float32 or float64"):
        sdpa(q, k.astype(np.float64), v)


# --- caches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [None, 1, 3, 8])
@pytest.mark.parametrize("steps", [(1,) * 11, (4, 1, 1, 5), (9, 2)], ids=str)
def test_a_cache_gives_what_the_whole_sequence_gives(window, steps):
    q, k, v = qkv(2, 4, 2, 11, 11, 4, 6, np.float64)
    cache = F.KVCache(2, 2, 4, capacity=2, window=window, value_width=6, dtype=np.float64)
    parts, i = [], 0
    for n in steps:
        parts.append(cache.attend(*(x[:, :, i : i + n] for x in (q, k, v))))
        i += n
    near = None if window is None else (window - 1, -1)
    whole = sdpa(q, k, v, is_causal=True, enable_gqa=True, window=near)
    assert_close(np.concatenate(parts, 2), whole, "chain", 8)
    assert cache.length == 11 and len(cache) == min(11, window or 11)
    np.testing.assert_array_equal(cache.keys, k[:, :, -len(cache) :])
    other = F.KVCache(2, 2, 4, window=window, value_width=6, dtype=np.float64)
    other.append(k, v)
    np.testing.assert_array_equal(other.values, cache.values)
    for query in (Tensor(q[:, :, :1]), torch.from_numpy(q[:, :, :1])):
        assert type(cache.attend(query, k[:, :, :1], v[:, :, :1])) is type(query)
    with pytest.raises(ValueError, match="KVCache: value must be float64"):
        other.append(k, v[..., :2])


@pytest.mark.parametrize("window", [None, 2])
def test_what_a_cache_refuses_leaves_it_as_it_was(window):
    x = randn(1, 2, 3, 4)
    cache = F.KVCache(1, 2, 4, window=window)
    for bad in (x[0], x[:, :1], x[:, :, :2], x[..., :2], x.astype(np.float64), np.concatenate([x, x])):
        with pytest.raises(ValueError, match="KVCache: query must be float32"):
            cache.attend(bad, x, x)
        with pytest.raises(ValueError, match="KVCache: (key|value) must be float32"):
            cache.append(x, bad)
    learnable, theirs = Tensor(x, requires_grad=True), torch.from_numpy(x).requires_grad_()
    with pytest.raises(RuntimeError, match="KVCache: it keeps no gradients"):
        cache.attend(learnable, x, x)
    with pytest.raises(TypeError, match="KVCache: a torch tensor that requires grad"):
        cache.attend(theirs, x, x)
    with pytest.raises(TypeError, match="KVCache: dtype must be"):
        F.KVCache(1, 2, 4, dtype=np.float16)
    assert len(cache) == cache.length == 0
    assert cache.attend(x[:, :, :0], x[:, :, :0], x[:, :, :0]).shape == (1, 2, 0, 4)
    with nnkern.no_grad(), torch.no_grad():
        y = cache.attend(learnable, learnable, theirs)
        assert type(y) is Tensor and not y.requires_grad
        assert type(cache.attend(theirs, learnable, x)) is torch.Tensor


# --- positions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interleaved", [False, True])
def test_rope_turns_pairs(interleaved):
    x = randn(2, 5, 8, dtype=np.float64)
    pairs = x.reshape(2, 5, 4, 2) if interleaved else x.reshape(2, 5, 2, 4).swapaxes(-1, -2)
    turn = np.exp(1j * np.arange(3, 8)[:, None] * 10000.0 ** (-np.arange(4) / 4))
    z = (pairs[..., 0] + 1j * pairs[..., 1]) * turn
    pairs = np.stack([z.real, z.imag], -1)
    wanted = pairs.reshape(2, 5, 8) if interleaved else pairs.swapaxes(-1, -2).reshape(2, 5, 8)
    assert_close(F.rope(x, 3, interleaved=interleaved), wanted, "chain", 4)
    assert_close(F.rope(x, np.arange(3, 8), interleaved=interleaved), wanted, "chain", 4)
    check_gradient(lambda a: F.rope(a, 3, interleaved=interleaved), x)
    assert isinstance(F.rope(torch.from_numpy(x)), torch.Tensor)
    with pytest.raises(ValueError, match="even width"):
        F.rope(x[..., :7])


def test_rope_scores_depend_on_distance():
    q, k = randn(1, 8, dtype=np.float64), randn(1, 8, dtype=np.float64, seed=1)
    near, far = [F.rope(q, i)[0] @ F.rope(k, i - 4)[0] for i in (5, 105)]
    assert abs(near - far) < 1e-12


def test_alibi_and_sinusoids():
    np.testing.assert_allclose(F.alibi_slopes(8), 2.0 ** -np.arange(1, 9))
    np.testing.assert_allclose(F.alibi_slopes(6), [0.25, 0.0625, 1 / 64, 1 / 256, 0.5, 0.125])
    bias = F.alibi_bias(F.alibi_slopes(2), 3, 5, offset=2)
    assert bias.shape == (2, 3, 5) and bias[0, 1].tolist() == [-3 / 16, -2 / 16, -1 / 16, 0, -1 / 16]
    table = F.sinusoidal_positions(7, 5)
    angle = 4 / 10000 ** (2 / 5)
    np.testing.assert_allclose(table[4, 2:4], [np.sin(angle), np.cos(angle)], rtol=1e-6)


# --- multi-head -------------------------------------------------------------------------------------------------

CROSSES = list(
    itertools.product(["none", "padding", "mask", "head mask", "causal"], [False, True], [False, True])
)


@pytest.mark.parametrize("kind, need_weights, extra", CROSSES)
def test_multi_head_equals_torch(kind, need_weights, extra):
    if kind == "causal" and extra and not need_weights:
        pytest.skip("PyTorch hides the extra keys here, and shows them with need_weights")
    e, heads, rows, keys, n = 12, 3, 5, 5 if kind == "causal" else 7, 2
    layer = torch.nn.MultiheadAttention(
        e, heads, add_bias_kv=extra, add_zero_attn=extra, kdim=6 if kind == "padding" else None,
        vdim=4 if kind == "padding" else None, dtype=torch.float64,
    )  # fmt: skip
    g = rng(6)
    q = g.standard_normal((rows, n, e))
    k, v = g.standard_normal((keys, n, layer.kdim)), g.standard_normal((keys, n, layer.vdim))
    given = {"need_weights": need_weights, "average_attn_weights": bool(extra)}
    if kind == "padding":
        given["key_padding_mask"] = np.arange(keys) >= np.array([[keys], [3]])
    if kind == "mask":
        given["attn_mask"] = g.standard_normal((rows, keys))
        given["key_padding_mask"] = np.where(np.arange(keys) >= np.array([[keys], [3]]), -np.inf, 0.0)
    if kind == "head mask":
        given["attn_mask"] = g.random((n * heads, rows, keys)) > 0.6
        given["attn_mask"][..., 0] = False
    if kind == "causal":
        given.update(attn_mask=~np.tri(rows, keys, dtype=bool), is_causal=True)
    wanted = layer(*map(torch.from_numpy, (q, k, v)), **{
        name: torch.from_numpy(a) if isinstance(a, np.ndarray) else a for name, a in given.items()
    })  # fmt: skip
    p = {name: a.detach().numpy() for name, a in layer.named_parameters()}
    get = p.get
    y, weights = F.multi_head_attention_forward(
        q, k, v, e, heads, get("in_proj_weight"), get("in_proj_bias"), get("bias_k"), get("bias_v"), extra, 0.0,
        get("out_proj.weight"), get("out_proj.bias"), use_separate_proj_weight=kind == "padding",
        q_proj_weight=get("q_proj_weight"), k_proj_weight=get("k_proj_weight"),
        v_proj_weight=get("v_proj_weight"), **given,
    )  # fmt: skip
    assert_close(y, wanted[0].detach().numpy(), "chain", 12)
    if need_weights:
        assert_close(weights, wanted[1].detach().numpy(), "chain", 12)
    else:
        assert weights is None and wanted[1] is None


def test_multi_head_without_batch_and_its_errors():
    e = 8
    w, o = randn(3 * e, e), randn(e, e, seed=1)
    x = randn(5, e, seed=2)

    def call(x, heads=2, **options):
        return F.multi_head_attention_forward(
            x, x, x, e, heads, w, None, None, None, False, 0.0, o, None, **options
        )

    y, weights = call(x)
    batched, _ = call(x[:, None])
    assert y.shape == (5, e) and weights.shape == (5, 5)
    assert_close(y, batched[:, 0], "chain", 8)
    with pytest.raises(ValueError, match="multiple of 3 heads"):
        call(x, 3)
    with pytest.raises(ValueError, match=r"attn_mask must have the shape \(5, 5\)"):
        call(x, attn_mask=np.zeros((4, 5), bool))


def test_no_batch_and_a_mask_with_a_gradient():
    q, k, v = (Tensor(a, requires_grad=True) for a in qkv(0, 4, 2, 3, 5, 4, 6))
    mask = Tensor(randn(3, 5), requires_grad=True)
    y = sdpa(q, k, v, mask, enable_gqa=True)
    assert y.shape == (0, 4, 3, 6)
    y.sum().backward()
    assert not mask.grad.data.any()


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("place", range(3))
def test_nan_that_some_may_see_stays_away_from_the_others(place, learned):
    """Key 3 (or query 4) holds a NaN: queries 0 to 2 do not see it, in derivatives of no order."""
    gy, mask = randn(2, 4, 5, 6, dtype=np.float64, seed=4), np.tril(np.ones((5, 6), bool))
    mask = np.where(mask, 0.0, -np.inf) if learned else mask
    found = []
    for bad in (0.5, np.nan):
        arrays = qkv(2, 4, 2, 5, 6, 3, 6, np.float64)
        arrays[place][:, 0, 4 if place == 0 else 3, 1] = bad
        q, k, v = (Tensor(a, requires_grad=True) for a in arrays)
        y = sdpa(q, k, v, Tensor(mask, requires_grad=True) if learned else mask, enable_gqa=True)
        first = F.grad((y * gy).sum(), (q, k, v), create_graph=True)
        others = sum((where_finite(g, i + 1)).sum() for i, g in enumerate(first))
        second = F.grad(others, (q, k, v))
        found.append([a.data for a in (y, *first, *second)])
    for i, (clean, dirty) in enumerate(zip(*found)):
        if i in (0, 1):  # y and its gradient of q: the first three queries
            np.testing.assert_allclose(dirty[:, :, :3], clean[:, :, :3], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(dirty[:, -1], clean[:, -1], rtol=1e-12, atol=1e-14)  # another head
        assert i < 4 or np.isfinite(dirty).all()


def where_finite(g, weight):
    return F.where(np.isfinite(g.data), g * weight, 0.0)
