"""A hypergraph is described in numbers, a table and a page."""

import json

import numpy as np
import pytest
from pages import own_html, unpacked
from rich.console import Console
from small_hypergraphs import gallery

from hypergraph import GraphRecipe, Modality, Relation
from hypergraph.data.plot import write_plot
from hypergraph.data.summary_tables import tables


def test_sizes_degrees_and_densities():
    graph = gallery().with_intra("artwork", GraphRecipe("features", 2))
    graph = graph.with_modality(Modality("user", 4))
    found = graph.summary()
    user, artist = found["modalities"]["user"], found["modalities"]["artist"]
    assert user["items"] == 4
    assert user["ids"] == "positions"
    assert user["in_no_hyperedge"] == 0.5
    assert user["degree"] == {"mean": 0.75, "least": 0, "median": 0.5, "p90": pytest.approx(1.7),
                              "p99": pytest.approx(1.97), "most": 2}  # fmt: skip
    assert artist["ids"] == "strings"
    assert artist["intra"] is None
    assert found["modalities"]["medium"]["intra"]["density"] == 1
    assert found["modalities"]["artwork"]["intra"]["recipe"]["kind"] == "features"
    made, rated = found["relations"]["made"], found["relations"]["rated"]
    assert (made["arity"], made["hyperedges"]) == (3, 6)
    assert made["density"] == 6 / (6 * 3 * 2)
    assert made["values"] is None
    assert rated["values"] == {"least": 1, "mean": 2.5, "most": 4}
    assert graph.degrees("artwork").tolist() == [3, 2, 1, 1, 1, 1]


def test_repeats_and_parts_are_counted():
    rows = [[0, 0], [0, 0], [1, 0]]
    graph = gallery().with_relation(Relation("r", ("user", "medium"), rows, part=[0, 0, 2]))
    found = graph.summary()["relations"]["r"]
    assert found["repeats_dropped"] == 1
    assert found["parts"] == {"train": 1, "valid": 0, "test": 1}


def test_a_summary_is_plain_and_prints_as_a_table():
    found = gallery().with_intra("artwork", GraphRecipe("features", 2)).summary()
    assert json.loads(json.dumps(found)) == found
    console = Console(width=200)
    with console.capture() as said:
        console.print(tables(found))
    for words in ("artwork", "2 nearest by features", "given", "1 to 4", "6"):
        assert words in said.get()


def test_a_page_is_written_in_one_file(tmp_path):
    graph = gallery().with_intra("artist", GraphRecipe("hyperedges", 1))
    path = write_plot(graph, tmp_path / "page.html", title="A <gallery>")
    page = own_html(path)
    assert "A &lt;gallery&gt;" in page
    for word in ("Degrees", "Density", "inside medium", "artist"):
        assert word in page + unpacked(path, "plots")
    assert "http" not in page.split("</script>")[-1]


def test_items_without_hyperedges_do_not_stop_the_page(tmp_path):
    alone = Modality("alone", 3, features=np.ones((3, 1)))
    graph = gallery().with_modality(alone)
    assert graph.summary()["modalities"]["alone"]["degree"]["most"] == 0
    write_plot(graph, tmp_path / "page.html")
