"""Encoders from neighbourhoods to embeddings, and decoders from embeddings to scores."""

from hvdtma.models.decoders import make_decoder
from hvdtma.models.encoder import Encoder
from hvdtma.models.first_hop import FirstHop, without_pairs

__all__ = ["Encoder", "FirstHop", "make_decoder", "without_pairs"]
