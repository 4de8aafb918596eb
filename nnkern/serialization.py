"""Weights on disk in the safetensors format: a header length, a JSON header, raw data. Never a pickle.

Format: https://huggingface.co/docs/safetensors. What a file claims is checked before it is believed.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from typing import Any

import numpy as np

from .device import is_torch, to_ndarray
from .tensor import Tensor

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "?",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}
_MAX_HEADER = 100_000_000  # the format's own limit


def save(state_dict: Mapping[str, Any], path: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Writes {name: array} (a module's state_dict) to a safetensors file, all of it or nothing.

    The file appears under its name only when it is complete. metadata: {str: str}, kept beside the arrays.

    >>> nnkern.save(nn.Linear(2, 1).state_dict(), "model.safetensors")
    >>> {name: array.shape for name, array in nnkern.load("model.safetensors").items()}
    {'weight': (1, 2), 'bias': (1,)}
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"save: state_dict must map names to arrays, got {type(state_dict).__name__}")
    arrays = {}
    for name, value in state_dict.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise ValueError(f"save: {name!r} can't be the name of an array")
        if is_torch(value):
            value = value.detach()
        array = value.data if isinstance(value, Tensor) else to_ndarray(value, f"save: {name}")
        little = array.dtype.newbyteorder("<")
        if little not in _NAMES:
            raise TypeError(
                f"save: {name} is {array.dtype}; safetensors files hold {', '.join(map(str, _NAMES))}"
            )
        arrays[name] = array.astype(little, order="C", copy=False)
    header: dict[str, Any] = {}
    if metadata:
        if not all(isinstance(s, str) for pair in metadata.items() for s in pair):
            raise TypeError("save: metadata must map strings to strings")
        header["__metadata__"] = dict(metadata)
    at = 0
    by_alignment = sorted(arrays.items(), key=lambda item: -item[1].itemsize)
    for name, a in by_alignment:
        header[name] = {"dtype": _NAMES[a.dtype], "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    _write_whole(
        path,
        [
            len(text).to_bytes(8, "little"),
            text,
            *(a.reshape(-1).view(np.uint8).data for _, a in by_alignment),
        ],
    )


def _write_whole(path: Any, parts: list[Any]) -> None:
    import tempfile  # slow to import

    path = os.path.realpath(path)  # a link stays one: its file is replaced
    handle, temporary = tempfile.mkstemp(
        dir=os.path.dirname(path) or ".", prefix=os.path.basename(path), suffix=".tmp"
    )
    try:
        with os.fdopen(handle, "wb") as f:
            for part in parts:
                f.write(part)
            f.flush()
            os.fsync(f.fileno())
        if os.path.exists(path):
            mode = stat.S_IMODE(os.stat(path).st_mode)
        else:  # mkstemp's files are private
            umask = os.umask(0)
            os.umask(umask)
            mode = 0o666 & ~umask
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load(path: Any) -> dict[str, np.ndarray]:
    """{name: array} of a safetensors file; bfloat16 becomes float32. ValueError says what is wrong."""
    return _read(path)[0]


def load_metadata(path: Any) -> dict[str, str]:
    """The {str: str} that save was given."""
    return _read(path, only_header=True)[1]


def _read(path: Any, only_header: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"load: path must be a path, got {type(path).__name__}")
    path = os.fspath(path)

    def bad(what: str) -> ValueError:
        return ValueError(f"load: {path!r} is not a valid safetensors file: {what}")

    with open(path, "rb") as f:
        total = os.fstat(f.fileno()).st_size
        if total < 8:
            raise bad(f"it has {total} bytes, the header length alone takes 8")
        n = int.from_bytes(f.read(8), "little")
        if n > min(_MAX_HEADER, total - 8):
            raise bad(f"its header should have {n} bytes but {total - 8} follow")
        try:
            header = json.loads(f.read(n).decode("utf-8"), object_pairs_hook=_no_duplicates)
        except (ValueError, RecursionError) as e:
            raise bad(f"its header can't be read ({e})") from None
        if not isinstance(header, dict):
            raise bad("its header is not an object")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise bad("__metadata__ does not map strings to strings")
        _check_entries(header, total - 8 - n, bad)
        if only_header:
            return {}, metadata
        data = np.fromfile(f, np.uint8)
        if data.size != total - 8 - n:
            raise bad(f"{data.size} bytes of data could be read, {total - 8 - n} were expected")
    return {name: _array(entry, data) for name, entry in header.items()}, metadata


def _no_duplicates(pairs: list[Any]) -> dict[str, Any]:
    d = dict(pairs)
    if len(d) != len(pairs):
        raise ValueError("a name occurs twice")
    return d


def _check_entries(header: dict[str, Any], data_bytes: int, bad: Any) -> None:
    """Known dtypes, sane shapes, and offsets that cover the data exactly once."""

    def is_count(v: Any) -> bool:
        return type(v) is int and 0 <= v < 2**63

    for name, entry in header.items():
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise bad(f"the entry of {name!r} must have dtype, shape and data_offsets")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if dtype != "BF16" and (not isinstance(dtype, str) or dtype not in _DTYPES):
            raise bad(f"{name!r} has the unknown dtype {dtype!r}")
        if not isinstance(shape, list) or not all(map(is_count, shape)) or len(shape) > 32:
            raise bad(f"{name!r} has the shape {shape!r}")
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(is_count, offsets)):
            raise bad(f"{name!r} has the data_offsets {offsets!r}")
        itemsize = 2 if dtype == "BF16" else np.dtype(_DTYPES[dtype]).itemsize
        needed = math.prod(shape) * itemsize
        if offsets[1] - offsets[0] != needed:
            raise bad(
                f"{name!r} of shape {shape} and dtype {dtype} takes {needed} bytes, "
                f"its data_offsets are {offsets}"
            )
    at = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        if begin != at:
            raise bad(f"{name!r} begins at byte {begin} of the data, the array before it ends at {at}")
        at = end
    if at != data_bytes:
        raise bad(f"its arrays take {at} bytes, its data has {data_bytes} (is the file cut short?)")


def _array(entry: dict[str, Any], data: np.ndarray) -> np.ndarray:
    begin, end = entry["data_offsets"]
    part = data[begin:end].copy()  # aligned, and independent of the other arrays
    if entry["dtype"] == "BF16":
        return (part.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    if entry["dtype"] == "BOOL":
        part = part != 0  # any other byte would be an invalid bool
    return part.view(dtype).astype(dtype.newbyteorder("="), copy=False).reshape(entry["shape"])
