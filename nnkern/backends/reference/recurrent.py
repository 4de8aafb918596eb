"""A recurrent layer in one or two directions. cell: 0 tanh, 1 relu, 2 lstm, 3 gru, 4 gru with the reset gate before the product.

With weights *_reverse a second direction runs backwards in time: y and cells hold both side by side, gates and the
gradients of weights one after the other. Steps beyond a sequence's length write zeros and leave the state alone. gates
are what backward needs: i f g o of LSTM, r z n (and w_hn h + b_hn) of GRU. save: 1 cells, 2 gates, too.
"""

import numpy as np

__all__ = ["recurrent_backward", "recurrent_forward"]

GATES = (1, 1, 4, 3, 3)
SAVED = (0, 0, 4, 4, 3)


def _sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _turn(x, batch_first):
    return x if x is None or not batch_first else x.swapaxes(0, 1)


def _times(steps, direction):
    return range(steps - 1, -1, -1) if direction else range(steps)


def _active(lengths, steps, batch):
    """(T, N, 1): whether a step lies within its sequence."""
    ends = np.full(batch, steps) if lengths is None else lengths
    return (np.arange(steps)[:, None] < ends)[:, :, None]


def _one_step(cell, a, h, used, c, w_hh, b_hh, peephole):
    """The next h and c, and the gates. a (N, gates, H) is the input's part; used is h under the mask."""
    units = a.shape[2]
    w = w_hh.reshape(GATES[cell], units, -1)
    b = np.zeros((len(w), units), a.dtype) if b_hh is None else b_hh.reshape(len(w), units)
    hw = np.moveaxis(used @ w.swapaxes(1, 2), 0, 1) + b
    if cell == 2:
        p = np.zeros((3, units), a.dtype) if peephole is None else peephole
        i, f, g, o = np.moveaxis(a + hw, 1, 0)
        i, f, g = _sigmoid(i + p[0] * c), _sigmoid(f + p[1] * c), np.tanh(g)
        c = f * c + i * g
        o = _sigmoid(o + p[2] * c)
        return o * np.tanh(c), c, np.stack([i, f, g, o], 1)
    if cell < 2:
        s = (a + hw)[:, 0]
        return (np.tanh(s) if cell == 0 else np.maximum(s, 0)), c, s[:, None][:, :0]
    r, z = np.moveaxis(_sigmoid(a[:, :2] + hw[:, :2]), 1, 0)
    hn = hw[:, 2] if cell == 3 else (r * used) @ w[2].T + b[2]
    n = np.tanh(a[:, 2] + (r * hn if cell == 3 else hn))
    return n + z * (h - n), c, np.stack([r, z, n, hn][: SAVED[cell]], 1)


def recurrent_forward(
    x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, peephole, w_ih_reverse, w_hh_reverse, b_ih_reverse, b_hh_reverse,
    w_hr_reverse, peephole_reverse, lengths, mask, cell, batch_first, save,
):  # fmt: skip
    sides = [(w_ih, w_hh, b_ih, b_hh, w_hr, peephole)]
    if w_ih_reverse is not None:
        sides.append((w_ih_reverse, w_hh_reverse, b_ih_reverse, b_hh_reverse, w_hr_reverse, peephole_reverse))
    results, gates = (None,) * 4, []
    for d, w in enumerate(sides):
        *results, kept = _forward(
            x, h0, c0, *w, lengths, mask, *results, cell, d, len(sides), batch_first, save
        )
        gates.append(kept)
    return *results, np.concatenate(gates)


def _forward(
    x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, peephole, lengths, mask, y, h_n, c_n, cells,
    cell, direction, directions, batch_first, save,
):  # fmt: skip
    x = _turn(x, batch_first)
    steps, batch = x.shape[:2]
    units, out = len(w_hh) // GATES[cell], w_hh.shape[1]
    states = units if cell == 2 else 0
    kept = SAVED[cell] if save > 1 else 0

    def empty(shape, given):
        return np.zeros(shape, x.dtype) if given is None else given

    lead = (batch, steps) if batch_first else (steps, batch)
    y = empty((*lead, directions * out), y)
    cells = empty((*lead, directions * (states if save else 0)), cells)
    h_n = empty((directions, batch, out), h_n)
    c_n = empty((directions, batch, states), c_n)
    gates = np.zeros((steps, batch, kept, units), x.dtype)
    h = np.zeros((batch, out), x.dtype) if h0 is None else h0[direction]
    c = np.zeros((batch, states), x.dtype) if c0 is None else c0[direction]
    active = _active(lengths, steps, batch)
    a = np.where(active, x, 0) @ w_ih.T + (0 if b_ih is None else b_ih)
    a = a.reshape(steps, batch, GATES[cell], units)
    for t in _times(steps, direction):
        used = h if mask is None else h * mask[direction]
        h_new, c_new, g = _one_step(cell, a[t], h, used, c, w_hh, b_hh, peephole)
        if w_hr is not None:
            h_new = h_new @ w_hr.T
        on = active[t]
        h, c = np.where(on, h_new, h), np.where(on, c_new, c)
        _turn(y, batch_first)[t, :, direction * out : (direction + 1) * out] = np.where(on, h, 0)
        if save and states:
            at = slice(direction * states, (direction + 1) * states)
            _turn(cells, batch_first)[t, :, at] = np.where(on, c, 0)
        if kept:
            gates[t] = np.where(on[:, None], g, 0)
    h_n[direction], c_n[direction] = h, c
    return y, h_n, c_n, cells, gates.reshape(steps, batch, kept * units)


def _lstm_grad(dh, dc, gates, c, c_before, peephole):
    """Gradients of the gates' sums (N, 4, H) and of the cell before."""
    i, f, g, o = np.moveaxis(gates, 1, 0)
    p = np.zeros((3, c.shape[1]), c.dtype) if peephole is None else peephole
    th = np.tanh(c)
    do = dh * th * o * (1 - o)
    dc = dc + dh * o * (1 - th * th) + do * p[2]
    di, df, dg = dc * g * i * (1 - i), dc * c_before * f * (1 - f), dc * i * (1 - g * g)
    return np.stack([di, df, dg, do], 1), dc * f + di * p[0] + df * p[1]


def _gru_grad(cell, dh, gates, before, used, w_hh):
    """Gradients of the sums on the input's and on the state's side (N, 3, H), of the state and of `used`."""
    r, z, n = np.moveaxis(gates[:, :3], 1, 0)
    dz, dn = dh * (before - n) * z * (1 - z), dh * (1 - z) * (1 - n * n)
    if cell == 3:
        dr, dhn = dn * gates[:, 3] * r * (1 - r), dn * r
        inner = np.stack([dr, dz, dhn], 1)
        return np.stack([dr, dz, dn], 1), inner, dh * z, inner.reshape(len(dh), -1) @ w_hh
    units = dh.shape[1]
    du = dn @ w_hh[2 * units :]
    dr = du * used * r * (1 - r)
    d = np.stack([dr, dz, dn], 1)
    return d, d, dh * z, d[:, :2].reshape(len(dh), -1) @ w_hh[: 2 * units] + du * r


def recurrent_backward(
    gy, gh, gc, gcells, x, h0, c0, w_ih, w_hh, w_hr, peephole, w_ih_reverse, w_hh_reverse, w_hr_reverse,
    peephole_reverse, lengths, mask, y, cells, gates, cell, batch_first, needs_x,
):  # fmt: skip
    sides = [(w_ih, w_hh, w_hr, peephole)]
    if w_ih_reverse is not None:
        sides.append((w_ih_reverse, w_hh_reverse, w_hr_reverse, peephole_reverse))
    shared, found = (None,) * 3, []
    for d, (w, kept) in enumerate(zip(sides, np.split(gates, len(sides)))):
        *shared, a, b, c, e, f, g = _backward(
            gy, gh, gc, gcells, x, h0, c0, *w, lengths, mask, y, cells, kept, *shared, cell, d, len(sides),
            batch_first, needs_x,
        )  # fmt: skip
        found.append((a, b, c, e, f, g))
    return *shared, *(np.concatenate(g) for g in zip(*found))


def _backward(
    gy, gh, gc, gcells, x, h0, c0, w_ih, w_hh, w_hr, peephole, lengths, mask, y, cells, gates, gx, gh0, gc0,
    cell, direction, directions, batch_first, needs_x,
):  # fmt: skip
    x, gy, y, cells, gcells = (_turn(v, batch_first) for v in (x, gy, y, cells, gcells))
    steps, batch = x.shape[:2]
    units, out = len(w_hh) // GATES[cell], w_hh.shape[1]
    states, dtype = (units if cell == 2 else 0), x.dtype
    wide, tall = (
        slice(direction * out, (direction + 1) * out),
        slice(direction * states, (direction + 1) * states),
    )
    gates = gates.reshape(steps, batch, -1, units)
    active = _active(lengths, steps, batch)
    times = list(_times(steps, direction))
    first_h = np.zeros((batch, out), dtype) if h0 is None else h0[direction]
    first_c = np.zeros((batch, states), dtype) if c0 is None else c0[direction]
    dh = np.zeros((batch, out), dtype) if gh is None else gh[direction]
    dc = np.zeros((batch, states), dtype) if gc is None else gc[direction]
    da = np.zeros((steps, batch, GATES[cell], units), dtype)
    db, used = da.copy(), np.zeros((steps, batch, out), dtype)
    gw_hr = np.zeros((out, units if w_hr is not None else 0), dtype)
    gp = np.zeros((3, units if peephole is not None else 0), dtype)
    for k in reversed(range(steps)):
        t, on = times[k], active[times[k]]
        earlier = k > 0
        was = active[times[k - 1]] if earlier else np.zeros_like(on)
        before = np.where(was, y[times[k - 1], :, wide], first_h) if earlier else first_h
        used[t] = before if mask is None else before * mask[direction]
        g_out = dh + (0 if gy is None else np.where(on, gy[t, :, wide], 0))
        if cell == 2:
            c = cells[t, :, tall]
            c_before = np.where(was, cells[times[k - 1], :, tall], first_c) if earlier else first_c
            gm = g_out
            if w_hr is not None:
                gw_hr += np.where(on, g_out, 0).T @ (gates[t, :, 3] * np.tanh(c))
                gm = g_out @ w_hr
            g_cell = dc + (0 if gcells is None else np.where(on, gcells[t, :, tall], 0))
            d, dc_new = _lstm_grad(gm, g_cell, gates[t], c, c_before, peephole)
            d, dc = np.where(on[:, None], d, 0), np.where(on, dc_new, dc)
            if peephole is not None:
                gp += [(d[:, 0] * c_before).sum(0), (d[:, 1] * c_before).sum(0), (d[:, 3] * c).sum(0)]
            inner, direct, dused = d, 0, d.reshape(batch, -1) @ w_hh
        elif cell < 2:
            h = y[t, :, wide]
            slope = 1 - h * h if cell == 0 else np.logical_not(h <= 0).astype(dtype)
            d = np.where(on, g_out * slope, 0)[:, None]
            inner, direct, dused = d, 0, d[:, 0] @ w_hh
        else:
            d, inner, direct, dused = _gru_grad(cell, g_out, gates[t], before, used[t], w_hh)
            d, inner = np.where(on[:, None], d, 0), np.where(on[:, None], inner, 0)
        dh = np.where(on, direct + (dused if mask is None else dused * mask[direction]), dh)
        da[t], db[t] = d, inner
    return _gradients(
        da, db, used, gates, np.where(active, x, 0), w_ih, cell, gx, gh0, gc0, dh, dc, direction, directions,
        batch_first, needs_x,
    ) + (gw_hr, gp)  # fmt: skip


def _gradients(
    da, db, used, gates, x, w_ih, cell, gx, gh0, gc0, dh, dc, direction, directions, batch_first, needs_x
):
    """gx, gh0, gc0, gw_ih, gw_hh, gb_ih, gb_hh from the gradients of all gates' sums."""
    steps, batch, count, units = da.shape
    rows = steps * batch
    flat, inner = da.reshape(rows, count * units), db.reshape(rows, count * units)
    seen = used.reshape(rows, -1)
    gw_hh = inner.T @ seen
    if cell == 4:
        gw_hh[2 * units :] = inner[:, 2 * units :].T @ (gates[:, :, 0].reshape(rows, -1) * seen)
    more = (flat @ w_ih).reshape(x.shape) if needs_x else np.zeros((0, 0, 0), x.dtype)
    more = _turn(more, batch_first)
    gx = more if gx is None else np.add(gx, more, out=gx)
    gh0 = np.zeros((directions, *dh.shape), x.dtype) if gh0 is None else gh0
    gc0 = np.zeros((directions, *dc.shape), x.dtype) if gc0 is None else gc0
    gh0[direction], gc0[direction] = dh, dc
    gb = flat.sum(0)
    gb_hh = inner.sum(0) if cell == 3 else gb[:0]
    return gx, gh0, gc0, flat.T @ x.reshape(rows, -1), gw_hh, gb, gb_hh
