"""The hypergraph that a config names, and its split."""

from __future__ import annotations

from hvdtma.core.errors import UserError
from hypergraph.config import DataConfig
from hypergraph.data import (
    MultimodalHypergraph,
    Split,
    from_debian,
    from_tables,
    from_tate,
    given_split,
    split_relation,
)


def load_data(config: DataConfig) -> MultimodalHypergraph:
    """Read the hypergraph; raises UserError as the sources do."""
    if config.hypergraph is not None:
        return MultimodalHypergraph.open(config.hypergraph)
    if config.tate is not None:
        return from_tate(config.tate.artworks, config.tate.subjects)
    if config.debian is not None:
        return from_debian(relations=config.debian.relations)
    assert config.tables is not None
    return from_tables(config.tables.modalities, config.tables.relations)


def load_split(config: DataConfig) -> Split:
    """Read the hypergraph and hold out hyperedges: by the split in the data, else at random.

    If a split in the data has no validation part, some of its training part is held out for it.

    Raises UserError if the config names no relation and there are several, and as `load_data`,
    `given_split` and `split_relation` do.
    """
    data = load_data(config)
    name = config.relation
    if name is None:
        if len(data.relations) > 1:
            raise UserError(
                f"data.relation is not given; of which relation are hyperedges held out? valid: "
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
