"""Model code as its users write it for PyTorch, run by both with equal weights: equal losses, outputs and gradients.

Each sample takes the library, its nn, its functional, and `given`: arrays as this library's tensors, and modules with
the same numbers in both.
"""

import copy
import math

import numpy as np
import pytest

import nnkern

torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")


class Given:
    """The same arrays and weights for both libraries, in the order of the calls."""

    def __init__(self, library):
        self.library, self.rng = library, np.random.default_rng(5)

    def _tensor(self, array):
        return torch.from_numpy(array) if self.library is torch else nnkern.Tensor(array)

    def randn(self, *shape, requires_grad=False):
        return self._tensor(self.rng.standard_normal(shape)).requires_grad_(requires_grad)

    def randint(self, high, shape):
        return self._tensor(self.rng.integers(0, high, shape))

    def module(self, module):
        module.double()
        state = {}
        for name, value in module.state_dict().items():
            array = np.asarray(value)
            if array.dtype.kind == "f":
                array = np.abs(0.3 * self.rng.standard_normal(array.shape)) + 0.05 * (array.ndim < 2)
                array = array if array.ndim < 2 else array - array.mean()
            state[name] = self._tensor(array)
        module.load_state_dict(state)
        return module


def gpt_block_with_cache(t, nn, F, given):
    class Attention(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.heads = heads
            self.qkv = nn.Linear(width, 3 * width, bias=False)
            self.out = nn.Linear(width, width)
            self.register_buffer("mask", t.tril(t.ones(16, 16)).view(1, 1, 16, 16), persistent=False)

        def forward(self, x, cache=None):
            B, T, C = x.shape
            q, k, v = self.qkv(x).chunk(3, dim=-1)
            q, k, v = (a.view(B, T, self.heads, C // self.heads).transpose(1, 2) for a in (q, k, v))
            if cache is not None:
                k, v = t.cat((cache[0], k), dim=2), t.cat((cache[1], v), dim=2)
            S = k.size(-2)
            scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            scores = scores.masked_fill(self.mask[:, :, S - T : S, :S] == 0, float("-inf"))
            y = F.softmax(scores, dim=-1) @ v
            return self.out(y.transpose(1, 2).contiguous().view(B, T, C)), (k, v)

    class Block(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.attention, self.ln1, self.ln2 = (
                Attention(width, heads),
                nn.LayerNorm(width),
                nn.LayerNorm(width),
            )
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x, cache=None):
            a, cache = self.attention(self.ln1(x), cache)
            x = x + a
            return x + self.mlp(self.ln2(x)), cache

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.tok, self.pos = nn.Embedding(11, 8), nn.Embedding(16, 8)
            self.blocks = nn.ModuleList([Block(8, 2) for _ in range(2)])
            self.head = nn.Linear(8, 11, bias=False)
            self.head.weight = self.tok.weight

        def forward(self, ids, caches=None, start=0):
            x = self.tok(ids) + self.pos(t.arange(start, start + ids.size(1), device=ids.device))[None]
            kept = []
            for i, block in enumerate(self.blocks):
                x, c = block(x, caches[i] if caches else None)
                kept.append(c)
            return self.head(x), kept

    model, ids = given.module(GPT()), given.randint(11, (2, 7))
    logits, _ = model(ids)
    loss = F.cross_entropy(logits[:, :-1].reshape(-1, 11), ids[:, 1:].reshape(-1))
    loss.backward()
    with t.no_grad():
        _, caches = model(ids[:, :-1])
        last, _ = model(ids[:, -1:], caches, start=6)
        token = t.topk(last[:, -1], 3, dim=-1).indices
    norm = nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    assert t.allclose(last[:, 0], logits[:, -1])
    return [loss, logits, token, norm.item(), *(p.grad for p in model.parameters())]


def dcgan_step(t, nn, F, given):
    def init(m):
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(m.weight, 0.0, 0.02)

    G = nn.Sequential(
        nn.ConvTranspose2d(6, 8, 4, 1, 0, bias=False), nn.BatchNorm2d(8), nn.ReLU(True),
        nn.ConvTranspose2d(8, 1, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    D = nn.Sequential(
        nn.Conv2d(1, 8, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(8, 1, 4, 1, 0),
        nn.Sigmoid(),
    )
    G.apply(init), D.apply(init)
    given.module(G), given.module(D)
    optG, optD = (t.optim.Adam(m.parameters(), lr=2e-2, betas=(0.5, 0.999)) for m in (G, D))
    real, criterion, found = given.randn(4, 1, 8, 8), nn.BCELoss(), []
    for _ in range(2):
        label = t.full((4,), 1.0, dtype=real.dtype, device=real.device)
        D.zero_grad()
        loss_real = criterion(D(real).view(-1), label)
        loss_real.backward()
        fake = G(given.randn(4, 6, 1, 1))
        label.fill_(0.0)
        loss_fake = criterion(D(fake.detach()).view(-1), label)
        loss_fake.backward()
        optD.step()
        G.zero_grad()
        label.fill_(1.0)
        loss = criterion(D(fake).view(-1), label)
        loss.backward()
        optG.step()
        found += [loss_real, loss_fake, loss.item()]
    G.eval()
    return [*found, G(given.randn(2, 6, 1, 1)), G[1].running_var, G[1].num_batches_tracked]


def diffusion_block(t, nn, F, given):
    def embed(time, dim):
        half = dim // 2
        freqs = t.exp(-math.log(10000.0) * t.arange(half, dtype=t.float64, device=time.device) / (half - 1))
        args = time[:, None].double() * freqs[None, :]
        return t.cat([args.sin(), args.cos()], dim=-1)

    class Block(nn.Module):
        def __init__(self, cin, cout):
            super().__init__()
            self.norm1, self.norm2 = nn.GroupNorm(2, cin), nn.GroupNorm(2, cout)
            self.conv1, self.conv2 = nn.Conv2d(cin, cout, 3, padding=1), nn.Conv2d(cout, cout, 3, padding=1)
            self.time = nn.Sequential(nn.SiLU(), nn.Linear(8, 2 * cout))
            self.skip = nn.Conv2d(cin, cout, 1) if cin != cout else nn.Identity()

        def forward(self, x, emb):
            h = self.conv1(F.silu(self.norm1(x)))
            scale, shift = self.time(emb)[..., None, None].chunk(2, dim=1)
            h = self.norm2(h) * (1 + scale) + shift
            return self.skip(x) + self.conv2(F.silu(h))

    betas = t.linspace(1e-4, 0.02, 10, dtype=t.float64)
    alphas = t.cumprod(1.0 - betas, dim=0)
    down, up = given.module(Block(4, 8)), given.module(Block(12, 4))
    x, noise, time = given.randn(2, 4, 8, 8), given.randn(2, 4, 8, 8), given.randint(10, (2,))
    a = alphas[time].view(-1, 1, 1, 1)
    noisy = a.sqrt() * x + (1 - a).sqrt() * noise
    h = F.avg_pool2d(down(noisy, embed(time, 8)), 2)
    h = F.interpolate(h, scale_factor=2, mode="nearest")
    predicted = up(t.cat([h, noisy], dim=1), embed(time, 8))
    loss = F.mse_loss(predicted, noise)
    loss.backward()
    return [loss, predicted, *(p.grad for p in [*down.parameters(), *up.parameters()])]


def tied_autoencoder(t, nn, F, given):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(12, 4)
            self.bias = nn.Parameter(t.zeros(12))

        def forward(self, x):
            code = t.sigmoid(self.encoder(x))
            return F.linear(code, self.encoder.weight.t(), self.bias), code

    model, x = given.module(Tied()), given.randn(5, 12)
    optimizer = t.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    losses = []
    for _ in range(3):
        y, code = model(x + 0.1 * given.randn(5, 12))
        loss = F.mse_loss(y, x) + 0.01 * code.abs().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    vector = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(vector * 0.5, model.parameters())
    return [*losses, vector, *model.parameters()]


def seq2seq_with_attention(t, nn, F, given):
    class Seq2Seq(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(9, 6, padding_idx=0)
            self.encoder = nn.GRU(6, 5, batch_first=True, bidirectional=True)
            self.bridge = nn.Linear(10, 5)
            self.decoder = nn.GRUCell(6 + 10, 5)
            self.query = nn.Linear(5, 10, bias=False)
            self.out = nn.Linear(15, 9)

        def forward(self, src, lengths, target):
            packed = nn.utils.rnn.pack_padded_sequence(
                self.embed(src), lengths, batch_first=True, enforce_sorted=False
            )
            states, h = self.encoder(packed)
            states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
            h = t.tanh(self.bridge(t.cat((h[-2], h[-1]), dim=1)))
            mask, logits = src[:, : states.size(1)].ne(0), []
            for step in range(target.size(1)):
                scores = t.bmm(states, self.query(h).unsqueeze(2)).squeeze(2)
                weights = scores.masked_fill(~mask, -1e9).softmax(dim=1)
                context = t.einsum("bs,bsh->bh", weights, states)
                h = self.decoder(t.cat((self.embed(target[:, step]), context), dim=-1), h)
                logits.append(self.out(t.cat((h, context), -1)))
            return t.stack(logits, dim=1)

    model = given.module(Seq2Seq())
    src = given.randint(8, (3, 6)) + 1
    lengths = [6, 4, 2]
    for i, n in enumerate(lengths):
        src[i, n:] = 0
    target = given.randint(8, (3, 4)) + 1
    logits = model(src, t.tensor(lengths), target)
    loss = F.cross_entropy(logits.transpose(1, 2), target, ignore_index=0, label_smoothing=0.1)
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), 0.05)
    accuracy = (logits.argmax(-1) == target).float().mean()
    return [loss, logits, accuracy, *(p.grad for p in model.parameters())]


def masked_language_model(t, nn, F, given):
    class Bert(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.places, self.kinds = nn.Embedding(13, 8), nn.Embedding(7, 8), nn.Embedding(2, 8)
            self.norm = nn.LayerNorm(8, eps=1e-12)
            layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation="gelu", batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.transform = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.LayerNorm(8))
            self.bias = nn.Parameter(t.zeros(13))

        def forward(self, ids, kinds, mask):
            places = t.arange(ids.shape[1], device=ids.device).unsqueeze(0).expand_as(ids)
            x = self.norm(self.words(ids) + self.places(places) + self.kinds(kinds))
            x = self.encoder(x, src_key_padding_mask=~mask)
            return self.transform(x) @ self.words.weight.t() + self.bias

    model, ids = given.module(Bert()), given.randint(12, (3, 7))
    kinds = (t.arange(7) >= 4).long().expand(3, -1)
    mask = t.ones_like(ids, dtype=t.bool)
    mask[1, 5:] = False
    chosen = (ids % 3 == 0) & mask
    labels = ids.clone()
    labels[~chosen] = -100
    logits = model(ids.masked_fill(chosen, 12), kinds, mask)
    loss = nn.CrossEntropyLoss()(logits.view(-1, 13), labels.view(-1))
    loss.backward()
    picked = logits[chosen].argmax(dim=-1)
    return [loss, logits[chosen], (picked == labels[chosen]).sum(), *(p.grad for p in model.parameters())]


def wgan_gradient_penalty(t, nn, F, given):
    critic = given.module(
        nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64, 1))
    )
    real, fake, alpha = given.randn(3, 2, 8, 8), given.randn(3, 2, 8, 8), given.randn(3, 1, 1, 1).sigmoid()
    mixed = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    scores = critic(mixed)
    gradients = t.autograd.grad(
        outputs=scores, inputs=mixed, grad_outputs=t.ones_like(scores), create_graph=True, retain_graph=True,
        only_inputs=True,
    )[0]  # fmt: skip
    penalty = ((gradients.view(3, -1).norm(2, dim=1) - 1) ** 2).mean()
    loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
    loss.backward()
    return [penalty, loss, *(p.grad for p in critic.parameters())]


def distillation(t, nn, F, given):
    teacher = given.module(nn.Linear(6, 5)).requires_grad_(False).eval()
    student = given.module(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 5)))
    x, y, T = given.randn(8, 6), given.randint(5, (8,)), 3.0
    with t.no_grad():
        soft = F.softmax(teacher(x) / T, dim=1)
    logits = student(x)
    kd = F.kl_div(F.log_softmax(logits / T, dim=1), soft, reduction="batchmean") * (T * T)
    loss = 0.7 * kd + 0.3 * F.cross_entropy(logits, y)
    loss.backward()
    assert all(p.grad is None for p in teacher.parameters())
    return [kd, loss, *(p.grad for p in student.parameters())]


def mixup(t, nn, F, given):
    model = given.module(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)))
    x, y, lam = given.randn(6, 3, 4), given.randint(4, (6,)), 0.3
    index = given.randint(6, (6,))
    mixed = lam * x + (1 - lam) * x[index]
    targets = lam * F.one_hot(y, 4).double() + (1 - lam) * F.one_hot(y[index], num_classes=4).double()
    soft = F.cross_entropy(model(mixed), targets)
    hard = lam * F.cross_entropy(model(mixed), y) + (1 - lam) * F.cross_entropy(model(mixed), y[index])
    (soft + t.lerp(hard, soft, 0.5)).backward()
    return [soft, hard, *(p.grad for p in model.parameters())]


def weights_averaged(t, nn, F, given):
    model = given.module(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)))
    ema = copy.deepcopy(model)
    for p in ema.parameters():
        p.requires_grad_(False)
    decay = [p for n, p in model.named_parameters() if p.ndim > 1]
    rest = [p for n, p in model.named_parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = t.optim.AdamW(groups, lr=1e-2)
    for step in range(6):
        for group in optimizer.param_groups:  # warm up, then a cosine
            group["lr"] = 1e-2 * min(1.0, (step + 1) / 2) * 0.5 * (1 + math.cos(math.pi * step / 6))
        x = given.randn(7, 5)
        loss = F.huber_loss(model(x), x[:, :2].sin()) / 2
        loss.backward()
        if step % 2:
            optimizer.step()
            optimizer.zero_grad()
            with t.no_grad():
                for e, p in zip(ema.parameters(), model.parameters()):
                    e.mul_(0.9).add_(p, alpha=0.1)
                for e, p in zip(ema.buffers(), model.buffers()):
                    e.copy_(p)
    ema.eval()
    return [loss, ema(given.randn(3, 5)), *ema.parameters(), *model.parameters(), *ema.buffers()]


def clipped_by_hand(t, nn, F, given):
    lstm, head = given.module(nn.LSTM(3, 4, num_layers=2)), given.module(nn.Linear(4, 1))
    x, state, losses = given.randn(6, 2, 3), None, []
    for part in x.split(3):
        y, state = lstm(part, state)
        loss = F.smooth_l1_loss(head(y).squeeze(-1), part.sum(-1))
        loss.backward()
        state = tuple(s.detach() for s in state)
        losses.append(loss.item())
    parameters = [p for p in [*lstm.parameters(), *head.parameters()] if p.grad is not None]
    total = t.norm(t.stack([p.grad.detach().norm(2) for p in parameters]), 2)
    for p in parameters:
        p.grad.detach().mul_(t.clamp(0.1 / (total + 1e-6), max=1.0))
    return [*losses, total, *state, *(p.grad for p in parameters)]


SAMPLES = [
    gpt_block_with_cache, dcgan_step, diffusion_block, tied_autoencoder, seq2seq_with_attention, masked_language_model,
    wgan_gradient_penalty, distillation, mixup, weights_averaged, clipped_by_hand,
]  # fmt: skip


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda f: f.__name__)
def test_runs_as_in_torch(sample):
    ours = sample(nnkern, nnkern.nn, nnkern.functional, Given(nnkern))
    theirs = sample(torch, torch.nn, torch.nn.functional, Given(torch))
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs)):
        b = b.detach().numpy() if isinstance(b, torch.Tensor) else np.asarray(b)
        a = np.asarray(a)
        assert a.shape == b.shape, i
        if b.dtype != np.float32:
            assert a.dtype == b.dtype, (i, a.dtype, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11, err_msg=f"result {i}")
