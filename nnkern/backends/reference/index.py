"""Reading and writing by integer index along one axis, in NumPy. Repeated indices add up, in order."""

import numpy as np


def _start_from(x, out):
    if out is None:
        return x.copy()
    if out is not x:
        out[...] = x
    return out


def _places(index, axis):
    """One index array per axis: v[_places(index, axis)] pairs every element of index with its target."""
    places = list(np.indices(index.shape, sparse=True))
    places[axis] = index
    return tuple(places)


def take_forward(x, index, axis):
    return np.take(x, index, axis)


def index_add_forward(x, index, source, axis, out=None):
    y = _start_from(x, out)
    np.add.at(y, (slice(None),) * (axis % x.ndim) + (index,), source)
    return y


def gather_forward(x, index, axis):
    return x[_places(index, axis)]


def scatter_forward(x, index, source, axis, out=None):
    y = _start_from(x, out)
    y[_places(index, axis)] = source[tuple(map(slice, index.shape))]
    return y


def scatter_reduce_forward(x, index, source, axis, reduce, include_self):
    """reduce: 0 product, 1 largest, 2 smallest."""
    fold = (np.multiply, np.maximum, np.minimum)[reduce]
    y, places = x.copy(), _places(index, axis)
    if not include_self:
        exact = np.iinfo(x.dtype) if x.dtype.kind in "iu" else None
        low, high = (exact.min, exact.max) if exact else (0, 1) if x.dtype == bool else (-np.inf, np.inf)
        y[places] = (1, low, high)[reduce]
    fold.at(y, places, source[tuple(map(slice, index.shape))])
    return y


def scatter_add_forward(x, index, source, axis, out=None):
    y = _start_from(x, out)
    np.add.at(y, _places(index, axis), source[tuple(map(slice, index.shape))])
    return y
