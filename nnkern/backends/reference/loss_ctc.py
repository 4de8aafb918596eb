"""Connectionist temporal classification in NumPy, one sequence after another."""

import numpy as np


def _problem(log_probs, targets, input_lengths, target_lengths, blank):
    """(states, skip) of each sequence: its labels with blanks between, and 0 where a state may be jumped to."""
    first = np.cumsum(target_lengths) - target_lengths
    for n in range(log_probs.shape[1]):
        s = int(target_lengths[n])
        labels = targets[n, :s] if targets.ndim == 2 else targets[first[n] : first[n] + s]
        if ((labels < 0) | (labels >= log_probs.shape[2]) | (labels == blank)).any():
            raise IndexError("ctc_loss: a target is no class, or the blank")
        states = np.full(2 * s + 1, blank)
        states[1::2] = labels
        yield n, int(input_lengths[n]), states


def _alpha(x, states):
    """alpha[t, s] for x (T, C): log-probability of the frames up to t, ending in state s."""
    skip = np.full(len(states), -np.inf)
    skip[3::2] = np.where(states[3::2] != states[1:-2:2], 0, -np.inf)
    alpha = np.full((len(x), len(states) + 2), -np.inf, x.dtype)
    for t, frame in enumerate(x):
        if t == 0:
            alpha[0, 2:4] = frame[states[:2]]
            continue
        terms = np.stack([alpha[t - 1, 2:], alpha[t - 1, 1:-1], alpha[t - 1, :-2] + skip.astype(x.dtype)])
        top = np.maximum(np.max(terms, 0), x.dtype.type(-1e30))
        alpha[t, 2:] = frame[states] + top + np.log(np.sum(np.exp(terms - top), 0))
    return alpha


def _loss(alpha, states):
    if len(alpha) == 0:
        return 0.0 if len(states) == 1 else np.inf
    return -np.logaddexp.reduce(alpha[-1, 2:][-2:])


def ctc_loss_forward(log_probs, targets, input_lengths, target_lengths, blank):
    width = 2 * int(np.max(target_lengths, initial=0)) + 3
    losses = np.empty(log_probs.shape[1], log_probs.dtype)
    alphas = np.full((log_probs.shape[1], log_probs.shape[0], width), -np.inf, log_probs.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        for n, frames, states in _problem(log_probs, targets, input_lengths, target_lengths, blank):
            alpha = _alpha(log_probs[:frames, n], states)
            alphas[n, :frames, : alpha.shape[1]] = alpha
            losses[n] = _loss(alpha, states)
    return losses, alphas


def ctc_loss_backward(gy, log_probs, targets, input_lengths, target_lengths, alpha, blank, zero_infinity):
    gx = np.zeros(log_probs.shape, log_probs.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        for n, frames, states in _problem(log_probs, targets, input_lengths, target_lengths, blank):
            x, forward = log_probs[:frames, n], alpha[n, :frames, 2 : len(states) + 2]
            loss = _loss(alpha[n, :frames, : len(states) + 2], states)
            if np.isinf(loss):
                gx[:frames, n] = 0 if zero_infinity else np.nan
                continue
            beta = _alpha(x[::-1], states[::-1])[::-1, :1:-1]
            emit = x[:, states]
            share = np.where(np.isinf(emit), 0, np.exp(forward + beta - emit + loss))
            gx[:frames, n] = np.exp(x)
            for s, label in enumerate(states):
                gx[:frames, n, label] -= share[:, s]
            gx[:frames, n] *= gy[n]
    return gx
