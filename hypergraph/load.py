"""The hypergraph that a config asks for, with what it holds out."""

from __future__ import annotations

from hvdtma.core.errors import UserError
from hypergraph.config import DataConfig
from hypergraph.data.debian import from_debian
from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.split import Split, given_split, split_relation
from hypergraph.data.tables import from_tables
from hypergraph.data.tate import from_tate


def load_data(config: DataConfig) -> MultimodalHypergraph:
    """Read it; raises UserError as the sources do."""
    if config.hypergraph is not None:
        return MultimodalHypergraph.open(config.hypergraph)
    if config.tate is not None:
        return from_tate(config.tate.artworks, config.tate.subjects)
    if config.debian is not None:
        return from_debian(relations=config.debian.relations)
    assert config.tables is not None
    return from_tables(config.tables.modalities, config.tables.relations)


def load_split(config: DataConfig) -> Split:
    """Read it, and hold hyperedges out: as the data say, else at random.

    A given split without validation hyperedges has some of its training part held out for that.

    Raises UserError if it is not clear of which relation, and as `split_relation` does.
    """
    data = load_data(config)
    name = config.relation
    if name is None:
        if len(data.relations) > 1:
            raise UserError(
                f"data.relation: of which relation are hyperedges held out? valid: "
                f"{', '.join(data.relations)}"
            )
        [name] = data.relations
    if data.relation(name).part is not None:
        if config.together is not None:
            raise UserError(
                f"data.together is '{config.together}', but '{name}' comes with a split, which is "
                "kept; leave data.together out"
            )
        return given_split(data, name, valid=config.valid, seed=config.split_seed)
    return split_relation(
        data,
        name,
        valid=config.valid,
        test=config.test,
        seed=config.split_seed,
        together=config.together,
    )
