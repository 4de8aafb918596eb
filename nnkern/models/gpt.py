"""A small GPT."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn, ops


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); the mlp is four times as wide."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.p = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def attend(self, x: Any) -> Any:
        n, length, width = x.shape
        shape = (n, length, self.heads, width // self.heads)
        q, k, v = (part.reshape(shape).permute(0, 2, 1, 3) for part in self.qkv(x).chunk(3, -1))
        p = self.p if self.training else 0.0
        y = ops.scaled_dot_product_attention(q, k, v, None, p, True)
        return ops.dropout(self.out(y.permute(0, 2, 1, 3).reshape(n, length, width)), self.p, self.training)

    def forward(self, x: Any) -> Any:
        x = x + self.attend(self.norm1(x))
        return x + ops.dropout(self.down(ops.gelu(self.up(self.norm2(x)))), self.p, self.training)


class GPT(nn.Module):
    """Radford et al. 2019: tokens (N, length) of int64 to scores (N, length, vocabulary) of each next token.

    length: the most tokens that a sequence may have. The scores' matrix is the tokens' embedding.
    """

    def __init__(
        self, vocabulary: int, length: int, width: int, heads: int, layers: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.tokens: Any = nn.Parameter(np.empty((vocabulary, width), np.float32))
        self.places: Any = nn.Parameter(np.empty((length, width), np.float32))
        nn.init.normal_(self.tokens, 0, 0.02)
        nn.init.normal_(self.places, 0, 0.02)
        self.p = dropout
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Any) -> Any:
        length, most = tokens.shape[1], self.places.shape[0]
        if length > most:
            raise ValueError(f"GPT: {length} tokens are more than the {most} places that it has learned")
        x = ops.embedding(tokens, self.tokens) + self.places[:length]
        x = ops.dropout(x, self.p, self.training)
        for block in self.blocks:
            x = block(x)
        return ops.linear(self.norm(x), self.tokens)
