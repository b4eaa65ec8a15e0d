"""Files of safetensors, written and read without the package: against it, and when damaged."""

import json
import os
import re
import struct
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import layers, models
from jaxcnn.interop import from_torch, to_safetensors
from jaxcnn.interop.weights import safetensors

DENSE = layers.Dense(3)
NETWORKS = {
    "what PyTorch lacks": (models.lenet5("paper"), (32, 32, 1)),
    "statistics": (models.resnet_imagenet(18, 5, width=4, stages=(1, 1)), (32, 32, 3)),
    "heads": (layers.serial(layers.Conv(2, 2), layers.heads(a=DENSE, b=DENSE)), (4, 4, 3)),
    "a leaf": (DENSE, (4,)),
    "no state, no parameters": (layers.Flatten(), (4, 4, 1)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_goes_out_comes_in_again(name, tmp_path):
    net, shape = NETWORKS[name]
    expected = net.init(jax.random.key(0), shape)
    path = tmp_path / "a.safetensors"
    to_safetensors(expected[0], expected[1], path)
    if jax.tree.leaves(expected):
        jax.tree.map(np.testing.assert_array_equal, from_torch(net, path, shape), expected)
    assert os.listdir(tmp_path) == ["a.safetensors"]


ARRAYS = {
    "transposed": np.arange(6.0, dtype=np.float32).reshape(2, 3).T,
    "every other": np.arange(7, dtype=np.int16)[::2],
    "big-endian": np.arange(3).astype(">i4"),
    "none": np.zeros((2, 0), np.float64),
    "no axes": np.array(2.5),
    "half": np.arange(4, dtype=np.float16),
    "flags": np.array([True, False, True]),
    "bytes": np.arange(5, dtype=np.uint8),
    "numbers": np.arange(5, dtype=np.uint64),
}


def test_the_package_reads_what_we_write(tmp_path):
    from safetensors import safe_open

    path = tmp_path / "a.safetensors"
    half = jnp.arange(3, dtype=jnp.bfloat16)
    words = {"network": "“é”", "": "\n"}
    to_safetensors({**ARRAYS, "inner": {"brain": half}}, {}, path, metadata=words)
    with safe_open(path, "numpy") as file:
        assert file.metadata() == words
        assert set(file.keys()) == {f"params/{name}" for name in [*ARRAYS, "inner/brain"]}
        for name, array in ARRAYS.items():
            found = file.get_tensor(f"params/{name}")
            assert (found.dtype, found.shape) == (array.dtype.newbyteorder("="), array.shape)
            np.testing.assert_array_equal(found, array)
    found = safetensors.read("test", path)
    np.testing.assert_array_equal(found["params/inner/brain"], half)
    assert all((found[f"params/{name}"] == ARRAYS[name]).all() for name in ARRAYS)


def test_we_read_what_the_package_writes(tmp_path):
    from safetensors.numpy import save_file

    given = {name: np.ascontiguousarray(array) for name, array in ARRAYS.items()}
    given["big-endian"] = given["big-endian"].astype("<i4")
    save_file(given, tmp_path / "a.safetensors", metadata={"a": "b"})
    found = safetensors.read("test", tmp_path / "a.safetensors")
    assert found.keys() == given.keys()
    for name, array in given.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


def packed(header, numbers=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def about(shape: Any = (2,), offsets: Any = (0, 8), dtype: Any = "F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


NUMBERS = np.arange(2, dtype="<f4").tobytes()
DAMAGED = {
    "nothing": (b"", "its 0 bytes hold no header of 0"),
    "less than a length": (b"\1\0", "its 2 bytes hold no header of 1"),
    "a header beyond the file": (
        struct.pack("<Q", 2**40) + b"{}", "hold no header of 1099511627776"
    ),
    "a header cut off": (packed({"a": about()})[:-3], "hold no header of"),
    "no JSON": (packed(b"{'a'}"), "its header is no JSON"),
    "no text": (packed(b"\xff\xfe"), "its header is no JSON"),
    "nested": (packed(b"[" * 100_000), "its header is no JSON"),
    "a list": (packed([1]), "its header holds no names"),
    "a name twice": (packed(b'{"a": 1, "a": 2}'), "its header says a name twice"),
    "no dict": (packed({"a": 1}), "its header describes no array under 'a'"),
    "no dtype": (packed({"a": {"shape": []}}), "its header describes no array under 'a'"),
    "an odd dtype": (packed({"a": about(dtype=["F32"])}), "no array under 'a'"),
    "an unknown dtype": (packed({"a": about(dtype="F8_E4M3")}), "the dtype of 'a', 'F8_E4M3', is"),
    "a negative size": (packed({"a": about((-1,))}), "no array under 'a'"),
    "a fraction": (packed({"a": about((2.0,))}), "no array under 'a'"),
    "true": (packed({"a": about((True, 2))}), "no array under 'a'"),
    "too many axes": (packed({"a": about([1] * 65 + [2])}), "no array under 'a'"),
    "three offsets": (packed({"a": about(offsets=(0, 4, 8))}), "no array under 'a'"),
    "a size that is not there": (
        packed({"a": about((2**40,))}, NUMBERS),
        "'a' of shape (1099511627776,) does not fill bytes 0 to 8",
    ),
    "a size beyond the file": (
        packed({"a": about((2**40,), (0, 2**42))}, NUMBERS),
        "its header states 4398046511104 bytes of numbers, it holds 8",
    ),
    "the same bytes twice": (
        packed({"a": about(), "b": about()}, NUMBERS), "the numbers of 'b' do not follow the others"
    ),
    "bytes left over": (packed({"a": about()}, NUMBERS + b"\0"), "8 bytes of numbers, it holds 9"),
    "bytes in front": (
        packed({"a": about(offsets=(4, 12))}, NUMBERS + b"\0" * 4), "the numbers of 'a' do not"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_file_gets_a_sentence(what, tmp_path):
    content, sentence = DAMAGED[what]
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(sentence)) as error:
        from_torch(DENSE, path, (4,))
    start = f"from_torch: weights must be a file of safetensors that can be read, got {path}: "
    assert str(error.value).startswith(start)


def test_whatever_a_file_holds_it_is_arrays_or_a_sentence(tmp_path):
    generator, path = np.random.default_rng(0), tmp_path / "a.safetensors"
    params, state = NETWORKS["statistics"][0].init(jax.random.key(0), (32, 32, 3))
    to_safetensors(params, state, path)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    header = 8 + int(whole[:8].view(np.uint64)[0])
    refused = 0
    for _ in range(300):
        damaged = whole.copy()
        places = generator.integers(0, header, generator.integers(1, 4))
        damaged[places] = generator.integers(0, 256, len(places))
        path.write_bytes(damaged.tobytes())
        try:
            arrays = safetensors.read("test", path)
        except ValueError:
            refused += 1
        else:
            assert sum(array.nbytes for array in arrays.values()) == len(whole) - header
    assert refused > 200


def test_what_does_not_fit_the_network_is_named(tmp_path):
    path = tmp_path / "a.safetensors"
    params, state = DENSE.init(jax.random.key(0), (4,))
    for given, sentence in (
        ({"weight": params["weight"]}, "weights must hold params/bias for net, got none"),
        ({**params, "more": np.ones(1)}, "a place for each of weights, got params/more"),
        ({**params, "bias": np.ones(4)}, "the shape (3,) for params/bias of net, got (4,) in"),
    ):
        to_safetensors(given, state, path)
        with pytest.raises(ValueError, match=re.escape(sentence)):
            from_torch(DENSE, path, (4,))


def test_what_is_no_tree_of_arrays_is_refused(tmp_path):
    key = jax.random.key(0)
    for given, sentence in (
        ([np.ones(1)], "params must be a dict of arrays, got [array([1.])]"),
        ({"a": [np.ones(1)]}, "params must be a dict of arrays, got {'a': [array([1.])]}"),
        ({"a": {"b": key}}, "params must be a dict of arrays of real numbers, got"),
        ({"a": 1j * np.ones(1)}, "got an array of shape (1,) under 'params/a'"),
        ({"a": "text"}, "got 'text' under 'params/a'"),
    ):
        with pytest.raises(TypeError, match=re.escape(sentence)):
            to_safetensors(given, {}, tmp_path / "a")
    assert not os.listdir(tmp_path)


def test_a_file_is_replaced_as_a_whole(tmp_path, monkeypatch):
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_bytes(b"before")
    link.symlink_to(path)

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            to_safetensors({"a": np.ones(1)}, {}, link)
    assert path.read_bytes() == b"before"
    to_safetensors({"a": np.ones(1)}, {}, link)
    assert link.is_symlink()
    assert safetensors.read("test", path).keys() == {"params/a"}
    assert sorted(os.listdir(tmp_path)) == ["a", "link"]
