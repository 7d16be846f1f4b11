"""Load the model that a question is about: a run's, or a pretrained one on a store."""

from __future__ import annotations

from hvdtma.api.arguments import FilePath
from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.evaluation.best_model import BestModel, load_best
from hvdtma.evaluation.pretrained import load_pretrained
from hvdtma.graph.store import open_store
from hvdtma.runs.pretrained import is_pretrained


def load_model(run: FilePath, store: FilePath | None, *, scored: bool) -> BestModel:
    """The model of a run's best round, or a pretrained model, which needs a store.

    Raises UserError as `load_best` and `load_pretrained` do.
    """
    path, store_path = expanded(run), None if store is None else expanded(store)
    if not is_pretrained(path):
        return load_best(path, store_path, scored=scored)
    loaded = load_pretrained(path)
    if store_path is None:
        raise UserError(f"{path} is a pretrained model, without a graph; give --store STORE")
    return loaded.on(open_store(store_path), scored=scored)
