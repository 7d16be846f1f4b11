"""Encoders from neighbourhoods to embeddings, and decoders from embeddings to scores."""

from hvdtma.models.encoder import Encoder, first_layer, make_encoder, sampled_fanouts
from hvdtma.models.encoders import LayeredEncoder

__all__ = ["Encoder", "LayeredEncoder", "first_layer", "make_encoder", "sampled_fanouts"]
