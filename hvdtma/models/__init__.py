"""Encoders, which turn neighbourhoods into embeddings, and decoders, which score links."""

from hvdtma.models.decoders import make_decoder
from hvdtma.models.encoder import Encoder, first_layer, make_encoder, sampled_fanouts
from hvdtma.models.encoders import LayeredEncoder

__all__ = [
    "Encoder",
    "LayeredEncoder",
    "first_layer",
    "make_decoder",
    "make_encoder",
    "sampled_fanouts",
]
