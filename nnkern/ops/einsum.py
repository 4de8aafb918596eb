"""Sums of products by index letters, on matmul."""

from __future__ import annotations

import importlib
import math
from functools import lru_cache
from typing import Any

from .arithmetic import mul
from .distance import RowDots
from .matmul import matmul
from .reduce import sum
from .shape import axes_of, diagonal, permute, reshape, squeeze, unsqueeze

__all__ = ["einsum", "kron", "tensordot"]

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


Shapes = tuple[tuple[int, ...], ...]


def _parse(equation: str, shapes: Shapes) -> tuple[list[str], str]:
    """Each operand's letters and the result's, with letters for what an ellipsis stands for."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(shapes):
        raise ValueError(f"einsum: {equation!r} names {len(inputs)} operands, got {len(shapes)}")
    free = [c for c in _LETTERS if c not in text]
    widest = 0
    for i, (letters, shape) in enumerate(zip(inputs, shapes)):
        named = len(letters.replace("...", ""))
        if not letters.replace("...", "").isalpha() and named:
            raise ValueError(f"einsum: {letters!r} in {equation!r} must be letters, with at most one '...'")
        if named > len(shape) or ("..." not in letters and named != len(shape)):
            raise ValueError(f"einsum: {letters!r} does not fit operand {i} (shape {shape})")
        widest = max(widest, len(shape) - named if "..." in letters else 0)
    rest = "".join(free[:widest])
    for i, (letters, shape) in enumerate(zip(inputs, shapes)):
        extra = len(shape) - len(letters.replace("...", ""))
        inputs[i] = letters.replace("...", rest[len(rest) - extra :])
    if arrow:
        output = right.replace("...", rest)
    else:
        once = [c for c in "".join(inputs) if "".join(inputs).count(c) == 1 and c not in rest]
        output = rest + "".join(sorted(once))
    for c in output:
        if output.count(c) > 1 or c not in "".join(inputs):
            raise ValueError(
                f"einsum: {c!r} must stand once in the result of {equation!r}, and in an operand"
            )
    return inputs, output


def _lengths(equation: str, inputs: list[str], shapes: Shapes) -> dict[str, int]:
    found: dict[str, int] = {}
    for letters, shape in zip(inputs, shapes):
        own = dict(zip(letters, shape))
        for c, n in zip(letters, shape):
            if n != own[c]:  # a diagonal, where nothing broadcasts
                raise ValueError(
                    f"einsum: {c!r} in {letters!r} is both {n} and {own[c]} long (shape {shape})"
                )
            if found.setdefault(c, n) != n and 1 not in (n, found[c]):
                listed = ", ".join(map(str, shapes))
                raise ValueError(
                    f"einsum: {c!r} in {equation!r} is both {found[c]} and {n} long (shapes {listed})"
                )
            found[c] = n if found[c] == 1 else found[c]
    return found


def _single(x: Any, letters: str, kept: str) -> tuple[Any, str]:
    """x with repeated letters on their diagonal and letters not kept summed away."""
    for c in letters if len(set(letters)) < len(letters) else ():
        while letters.count(c) > 1:
            i = letters.index(c)
            j = letters.index(c, i + 1)
            x = diagonal(x, 0, i, j)
            letters = letters[:i] + letters[i + 1 : j] + letters[j + 1 :] + c
    gone = [i for i, c in enumerate(letters) if c not in kept]
    if gone:
        x, letters = sum(x, gone), "".join(c for c in letters if c in kept)
    return x, letters


def _arranged(x: Any, letters: str, order: str) -> Any:
    """x with its dims in `order`, those that it lacks of length 1."""
    if letters == order:
        return x
    have = [letters.index(c) for c in order if c in letters]
    if have != sorted(have):
        x = permute(x, have)
    for i, c in enumerate(order):
        if c not in letters:
            x = unsqueeze(x, i)
    return x


def _pair(x: Any, xs: str, y: Any, ys: str, kept: str) -> tuple[Any, str]:
    """Two operands into one, whose letters are those kept: one batched matmul, or a product where nothing is summed."""
    x, xs = _single(x, xs, ys + kept)
    y, ys = _single(y, ys, xs + kept)
    size_x, size_y = dict(zip(xs, x.shape)), dict(zip(ys, y.shape))
    alone = [c for c in xs if c in ys and c not in kept and size_x[c] != size_y[c]]  # 1 against n
    for c in alone:
        if size_x[c] == 1:
            x, xs = squeeze(x, xs.index(c)), xs.replace(c, "")
        else:
            y, ys = squeeze(y, ys.index(c)), ys.replace(c, "")
    if alone:
        x, xs = _single(x, xs, ys + kept)
        y, ys = _single(y, ys, xs + kept)
    batch = "".join(c for c in xs if c in ys and c in kept)
    depth = "".join(c for c in xs if c in ys and c not in kept)
    rows, cols = "".join(c for c in xs if c not in ys), "".join(c for c in ys if c not in xs)
    if not depth:
        order = batch + rows + cols
        return mul(_arranged(x, xs, order), _arranged(y, ys, order)), order
    if batch and not rows and not cols:  # dot products of rows: too short for matmul
        order = batch + depth
        a, b = _arranged(x, xs, order), _arranged(y, ys, order)
        if tuple(a.shape) == tuple(b.shape):
            if len(depth) > 1:
                shape = (*a.shape[: len(batch)], math.prod(a.shape[len(batch) :]))
                a, b = reshape(a, shape), reshape(b, shape)
            return RowDots()(a, b), batch
        return sum(mul(a, b), list(range(len(batch), len(order)))), batch
    outer = [max(size_x[c], size_y[c]) if min(size_x[c], size_y[c]) else 0 for c in batch]
    m, n, k = ([size_x[c] for c in rows], [size_y[c] for c in cols], [size_x[c] for c in depth])
    a = reshape(
        _arranged(x, xs, batch + rows + depth), (*[size_x[c] for c in batch], math.prod(m), math.prod(k))
    )
    # the right-hand side as it lies: matmul reads both orders
    b = reshape(
        _arranged(y, ys, batch + depth + cols), (*[size_y[c] for c in batch], math.prod(k), math.prod(n))
    )
    return reshape(matmul(a, b), (*outer, *m, *n)), batch + rows + cols


def _path(inputs: list[str], output: str, lengths: dict[str, int]) -> Any:
    """Pairs of operands to contract: opt_einsum's choice if it is installed, else from left to right."""
    if len(inputs) > 2:
        try:
            opt_einsum = importlib.import_module("opt_einsum")
            shapes = [tuple(lengths[c] for c in letters) for letters in inputs]
            equation = f"{','.join(inputs)}->{output}"
            return opt_einsum.contract_path(equation, *shapes, shapes=True, optimize="auto")[0]
        except ImportError:
            pass
    return [(0, 1)] * (len(inputs) - 1)


@lru_cache(256)
def _plan(equation: str, shapes: Shapes) -> tuple[list[str], str, Any]:
    """Each operand's letters, the result's, and in which pairs to contract them."""
    inputs, output = _parse(equation, shapes)
    return inputs, output, _path(inputs, output, _lengths(equation, inputs, shapes))


def _in_letters(*arguments: Any) -> tuple[str, tuple[Any, ...]]:
    """The equation and operands of einsum(x, [0, 1], y, [1, 2], [0, 2])."""
    letters = _LETTERS.swapcase()  # the order of the numbers is that of the letters
    named = []
    for dims in (*arguments[1::2], *arguments[len(arguments) // 2 * 2 :]):
        if not isinstance(dims, (list, tuple)) or not all(d is ... or d in range(52) for d in dims):
            found = dims if isinstance(dims, (list, tuple)) else type(dims).__name__
            raise ValueError(
                f"einsum: without an equation dims must be lists of numbers in [0, 52), got {found}"
            )
        named.append("".join("..." if d is ... else letters[d] for d in dims))
    operands = arguments[: len(arguments) // 2 * 2 : 2]
    result = ["->", *named[len(operands) :]] if len(named) > len(operands) else []
    return ",".join(named[: len(operands)]) + "".join(result), operands


def einsum(equation: Any, *operands: Any) -> Any:
    """Sum of products: y[result's letters] = sum over the other letters of the product of the operands.

    equation: letters for the dims of each operand, "..." for any leading ones that broadcast, and of the result
    ("ij,jk->ik"); without "->" the result has the letters that stand once, in alphabetical order. A letter twice in one
    operand is its diagonal. Also einsum(x, [0, 1], y, [1, 2], [0, 2]), with numbers for letters. operands: float32 or float64 arrays, or one list of them. More than two are contracted in
    opt_einsum's order where that package is installed, else from left to right; each pair is one batched matmul.
    Raises ValueError for letters and shapes that do not fit. Semantics: torch.einsum.

    >>> einsum("ij,ij->i", np.ones((2, 3)), np.ones((2, 3)))
    array([3., 3.])
    """
    if not isinstance(equation, str):
        equation, operands = _in_letters(equation, *operands)
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError("einsum: needs at least one operand")
    inputs, output, path = _plan(equation, tuple(tuple(x.shape) for x in operands))
    todo = list(zip(operands, inputs))
    for chosen in path:
        parts = [todo.pop(i) for i in sorted(chosen, reverse=True)]
        (x, xs), *others = parts[::-1]
        for y, ys in others:
            kept = output + "".join(letters for _, letters in todo)
            x, xs = _pair(x, xs, y, ys, kept if y is others[-1][0] else kept + "".join(a for _, a in others))
        todo.append((x, xs))
    ((x, letters),) = todo
    x, letters = _single(x, letters, output)
    return _arranged(x, letters, output)


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sum of products over dims: a number (the last of a with the first of b), or a list of a's and one of b's.

    >>> tensordot(np.ones((2, 3)), np.ones((3, 4)), 1).shape
    (2, 4)
    """
    if isinstance(dims, int):
        dims = (list(range(a.ndim - dims, a.ndim)), list(range(dims)))
    first, second = (axes_of("tensordot", d, x.ndim) for d, x in zip(dims, (a, b)))
    if [a.shape[i] for i in first] != [b.shape[i] for i in second]:
        raise ValueError(
            f"tensordot: dims {list(first)} of a and {list(second)} of b must be equally long "
            f"(a.shape={tuple(a.shape)}, b.shape={tuple(b.shape)})"
        )
    rows, cols = ([i for i in range(x.ndim) if i not in d] for x, d in ((a, first), (b, second)))
    depth = math.prod(a.shape[i] for i in first)
    x = reshape(permute(a, [*rows, *first]), (math.prod(a.shape[i] for i in rows), depth))
    y = reshape(permute(b, [*second, *cols]), (depth, math.prod(b.shape[i] for i in cols)))
    return reshape(matmul(x, y), [*[a.shape[i] for i in rows], *[b.shape[i] for i in cols]])


def kron(a: Any, b: Any) -> Any:
    """The Kronecker product: blocks a[i, j] * b."""
    n = max(a.ndim, b.ndim)
    shapes = [[1] * (n - x.ndim) + list(x.shape) for x in (a, b)]
    x = reshape(a, [s for length in shapes[0] for s in (length, 1)])
    y = reshape(b, [s for length in shapes[1] for s in (1, length)])
    return reshape(mul(x, y), [p * q for p, q in zip(*shapes)])
