"""Encoders from neighbourhoods to embeddings, and decoders from embeddings to scores."""

from hvdtma.models.decoders import make_decoder
from hvdtma.models.encoder import Encoder

__all__ = ["Encoder", "make_decoder"]
