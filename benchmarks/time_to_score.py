"""Seconds of training to a score, beside what people would use instead, on the same case.

    python benchmarks/time_to_score.py CASE [--seconds 240] [--set sampler.name=neighbour ...]

CASE is a folder with `case.npz` (`train`, `valid`, `test` pairs [n, 2]; `valid_neg`, `test_neg`
[n, K] destinations) and `feat.npy` [N, D]; links are undirected. The contenders run in turn, each
in a process of its own:

- `hvdtma`: one trainer with the defaults, or with what `--set` changes;
- `dgl`: DGL's DataLoader over as_edge_prediction_sampler(NeighborSampler([10, 25]),
  exclude="reverse_id") with one uniform negative per link, two SAGEConv layers of width 256 with
  LayerNorm and PReLU between them, an MLP on the elementwise product, binary cross-entropy, Adam at
  1e-3, batches of 1,024: the recipe of the TMA paper;
- `pyg`: the same recipe with PyTorch Geometric's LinkNeighborLoader, where pyg-lib or torch-sparse
  is installed. The loader leaves a batch's links in its messages.

Time is training time: the clock stands still while a model is scored, and while programs start and
compile. Making clusters counts. Scores are the MRR of the first 2,000 links of a part, embedded
from all training neighbours. The table has the seconds to 99 % of the best validation score of the
contender whose best is the lowest; `curves.json` beside CASE has all of it.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import nn

LINKS, WARM_UP_STEPS, HIDDEN, BATCH, FANOUTS = 2000, 2, 256, 1024, [10, 25]
Score = Callable[[str], float]
Steps = Iterator[int]


def main(
    case: Path,
    seconds: Annotated[float, typer.Option()] = 240,
    every: Annotated[float, typer.Option(help="seconds between two scores")] = 10,
    contenders: Annotated[str, typer.Option(help="separated by commas")] = "hvdtma,dgl,pyg",
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value of the config")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    only: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Run the contenders in turn and print the table."""
    if only:
        result = run(only, case, seconds, every, set_ or [], seed)
        print(json.dumps(result))
        return
    names = [name for name in contenders.split(",") if name != "pyg" or has_pyg_sampler()]
    results = {}
    for name in names:
        options = [f"--seconds={seconds}", f"--every={every}", f"--seed={seed}"]
        options += [f"--set={each}" for each in set_ or []]
        command = [sys.executable, "-W", "ignore", __file__, str(case), f"--only={name}", *options]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results[name] = json.loads(done.stdout.splitlines()[-1])
    (case / "curves.json").write_text(json.dumps(results))
    print_table(case.name, results, seconds)


def run(
    name: str, case: Path, seconds: float, every: float, changes: list[str], seed: int
) -> dict[str, Any]:
    """Train one contender; its curve, rate, memory and test score."""
    torch.manual_seed(seed)
    if name == "hvdtma":
        steps, score = ours(case, changes, seed)
    else:
        steps, score = {"dgl": dgl_peer, "pyg": pyg_peer}[name](case)
    curve: list[tuple[float, float]] = []
    spent, links, mark = 0.0, 0, every
    while spent < seconds:
        start = time.perf_counter()
        links += next(steps)
        spent += time.perf_counter() - start
        if spent >= mark or spent >= seconds:
            curve.append((spent, score("valid")))
            print(f"{name} {spent:6.1f} s  {curve[-1][1]:.4f}", file=sys.stderr, flush=True)
            mark = (spent // every + 1) * every
    return {
        "curve": curve,
        "rate": links / spent,
        "test": score("test"),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def print_table(case: str, results: dict[str, dict[str, Any]], seconds: float) -> None:
    """Print one row per contender."""
    best = {name: max(score for _, score in each["curve"]) for name, each in results.items()}
    wanted = 0.99 * min(best.values())
    print(f"\n{case}, {seconds:.0f} s of training, {torch.get_num_threads()} threads\n")
    print(f"| contender | links/s | seconds to {wanted:.4f} | best valid | test MRR | peak GiB |")
    print("|---|---|---|---|---|---|")
    for name, each in results.items():
        reached = next(spent for spent, score in each["curve"] if score >= wanted)
        print(
            f"| {name} | {each['rate']:,.0f} | {reached:.0f} | {best[name]:.4f} | "
            f"{each['test']:.4f} | {each['peak'] / 2**30:.2f} |"
        )


def ours(case: Path, changes: list[str], seed: int) -> tuple[Steps, Score]:
    """One trainer of hvdtma on a store that is built for it."""
    from hvdtma.comm import SingleProcess
    from hvdtma.core.train_config import load_train_config
    from hvdtma.evaluation.score import Scorer
    from hvdtma.graph.builder import BuildOptions, build
    from hvdtma.graph.ingest.file_source import FileSource
    from hvdtma.training.set_up import make_trainer, set_up_device

    folder = Path(tempfile.mkdtemp())
    source = FileSource(splits=case / "case.npz", features=case / "feat.npy", undirected=True)
    store = build(folder / "case.zarr", source.load(), BuildOptions())
    settings = [f"store={store.path}", f"run={folder}/run", "rounds=1", f"seed={seed}", *changes]
    config = load_train_config(None, settings)
    comm = SingleProcess()
    device = set_up_device(config, comm)
    warm = make_trainer(config, store, comm, device)
    for _ in range(WARM_UP_STEPS):  # compiles, or reads what was compiled
        warm.take_step()
    warm.release_shard()
    trainer = make_trainer(config, store, comm, device)
    scorer = Scorer(config, store, device)
    first = {part: scorer.task.read_held_out(part, np.arange(LINKS)) for part in scorer.held_out}
    scorer.held_out = first

    def steps() -> Steps:
        while True:
            yield trainer.take_step()[1]

    return steps(), lambda part: scorer(trainer.model, part)["mrr"]


class Case:
    """A case as tensors, with the score of the peers."""

    def __init__(self, folder: Path):
        arrays = np.load(folder / "case.npz")
        self.pairs = {name: torch.from_numpy(arrays[name]).long() for name in arrays.files}
        self.x = torch.from_numpy(np.load(folder / "feat.npy")).float()
        train = self.pairs["train"]
        self.ends = torch.cat([train, train.flip(1)]).T.contiguous()

    @torch.no_grad()
    def mrr(self, h_NH: torch.Tensor, decoder: nn.Module, part: str) -> float:
        """MRR of the first links of a part; equal scores share their ranks."""
        pairs, negatives = self.pairs[part][:LINKS], self.pairs[f"{part}_neg"][:LINKS]
        found = []
        for start in range(0, len(pairs), 128):
            u, v = pairs[start : start + 128].T
            right = decoder(h_NH[u] * h_NH[v])
            wrong = decoder(h_NH[u][:, None] * h_NH[negatives[start : start + 128]])[:, :, 0]
            found.append(1 / (1 + (wrong > right).sum(1) + 0.5 * (wrong == right).sum(1)))
        return float(torch.cat(found).mean())


class PeerModel(nn.Module):
    """The recipe's model, with a library's own convolutions."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.first, self.second = first, second
        self.between = nn.Sequential(nn.LayerNorm(HIDDEN), nn.PReLU())
        self.decoder = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.PReLU(), nn.Linear(HIDDEN, 1))

    def step(
        self, optimizer: torch.optim.Optimizer, right: torch.Tensor, wrong: torch.Tensor
    ) -> None:
        """One step of Adam on the products of both ends of links and of negatives."""
        score = self.decoder(torch.cat([right, wrong]))[:, 0]
        label = torch.cat([torch.ones(len(right)), torch.zeros(len(wrong))])
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(score, label).backward()
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        optimizer.step()


def dgl_peer(folder: Path) -> tuple[Steps, Score]:
    """DGL's own loader and layers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dgl

    case = Case(folder)
    links = case.ends.shape[1] // 2
    graph = dgl.graph(tuple(case.ends), num_nodes=len(case.x))
    model = PeerModel(
        dgl.nn.SAGEConv(case.x.shape[1], HIDDEN, "mean"), dgl.nn.SAGEConv(HIDDEN, HIDDEN, "mean")
    )
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    sampler = dgl.dataloading.as_edge_prediction_sampler(
        dgl.dataloading.NeighborSampler(FANOUTS),
        exclude="reverse_id",
        reverse_eids=torch.cat([torch.arange(links, 2 * links), torch.arange(links)]),
        negative_sampler=dgl.dataloading.negative_sampler.Uniform(1),
    )
    loader = dgl.dataloading.DataLoader(
        graph, torch.arange(links), sampler, batch_size=BATCH, shuffle=True
    )

    def steps() -> Steps:
        while True:
            for inputs, right, wrong, blocks in loader:
                h = model.between(model.first(blocks[0], case.x[inputs]))
                h = model.second(blocks[1], h)
                products = [h[u] * h[v] for u, v in (right.edges(), wrong.edges())]
                model.step(optimizer, *products)
                yield right.num_edges()

    def score(part: str) -> float:
        with torch.no_grad():
            h = model.second(graph, model.between(model.first(graph, case.x)))
        return case.mrr(h, model.decoder, part)

    return steps(), score


def has_pyg_sampler() -> bool:
    """Whether PyTorch Geometric can sample neighbours."""
    return any(importlib.util.find_spec(name) for name in ("pyg_lib", "torch_sparse"))


def pyg_peer(folder: Path) -> tuple[Steps, Score]:
    """PyTorch Geometric's own loader and layers."""
    from torch_geometric.data import Data
    from torch_geometric.loader import LinkNeighborLoader
    from torch_geometric.nn import SAGEConv

    case = Case(folder)
    data = Data(x=case.x, edge_index=case.ends)
    model = PeerModel(SAGEConv(case.x.shape[1], HIDDEN), SAGEConv(HIDDEN, HIDDEN))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    loader = LinkNeighborLoader(
        data,
        FANOUTS[::-1],
        edge_label_index=case.pairs["train"].T.contiguous(),
        neg_sampling="binary",
        batch_size=BATCH,
        shuffle=True,
    )

    def embed(x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        return model.second(model.between(model.first(x, edges)), edges)

    def steps() -> Steps:
        while True:
            for batch in loader:
                u, v = batch.edge_label_index
                h = embed(batch.x, batch.edge_index)
                product, is_link = h[u] * h[v], batch.edge_label > 0
                model.step(optimizer, product[is_link], product[~is_link])
                yield int(is_link.sum())

    def score(part: str) -> float:
        with torch.no_grad():
            return case.mrr(embed(case.x, case.ends), model.decoder, part)

    return steps(), score


if __name__ == "__main__":
    typer.run(main)
