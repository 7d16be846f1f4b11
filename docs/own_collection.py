"""HyperLearn on your own collection: python docs/own_collection.py."""

import numpy as np

from hypergraph import (
    FactorModelConfig,
    GraphRecipe,
    HyperLearn,
    HyperLearnConfig,
    LossConfig,
    Modality,
    MultimodalHypergraph,
    Relation,
    ValidationConfig,
    split_relation,
)

# An invented collection: which user gave which film which tag. Every user, film and tag has one of
# eight tastes, and all three of a hyperedge have the same. The model does not know the tastes; the
# films' features show them. Items of the same taste cannot be told apart: the best possible MRR is
# about 0.21.
random = np.random.default_rng(0)
taste = {name: random.integers(0, 8, size) for name, size in (("user", 300), ("film", 500))}
taste["tag"] = np.arange(40) % 8
shared = random.integers(0, 8, 4000)
rows = [[random.choice(np.flatnonzero(taste[name] == t)) for t in shared] for name in taste]

graph = MultimodalHypergraph.of(
    [
        Modality("user", 300),
        Modality("film", 500, features=np.eye(8)[taste["film"]] + random.normal(0, 0.5, (500, 8))),
        Modality("tag", 40, ids=np.array([f"{n}-{n % 8}" for n in range(40)])),
    ],
    [Relation("tagged", ("user", "film", "tag"), np.stack(rows, axis=1))],
)
graph = graph.with_intra("film", GraphRecipe("features", k=5))
graph = graph.with_intra("user", GraphRecipe("hyperedges", k=5))
split = split_relation(graph, "tagged", valid=0.1, test=0.1, seed=0)

config = HyperLearnConfig(
    iterations=60,
    model=FactorModelConfig(dim=16),
    loss=LossConfig(negatives=16),
    evaluate=ValidationConfig(every=10),
)
model = HyperLearn(split, config)
print(model.placement)
model.fit(lambda event: print(f"iteration {event['iteration']}: mrr {event['valid']['mrr']:.3f}"))
print({name: round(value, 3) for name, value in model.evaluate("test").items()})

print("tags for user 3 and film 7:")
for tag, score in model.complete("tagged", {"user": 3, "film": 7}, missing="tag", top=3):
    print(f"  {tag}  {score:.2f}")
print("films like film 7:", [film for film, _ in model.similar("film", 7, top=5)])
print("tags near film 7:", [tag for tag, _ in model.similar("film", 7, across="tag", top=5)])

# Add a modality: the country of each film. The other modalities start from their learned factors.
made = np.stack([np.arange(500), taste["film"] // 2], axis=1)
larger = model.add_modality(Modality("country", 4), Relation("made in", ("film", "country"), made))
larger.fit()
print(f"with countries: {larger.best['mrr']:.3f} on validation; without: {model.best['mrr']:.3f}")
larger.save("runs/own_collection.safetensors")
