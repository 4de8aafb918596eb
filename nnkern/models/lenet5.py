"""LeNet-5."""

from __future__ import annotations

from typing import Any

from .. import nn, ops


class LeNet5(nn.Module):
    """LeCun, Bottou, Bengio and Haffner 1998, with ReLU and max pooling: (N, 1, 28, 28) to (N, classes) scores."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x: Any) -> Any:
        # pooling first: the same numbers as ReLU first, from a quarter of the work
        x = ops.relu(self.pool(self.conv1(x)))
        x = ops.relu(self.pool(self.conv2(x)))
        x = ops.relu(self.fc1(x.flatten(1)))
        x = ops.relu(self.fc2(x))
        return self.fc3(x)
