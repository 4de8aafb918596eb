"""Transformer layers with PyTorch's state: the same results and gradients, whatever the options."""

import numpy as np
import pytest
from support import assert_close, rng

import nnkern
from nnkern import Tensor, nn
from nnkern.models import GPT

try:
    import torch
except ImportError:
    torch = None
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed: nothing to compare with")
E, HEADS = 12, 3


def pair(name, *args, **options):
    """Our layer and PyTorch's, in float64, with the same parameters."""
    theirs = getattr(torch.nn, name)(*args, **options, dtype=torch.float64)
    for p in theirs.parameters():  # biases start at 0, norms at 1
        torch.nn.init.normal_(p, 0, 0.3)
    ours = getattr(nn, name)(*args, **options, dtype=np.float64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def check(ours, theirs, arrays, **given):
    mine = [Tensor(a, requires_grad=True) for a in arrays]
    other = [torch.tensor(a, requires_grad=True) for a in arrays]
    convert = {k: torch.from_numpy(a) if isinstance(a, np.ndarray) else a for k, a in given.items()}
    y, ty = ours(*mine, **given), theirs(*other, **convert)
    y, ty = (y[0], ty[0]) if isinstance(y, tuple) else (y, ty)
    assert_close(y.data, ty.detach().numpy(), "chain", 100)
    gy = rng(7).standard_normal(y.shape)
    y.backward(gy)
    ty.backward(torch.from_numpy(gy))
    pairs = [
        *zip(mine, other),
        *((p, dict(theirs.named_parameters())[n]) for n, p in ours.named_parameters()),
    ]
    found = np.concatenate([a.grad.data.ravel() for a, _ in pairs])
    wanted = np.concatenate([b.grad.numpy().ravel() for _, b in pairs])
    assert_close(found, wanted, "chain", 100)


def source(length, batch_first=False, seed=0):
    shape = (2, length, E) if batch_first else (length, 2, E)
    return rng(8, seed).standard_normal(shape)


def padding(length):
    return np.arange(length) >= np.array([[length], [length - 2]])


@needs_torch
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"add_bias_kv": True, "add_zero_attn": True}, {"kdim": 5, "vdim": 7}],
                         ids=str)  # fmt: skip
@pytest.mark.parametrize("need_weights", [False, True])
def test_multihead_attention(batch_first, options, need_weights):
    ours, theirs = pair("MultiheadAttention", E, HEADS, batch_first=batch_first, **options)
    q, k, v = source(5, batch_first), source(6, batch_first, 1), source(6, batch_first, 2)
    k, v = k[..., : options.get("kdim", E)], v[..., : options.get("vdim", E)]
    check(ours, theirs, (q, k, v), need_weights=need_weights, key_padding_mask=padding(6))
    if not options:
        both = [layer(*[kind(q)] * 3) for layer, kind in ((ours, Tensor), (theirs, torch.from_numpy))]
        for a, b in zip(*both):
            assert_close(a.data, b.detach().numpy(), "chain", 100)


@needs_torch
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("activation, bias", [("relu", True), ("gelu", False)])
def test_layers(norm_first, batch_first, activation, bias):
    options = dict(
        activation=activation, norm_first=norm_first, batch_first=batch_first, bias=bias, dropout=0.0
    )
    x, memory = source(5, batch_first), source(6, batch_first, 1)
    causal = np.triu(np.full((5, 5), -np.inf), 1)
    encoder = pair("TransformerEncoderLayer", E, HEADS, 16, **options)
    check(*encoder, [x], src_key_padding_mask=padding(5))
    check(*encoder, [x], src_mask=causal, is_causal=True)
    decoder = pair("TransformerDecoderLayer", E, HEADS, 16, **options)
    check(*decoder, [x, memory], tgt_mask=causal, memory_key_padding_mask=padding(6))


@needs_torch
@pytest.mark.parametrize("norm_first", [False, True])
def test_the_whole_transformer(norm_first):
    ours, theirs = pair("Transformer", E, HEADS, 2, 2, 16, 0.0, norm_first=norm_first)
    mask = nn.Transformer.generate_square_subsequent_mask(4, np.float64)
    np.testing.assert_array_equal(mask, theirs.generate_square_subsequent_mask(4).numpy())
    check(ours, theirs, (source(5), source(4, seed=1)), tgt_mask=mask, src_key_padding_mask=padding(5),
          memory_key_padding_mask=padding(5))  # fmt: skip
    assert repr(ours).startswith("Transformer(")


def test_dropout_is_for_training():
    nnkern.manual_seed(0)
    layer = nn.TransformerEncoderLayer(E, HEADS, 16, dropout=0.5)
    x = Tensor(source(5).astype(np.float32))
    assert not np.array_equal(layer(x).data, layer(x).data)
    layer.eval()
    np.testing.assert_array_equal(layer(x).data, layer(x).data)


def test_errors():
    with pytest.raises(ValueError, match="multiple of num_heads"):
        nn.MultiheadAttention(10, 3)
    with pytest.raises(ValueError, match="activation must be"):
        nn.TransformerEncoderLayer(E, HEADS, activation="tanh")


def test_gpt_learns_and_looks_back_only():
    nnkern.manual_seed(1)
    model = GPT(11, 16, 24, 3, 2)
    tokens = rng(9).integers(0, 11, (4, 16))
    scores = model(tokens).data
    changed = tokens.copy()
    changed[:, 9] = (changed[:, 9] + 1) % 11
    other = model(changed).data
    np.testing.assert_array_equal(scores[:, :9], other[:, :9])
    assert np.abs(scores[:, 9:] - other[:, 9:]).max() > 1e-4
    optimiser = nnkern.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = nnkern.cross_entropy(model(tokens[:, :-1]).reshape(-1, 11), tokens[:, 1:].reshape(-1))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 < 2 < losses[0]
    with pytest.raises(ValueError, match="17 tokens are more than the 16"):
        model(np.zeros((1, 17), np.int64))
