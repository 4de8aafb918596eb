"""safetensors files: exchanged with the safetensors package both ways; damaged files give clear errors."""

import json
import os

import numpy as np
import pytest
from support import randn, rng

import nnkern
from nnkern.serialization import load, load_metadata, save

STATE = {
    "a.weight": randn(3, 5),
    "b": randn(4, dtype=np.float64),
    "half": randn(2, 3).astype(np.float16),
    "count": np.array(7),
    "mask": np.array([[True, False]]),
    "bytes": np.arange(5, dtype=np.uint8),
    "empty": np.zeros((0, 3), np.int32),
    "transposed": randn(4, 6).T,
    "größe ✓": np.arange(3, dtype=np.int16),
}


def assert_same(a, b):
    assert sorted(a) == sorted(b)
    for k in a:
        assert a[k].dtype == b[k].dtype and a[k].shape == b[k].shape, k
        np.testing.assert_array_equal(a[k], b[k], err_msg=k)


def test_round_trip(tmp_path):
    path = tmp_path / "x.safetensors"
    save(STATE, path, metadata={"epoch": "3"})
    loaded = load(path)
    assert_same(loaded, STATE)
    assert all(a.flags.writeable and a.flags.aligned for a in loaded.values())
    assert load_metadata(path) == {"epoch": "3"}
    save({}, path)
    assert load(path) == {} and load_metadata(path) == {}


def test_exchange_with_the_safetensors_package(tmp_path):
    theirs = pytest.importorskip("safetensors.numpy")
    state = {k: np.ascontiguousarray(v).reshape(v.shape) for k, v in STATE.items()}
    save(STATE, tmp_path / "ours")
    assert_same(theirs.load_file(tmp_path / "ours"), state)
    theirs.save_file(state, tmp_path / "theirs", metadata={"k": "v"})
    assert_same(load(tmp_path / "theirs"), state)
    assert load_metadata(tmp_path / "theirs") == {"k": "v"}


def test_bfloat16_of_torch(tmp_path):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("safetensors.torch")
    x = torch.randn(3, 5).bfloat16()
    theirs.save_file({"x": x}, tmp_path / "x")
    np.testing.assert_array_equal(load(tmp_path / "x")["x"], x.float().numpy())


def test_tensors_and_torch_tensors_are_saved(tmp_path):
    state = {"p": nnkern.Tensor(randn(2, 2), requires_grad=True)}
    try:
        import torch

        state["t"] = torch.ones(3, requires_grad=True)
    except ImportError:
        pass
    save(state, tmp_path / "x")
    np.testing.assert_array_equal(load(tmp_path / "x")["p"], state["p"].data)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    save({"a": randn(3)}, path)
    before = path.read_bytes()

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        save({"a": randn(4)}, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x"]


def test_saved_files_have_the_usual_permissions(tmp_path):
    save({}, tmp_path / "x")
    (tmp_path / "y").write_bytes(b"")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "y").stat().st_mode


@pytest.mark.parametrize(
    "state, error, message",
    [
        ({"x": np.zeros(2, complex)}, TypeError, "save: x is complex128"),
        ({"x": [1, 2]}, TypeError, "save: x: expected an array"),
        ({"__metadata__": np.zeros(2)}, ValueError, "can't be the name"),
        ({3: np.zeros(2)}, ValueError, "can't be the name"),
    ],
)
def test_save_errors(tmp_path, state, error, message):
    with pytest.raises(error, match=message):
        save(state, tmp_path / "x")
    assert not os.listdir(tmp_path)


def raw(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


EIGHT = bytes(8)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "0 bytes, the header length alone takes 8"),
        (b"\x01\x00\x00", "3 bytes"),
        (raw(b"{}", length=2**63), "header should have 9223372036854775808 bytes but 2 follow"),
        (raw(b"{}", length=3), "should have 3 bytes but 2 follow"),
        (raw(b"\xff\xfe"), "header can't be read"),
        (raw(b'{"a": '), "header can't be read"),
        (raw(b"[" * 100_000), "header can't be read"),
        (raw(b"[1]"), "not an object"),
        (raw(b'{"a": {}, "a": {}}'), "a name occurs twice"),
        (raw({"a": {"dtype": "F32"}}), "'a' must have dtype, shape and data_offsets"),
        (raw({"a": 3}), "'a' must have"),
        (raw({"a": entry("F33")}, EIGHT), "unknown dtype 'F33'"),
        (raw({"a": entry(["F32"])}, EIGHT), "unknown dtype"),
        (raw({"a": entry(shape=[-2])}, EIGHT), r"has the shape \[-2\]"),
        (raw({"a": entry(shape=[2.0])}, EIGHT), "has the shape"),
        (raw({"a": entry(shape=[True])}, EIGHT), "has the shape"),
        (raw({"a": entry(shape=[2**62, 2**62])}, EIGHT), "takes"),
        (raw({"a": entry(shape=[1] * 40)}, EIGHT), "has the shape"),
        (raw({"a": entry(offsets=[0, 7])}, EIGHT), "takes 8 bytes, its data_offsets are"),
        (raw({"a": entry(offsets=[8, 0])}, EIGHT), "takes 8 bytes"),
        (raw({"a": entry(offsets=[0, 8, 9])}, EIGHT), "data_offsets"),
        (raw({"a": entry(offsets=["0", 8])}, EIGHT), "data_offsets"),
        (
            raw({"a": entry(), "b": entry()}, EIGHT),
            "'b' begins at byte 0 of the data, the array before it ends at 8",
        ),
        (raw({"a": entry(offsets=(4, 12))}, EIGHT + EIGHT), "'a' begins at byte 4"),
        (raw({"a": entry()}, EIGHT + b"x"), "its arrays take 8 bytes, its data has 9"),
        (raw({"a": entry()}, EIGHT[:5]), "its data has 5 .is the file cut short"),
        (raw({"__metadata__": {"a": 1}}), "__metadata__ does not map"),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"load: .*bad.safetensors.*{message}"):
        load(path)


def test_every_truncation_and_many_flipped_bits_are_harmless(tmp_path):
    path = tmp_path / "x"
    save({"a": randn(3, 2), "b": np.arange(4)}, path)
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(ValueError, match="load: "):
            load(path)
    g = rng(9)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[g.integers(len(whole))] ^= 1 << int(g.integers(8))
        path.write_bytes(damaged)
        try:
            load(path)
        except ValueError as e:
            assert str(e).startswith("load: ")


def test_save_keeps_the_mode_and_writes_through_links(tmp_path):
    file, link = tmp_path / "w.safetensors", tmp_path / "link"
    nnkern.save({"w": np.zeros(2)}, file)
    file.chmod(0o600)
    link.symlink_to(file)
    nnkern.save({"w": np.ones(2)}, link)
    assert link.is_symlink() and file.stat().st_mode & 0o777 == 0o600
    assert nnkern.load(file)["w"].tolist() == [1, 1]
