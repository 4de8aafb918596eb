"""A character-level recurrent network that learns to write like a text."""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import nn, ops, optim
from ..autograd import no_grad
from ..data.text import Streams, Vocabulary, load_text
from ..models.charrnn import CharRNN, detach
from ..random import generator, manual_seed
from ..serialization import load, load_metadata, save
from .digits import cosine

_WARM_UP = 0.02  # share of the steps in which the learning rate rises


class TextResult(NamedTuple):
    """history: one {"epoch", "bits", "test_bits"} per epoch, in bits per character; baselines of the test text:
    the frequencies of single characters, and the compressor xz that saw the training text."""

    model: CharRNN
    vocabulary: Vocabulary
    history: list[dict[str, Any]]
    frequency_bits: float
    xz_bits: float

    @property
    def test_bits(self) -> float:
        return self.history[-1]["test_bits"]


def train_textgen(
    text: str | None = None, cell: str = "gru", epochs: int = 8, hidden: int = 256, layers: int = 1,
    batch_size: int = 32, steps: int = 64, lr: float = 6e-3, dropout: float = 0.0, seed: int = 0,
    progress: Callable[[dict[str, Any]], None] | None = None, checkpoint: Any = None,
) -> TextResult:  # fmt: skip
    """Trains CharRNN on the first 95 % of text (default: load_text()) by truncated backpropagation through time.

    The text runs in batch_size parallel streams; the state goes on from window to window of `steps` characters, its
    history does not. progress: called after every window with {"epoch", "step", "steps", "bits"} and at an epoch's
    end with its record of the history. checkpoint: where to save weights and vocabulary (safetensors).
    """
    manual_seed(seed)
    text = load_text() if text is None else text
    cut = len(text) - len(text) // 20
    if cut < 2 * batch_size or len(text) - cut < 2:
        raise ValueError(f"train_textgen: {len(text)} characters are too few for {batch_size} streams")
    vocabulary = Vocabulary.of(text)
    numbers = vocabulary.encode(text)
    model = CharRNN(len(vocabulary), hidden, layers, cell, dropout=dropout)
    optimiser = optim.Adam(model.parameters(), lr=lr)
    history: list[dict[str, Any]] = []
    done = 0
    for epoch in range(1, epochs + 1):
        windows = Streams(
            numbers[:cut], batch_size, steps, int(generator().integers(0, min(steps, cut // 4)))
        )
        total, state = 0.0, None
        model.train()
        for i, (x, y) in enumerate(windows, 1):
            share = (epoch - 1 + i / len(windows)) / epochs
            optimiser.param_groups[0]["lr"] = lr * cosine(share) * min(1.0, share / _WARM_UP)
            loss, state = learn_window(model, optimiser, x, y, state)
            total += loss
            done += 1
            if progress is not None:
                seen = {"epoch": epoch, "step": done, "steps": epochs * len(windows)}
                progress({**seen, "bits": total / i / math.log(2)})
        record = {"epoch": epoch, "bits": total / len(windows) / math.log(2)}
        record["test_bits"] = bits_per_character(model, numbers[cut:])
        history.append(record)
        if progress is not None:
            progress(record)
    if checkpoint is not None:
        save_charrnn(model, vocabulary, checkpoint)
    return TextResult(model, vocabulary, history, *_baselines(text, numbers, cut))


def learn_window(
    model: CharRNN, optimiser: optim.Optimizer, x: np.ndarray, y: np.ndarray, state: Any
) -> tuple[float, Any]:
    """One step of training; returns the loss and the state without its history."""
    scores, state = model(x, state)
    loss = ops.cross_entropy(scores.reshape(-1, scores.shape[-1]), y.reshape(-1))
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return loss.item(), detach(state)


def bits_per_character(model: CharRNN, numbers: np.ndarray, streams: int = 8, steps: int = 256) -> float:
    """What the model needs to say each of these numbers, the state running along."""
    was_training = model.training
    model.eval()
    total, state, count = 0.0, None, 0
    with no_grad():
        for x, y in Streams(numbers, min(streams, len(numbers) - 1), steps):
            scores, state = model(x, state)
            loss = ops.cross_entropy(scores.reshape(-1, scores.shape[-1]), y.reshape(-1))
            total, count = total + loss.item() * y.size, count + y.size
    model.train(was_training)
    return total / count / math.log(2)


def _baselines(text: str, numbers: np.ndarray, cut: int) -> tuple[float, float]:
    counts = np.bincount(numbers[:cut], minlength=numbers.max() + 1) + 1
    frequency = -np.log2(counts / counts.sum())[numbers[cut:]].mean()
    whole, first = (len(lzma.compress(t.encode(), preset=9)) for t in (text, text[:cut]))
    return float(frequency), 8 * (whole - first) / (len(text) - cut)


def save_charrnn(model: CharRNN, vocabulary: Vocabulary, path: Any) -> None:
    """Weights, shape and characters in one safetensors file; load_charrnn reads it."""
    rnn = model.rnn
    facts = {"cell": type(rnn).__name__.lower(), "hidden": rnn.hidden_size, "layers": rnn.num_layers,
             "embedding": rnn.input_size, "characters": vocabulary.characters}  # fmt: skip
    save(model.state_dict(), path, metadata={"charrnn": json.dumps(facts)})


def load_charrnn(path: Any) -> tuple[CharRNN, Vocabulary]:
    """The model and its vocabulary, ready to generate; ValueError if the file holds something else."""
    try:
        facts = json.loads(load_metadata(path)["charrnn"])
    except KeyError:
        raise ValueError(f"load_charrnn: {path} is no checkpoint of `nnkern train textgen`") from None
    vocabulary = Vocabulary(facts.pop("characters"))
    model = CharRNN(len(vocabulary), **facts)
    model.load_state_dict(load(path))
    model.eval()
    return model, vocabulary


def write(
    model: CharRNN, vocabulary: Vocabulary, prompt: str = "The ", length: int = 400, temperature: float = 0.7,
    seed: int | None = None,
) -> Iterator[str]:  # fmt: skip
    """Characters that go on from the prompt, each as soon as it is there."""
    for number in model.generate(vocabulary.encode(prompt), length, temperature, seed):
        yield vocabulary.characters[number]
