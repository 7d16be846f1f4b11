"""Objects as tensors: they come back equal, and decoding runs nobody else's code."""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.comm.objects import WORD_BYTES, decode_object, encode_object
from hvdtma.comm.rendezvous.members import RankInfo
from hvdtma.comm.rendezvous.signing import new_secret
from hvdtma.core.errors import TrainerError
from hvdtma.core.train_config import load_train_config
from hvdtma.runs.folder import StartMode
from hvdtma.sampling.draws import NOTHING, Exclusion

SECRET = new_secret()
SECRETS = pytest.mark.parametrize("secret", [None, SECRET], ids=["unsigned", "signed"])

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(st.text(), inner),
        st.dictionaries(st.integers() | st.tuples(st.text()), inner),
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(value=plain, secret=st.sampled_from([None, SECRET]))
def test_plain_values_come_back_with_their_types(value, secret):
    back = decode_object(encode_object(value, secret), secret)
    assert back == value
    assert repr(back) == repr(value)  # 1 and True and 1.0 are equal


@pytest.mark.parametrize("key", ["$", "class"])
def test_a_dict_with_the_keys_of_the_encoding_is_a_dict(key):
    value = {key: "enum", "name": "NEW"}
    assert decode_object(encode_object(value)) == value


@SECRETS
@pytest.mark.parametrize("length", range(9))
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.bfloat16])
def test_tensors_of_any_length_and_type_come_back(length, dtype, secret):
    tensor = torch.arange(length).to(dtype)
    text, back, empty = decode_object(
        encode_object(["x" * length, tensor, torch.zeros(0, 3)], secret), secret
    )
    assert text == "x" * length
    assert back.dtype == dtype
    assert back.equal(tensor)
    assert empty.shape == (0, 3)
    back.zero_()  # it may be written to


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.arange(6, dtype=np.uint16).reshape(2, 3).T,
        np.array(["a", "ünïcode"]),
        np.zeros((2, 0), np.float16),
        np.array(["2024-01-01"], "datetime64[D]"),
    ],
)
def test_arrays_come_back(array):
    back = decode_object(encode_object({"x": array}))["x"]
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_what_trainers_send_one_another_comes_back():
    config = load_train_config(None, ["store=a.zarr", "run=b", "rounds=3", "model.hidden=8"])
    sent = (config, StartMode.AUTO, RankInfo(1, 2, 3, 4, 5, 6, 7), NOTHING, Path("a b"), {3, 4})
    back = decode_object(encode_object(sent))
    assert back[0] == config
    assert back[0].model_fields_set == config.model_fields_set
    assert back[0].model.model_fields_set == config.model.model_fields_set
    assert back[1] is StartMode.AUTO
    assert back[2] == sent[2]
    assert isinstance(back[3], Exclusion)
    assert back[4:] == sent[4:]


@dataclass
class OfAnotherPackage:
    """A data class that is not the project's."""

    x: int = 1


@pytest.mark.parametrize("value", [OfAnotherPackage(), object(), print, np.array([None])])
def test_other_objects_cannot_be_sent(value):
    with pytest.raises(TypeError, match="cannot be sent to other trainers"):
        encode_object({"x": value})


class Bomb:
    """Touches a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_is_not_unpickled(tmp_path):
    content = pickle.dumps(Bomb(tmp_path / "exploded"))
    content += bytes(-len(content) % WORD_BYTES)
    words = torch.frombuffer(bytearray(content), dtype=torch.int64)
    with pytest.raises(TrainerError, match="no object of hvdtma"):
        decode_object(words)
    assert not (tmp_path / "exploded").exists()


def encoded(plain_value) -> torch.Tensor:
    """Words of any JSON, as an attacker may write them."""
    text = json.dumps(plain_value).encode()
    content = len(text).to_bytes(WORD_BYTES, "little") + text
    return torch.frombuffer(
        bytearray(content + bytes(-len(content) % WORD_BYTES)), dtype=torch.int64
    )


@pytest.mark.parametrize(
    "attack",
    [
        {"$": "object", "class": "os:system", "fields": {"command": "true"}},
        {"$": "object", "class": "subprocess:Popen", "fields": {"args": ["true"]}},
        {"$": "object", "class": "hvdtma.core.files:os.system", "fields": {}},
        {"$": "object", "class": "hvdtma.core.files:Path", "fields": {}, "given": None},
        {"$": "object", "class": "hvdtma.not.there:X", "fields": {}},
        {"$": "enum", "class": "hvdtma.comm.objects:_Reader", "name": "value"},
        {"$": "array", "dtype": "O", "shape": [1], "start": 0, "bytes": 8},
        {"$": "array", "dtype": "<f8", "shape": [9], "start": -8, "bytes": 72},
        {"$": "tensor", "dtype": "float32", "shape": [1 << 40], "start": 0, "bytes": 1 << 42},
        {"$": "value"},
        {"$": "raw"},
        {"$": ["tuple"]},
    ],
)
def test_no_encoded_object_reaches_other_code(attack):
    with pytest.raises(TrainerError, match="no object of hvdtma"):
        decode_object(encoded(attack))


@pytest.mark.parametrize("sender", [None, new_secret()], ids=["unsigned", "other secret"])
def test_what_is_not_signed_with_the_secret_is_refused(sender):
    with pytest.raises(TrainerError, match="not signed with the job's secret"):
        decode_object(encode_object({"a": 1}, sender), SECRET)


def test_a_signed_object_that_was_changed_is_refused():
    words = encode_object({"a": 1}, SECRET)
    words[-1] ^= 1
    with pytest.raises(TrainerError, match="refused it"):
        decode_object(words, SECRET)
