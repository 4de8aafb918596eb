"""Pictures of training, as matplotlib Axes (extra `cli`); nothing is shown, path= saves the picture."""

from __future__ import annotations

from typing import Any

import numpy as np


def _axes(ax: Any, size: tuple[float, float]) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'nnkern[cli]'") from None
    return Figure(
        figsize=size, dpi=150, layout="constrained"
    ).subplots()  # no pyplot: no window, no global state


def loss_curve(history: list[dict[str, Any]], ax: Any = None, path: Any = None) -> Any:
    """Loss and test accuracy over the epochs of a `fit` history."""
    ax = _axes(ax, (6.4, 4))
    epochs = [r["epoch"] for r in history]
    (line,) = ax.plot(epochs, [r["loss"] for r in history], color="tab:blue", label="training loss")
    ax.set(xlabel="epoch", ylabel="training loss", yscale="log")
    lines = [line]
    if history and "accuracy" in history[0]:
        right = ax.twinx()
        accuracy = [100 * r["accuracy"] for r in history]
        lines += right.plot(epochs, accuracy, color="tab:orange", label="test accuracy")
        right.set(ylabel="test accuracy [%]")
        right.axhline(100, color="grey", linewidth=0.5)
    ax.legend(handles=lines, loc="center right", frameon=False)
    if path is not None:
        ax.figure.savefig(path)
    return ax


def confusion_matrix(confusion: np.ndarray, ax: Any = None, path: Any = None) -> Any:
    """confusion[true, predicted] counts as a heat map; mistakes are what is off the diagonal."""
    ax = _axes(ax, (5.2, 5.2))
    ax.imshow(
        np.sqrt(confusion), cmap="Blues"
    )  # the square root lets single mistakes show beside full classes
    ax.set(xlabel="predicted", ylabel="true", xticks=range(len(confusion)), yticks=range(len(confusion)))
    for (i, j), n in np.ndenumerate(confusion):
        if n:
            ax.text(j, i, str(n), ha="center", va="center", color="white" if i == j else "tab:red")
    if path is not None:
        ax.figure.savefig(path)
    return ax


def filters(weight: np.ndarray, ax: Any = None, path: Any = None) -> Any:
    """The filters (K, C, R, S) of a convolution, one row per input channel: blue below zero, red above."""
    weight = np.asarray(weight)
    k, c, r, s = weight.shape
    ax = _axes(ax, (1.2 * k + 1, 1.2 * c + 0.6))
    sheet = np.full((c * (r + 1) - 1, k * (s + 1) - 1), np.nan)
    for i, j in np.ndindex(k, c):
        sheet[j * (r + 1) : j * (r + 1) + r, i * (s + 1) : i * (s + 1) + s] = weight[i, j]
    most = float(np.abs(weight).max(initial=0)) or 1.0
    image = ax.imshow(sheet, cmap="coolwarm", vmin=-most, vmax=most)
    ax.set(xlabel="filter", ylabel="input channel")
    ax.set_xticks((s - 1) / 2 + (s + 1) * np.arange(k), range(k))
    ax.set_yticks((r - 1) / 2 + (r + 1) * np.arange(c), range(c))
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(image, ax=ax, fraction=0.05)
    if path is not None:
        ax.figure.savefig(path)
    return ax
