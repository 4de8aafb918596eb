"""Multi-layer perceptron."""

from __future__ import annotations

from .. import nn


class MLP(nn.Sequential):
    """Linear layers with ReLU between them: MLP(64, 128, 10) is Linear(64, 128), ReLU, Linear(128, 10).

    dropout: the share of each hidden layer that is dropped while training.
    """

    def __init__(self, *widths: int, dropout: float = 0.0) -> None:
        if len(widths) < 2:
            raise ValueError(f"MLP: needs the widths of input and output at least, got {widths}")
        layers: list[nn.Module] = []
        for i, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
            if i:
                layers.append(nn.ReLU())
                if dropout:
                    layers.append(nn.Dropout(dropout))
            layers.append(nn.Linear(n_in, n_out))
        super().__init__(*layers)
