"""Pictures of training, as matplotlib Axes (extra `cli`); nothing is shown, path= saves the picture."""

from __future__ import annotations

from typing import Any

import numpy as np


def _figure(size: tuple[float, float]) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'nnkern[cli]'") from None
    return Figure(figsize=size, dpi=150, layout="constrained")  # no pyplot: no window, no global state


def _axes(ax: Any, size: tuple[float, float]) -> Any:
    return _figure(size).subplots() if ax is None else ax


def loss_curve(history: list[dict[str, Any]], ax: Any = None, path: Any = None) -> Any:
    """Loss, and test accuracy or AUC, over the epochs of a `fit` history."""
    ax = _axes(ax, (6.4, 4))
    epochs = [r["epoch"] for r in history]
    losses = [r["loss"] for r in history]
    (line,) = ax.plot(epochs, losses, marker=".", color="tab:blue", label="training loss")
    ax.xaxis.get_major_locator().set_params(integer=True)
    wide = max(losses, default=1) > 4 * min(losses, default=1)
    ax.set(xlabel="epoch", ylabel="training loss", yscale="log" if wide else "linear")
    lines = [line]
    if history and "accuracy" in history[0]:
        right = ax.twinx()
        accuracy = [100 * r["accuracy"] for r in history]
        lines += right.plot(epochs, accuracy, marker=".", color="tab:orange", label="test accuracy")
        right.set(ylabel="test accuracy [%]")
        right.axhline(100, color="grey", linewidth=0.5)
    elif history and "auc" in history[0]:
        right = ax.twinx()
        aucs = [r["auc"] for r in history]
        lines += right.plot(epochs, aucs, marker=".", color="tab:orange", label="test AUC")
        right.set(ylabel="test AUC", ylim=(min(0.5, *aucs), 1))
    if len(epochs) == 1:
        ax.set_xticks(epochs)
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


def text_curve(result: Any, ax: Any = None, path: Any = None) -> Any:
    """Bits per character over the epochs of train_textgen's result, beside what simpler models need."""
    ax = _axes(ax, (6.4, 4))
    epochs = [r["epoch"] for r in result.history]
    for key, label in (("bits", "training text"), ("test_bits", "test text")):
        ax.plot(epochs, [r[key] for r in result.history], marker=".", label=label)
    for bits, label in ((result.frequency_bits, "frequencies of characters"), (result.xz_bits, "xz")):
        ax.axhline(bits, color="grey", linestyle=":")
        ax.annotate(label, (epochs[-1], bits), (0, 3), textcoords="offset points", ha="right", color="grey")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="epoch", ylabel="bits per character", ylim=(0, 1.1 * ax.dataLim.ymax))
    ax.legend(loc="lower left", frameon=False)
    if path is not None:
        ax.figure.savefig(path)
    return ax


_COLOURS = {"gru": "tab:orange", "linear": "tab:green", "naive": "tab:grey"}


def forecast_picture(result: Any, path: Any = None) -> Any:
    """Forecasts of train_timeseries's result over the truth, and their errors by step; the Figure."""
    times, values, horizon = result.series.times, result.series.values, result.truth.shape[1]
    figure = _figure((9, 6.5))
    top, bottom = figure.subplots(2, height_ratios=(2, 1))
    first = max(0, result.origins[0] - len(result.origins) // 3)
    top.plot(times[first:], values[first:], color="black", linewidth=1, label="truth")
    forecasts = result.forecasts["gru"]
    for i in range(0, len(forecasts), horizon):  # each begins where the one before ends
        at = result.origins[i] + np.arange(horizon + 1)
        y = np.concatenate((values[at[:1]], forecasts[i]))
        label = f"GRU, {horizon} steps ahead each" if i == 0 else None
        top.plot(times[at], y, color=_COLOURS["gru"], linewidth=1.6, alpha=0.9, label=label)
        top.plot(times[at[0]], values[at[0]], ".", color=_COLOURS["gru"], markersize=5)
    top.axvline(times[result.origins[0]], color="grey", linestyle=":")
    top.annotate(
        "training ends", (times[result.origins[0]], 1), (-4, -12), textcoords="offset points", ha="right",
        xycoords=("data", "axes fraction"), color="grey",
    )  # fmt: skip
    top.set_title(result.series.name, loc="left")
    top.set(xlabel="time")
    top.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    for name in result.forecasts:
        label = {"gru": "GRU", "naive": "last value", "linear": "linear autoregression"}[name]
        errors = result.rmse_by_step(name)
        bottom.plot(np.arange(1, horizon + 1), errors, marker=".", color=_COLOURS[name], label=label)
    bottom.set(xlabel="steps ahead", ylabel="test error (RMS)", ylim=(0, None))
    bottom.xaxis.get_major_locator().set_params(integer=True)
    bottom.legend(frameon=False)
    if path is not None:
        figure.savefig(path)
    return figure


def calibration(y: np.ndarray, chances: dict[str, np.ndarray], bins: int = 10, path: Any = None) -> Any:
    """Left: hits among all hits against false alarms (ROC). Right: what came true of what was said; the Figure.

    y: 0 or 1. chances: {name: probabilities}. Each point of the right stands for a tenth of the rows, its bar for two
    standard errors of their share; on the diagonal what was said is what came. Its axes are drawn by roots.
    """
    figure = _figure((10, 4.8))
    left, right = figure.subplots(1, 2)
    styles = {"truth": {"color": "black", "linestyle": "--"}}
    for name, p in chances.items():
        order = np.argsort(-p, kind="stable")
        hits, alarms = np.cumsum(y[order]) / max(1, y.sum()), np.cumsum(1 - y[order]) / max(1, (1 - y).sum())
        left.plot(
            np.concatenate(([0], alarms)), np.concatenate(([0], hits)), label=name, **styles.get(name, {})
        )
        parts = [part for part in np.array_split(order, bins) if len(part)]
        said, came = (np.array([a[part].mean() for part in parts]) for a in (p, y))
        bars = 2 * np.sqrt(came * (1 - came) / np.array([len(part) for part in parts]))
        right.errorbar(
            said,
            came,
            (np.minimum(bars, came), bars),
            marker=".",
            capsize=2,
            linewidth=1,
            label=name,
            **styles.get(name, {}),
        )
    most = max(0.05, *(float(p.max(initial=0)) for p in chances.values()), float(right.dataLim.ymax))
    ticks = [t for t in (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1) if t <= most]
    for which in ("x", "y"):  # roots of probabilities: most of them are small
        getattr(right, f"set_{which}scale")("function", functions=(lambda p: np.sqrt(np.abs(p)), np.square))
        right.set(**{f"{which}ticks": ticks, f"{which}lim": (0, 1.05 * most)})
    for axes, end in ((left, 1.0), (right, most)):
        axes.plot((0, end), (0, end), color="grey", linewidth=0.5)
        axes.legend(frameon=False)
    left.set(xlabel="false alarms", ylabel="hits", title="ROC")
    right.set(xlabel="predicted probability", ylabel="observed share", title="calibration")
    if path is not None:
        figure.savefig(path)
    return figure
