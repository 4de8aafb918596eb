"""multi_head_attention_forward: masks and extra keys crossed against PyTorch."""

import itertools

import numpy as np
import pytest
from support import assert_close, randn, rng

import nnkern as F
from nnkern import Tensor, nn

try:
    import torch
except ImportError:
    torch = None
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed: nothing to compare with")

CROSSES = list(
    itertools.product(["none", "padding", "mask", "head mask", "causal"], [False, True], [False, True])
)


@needs_torch
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
