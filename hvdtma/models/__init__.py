"""Encoders, which turn neighbourhoods into embeddings, and decoders, which score links."""

from hvdtma.models.decoders import make_decoder
from hvdtma.models.encoder import Encoder, first_layer, make_encoder, sampled_fanouts
from hvdtma.models.encoders import LayeredEncoder
from hvdtma.models.typed_encoder import TypedEncoder, check_encoder_fits, make_typed_encoder
from hvdtma.models.typed_encoders import TypedLayeredEncoder

__all__ = [
    "Encoder",
    "LayeredEncoder",
    "TypedEncoder",
    "TypedLayeredEncoder",
    "check_encoder_fits",
    "first_layer",
    "make_decoder",
    "make_encoder",
    "make_typed_encoder",
    "sampled_fanouts",
]
