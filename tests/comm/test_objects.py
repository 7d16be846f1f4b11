"""Objects as tensors: any length, and nothing is unpickled without the right signature."""

import pickle

import pytest
import torch

from hvdtma.comm.objects import decode_object, encode_object
from hvdtma.comm.rendezvous.signing import new_secret
from hvdtma.core.errors import TrainerError

SECRET = new_secret()


class Bomb:
    """Touches a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("secret", [None, SECRET], ids=["unsigned", "signed"])
@pytest.mark.parametrize("length", range(9))
def test_objects_of_any_length_come_back(length, secret):
    value = ["x" * length, torch.arange(length)]
    text, numbers = decode_object(encode_object(value, secret), secret)
    assert text == value[0]
    assert numbers.equal(value[1])


@pytest.mark.parametrize("sender", [None, new_secret()], ids=["unsigned", "other secret"])
def test_what_is_not_signed_with_the_secret_is_not_unpickled(tmp_path, sender):
    words = encode_object(Bomb(tmp_path / "exploded"), sender)
    with pytest.raises(TrainerError, match="not signed with the job's secret"):
        decode_object(words, SECRET)
    assert not (tmp_path / "exploded").exists()
    pickle.loads(words.numpy().tobytes()[0 if sender is None else 32 :]).close()
    assert (tmp_path / "exploded").exists()  # it would have


def test_a_signed_object_that_was_changed_is_not_unpickled():
    words = encode_object({"a": 1}, SECRET)
    words[-1] ^= 1
    with pytest.raises(TrainerError, match="refused it"):
        decode_object(words, SECRET)
