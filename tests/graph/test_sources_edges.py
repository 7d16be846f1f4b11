"""Edges come out of any file as they stand in it, and a bad line is named."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.raw import RawGraph


def write(folder, name: str, text: str | bytes) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.lower().endswith(".gz") else data)
    return str(path)


def pairs(raw: RawGraph) -> list[tuple]:
    """The edges in the user's ids, in an order of their own."""
    return ordered((raw.node_id[s], raw.node_id[d]) for s, d in zip(raw.src, raw.dst, strict=True))


def ordered(edges) -> list[tuple]:
    return sorted(edges, key=str)


def load_text(folder, text: str | bytes, name: str = "edges.csv", **columns) -> RawGraph:
    return FileSource(write(folder, name, text), **columns).load()


INTEGERS = [(1, 2), (3, 1)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("edges.csv", "1,2\n3,1\n"),
        ("edges.csv", "src,dst\n1,2\n3,1"),
        ("edges.csv", "id_1,id_2\r\n1,2\r\n3,1\r\n"),
        ("edges.csv", "here,there\n1,2\n3,1\n"),
        ("edges.csv", "\ufeffsource,target\n1,2\n3,1\n"),
        ("edges.csv", "target,weight,source\n2,.5,1\n1,.7,3\n"),
        ("edges.csv.gz", "1,2\n3,1\n"),
        ("edges.tsv", "1\t2\n3\t1\n"),
        ("EDGES.CSV.GZ", "1,2\n3,1\n"),
        ("edges.tsv.gz", "u\tv\n1\t2\n3\t1\n"),
        ("edges.txt", "1 2\n3 1\n"),
        ("edges.edgelist", "1;2\n\n3;1\n"),
        ("snap.txt.gz", "# Directed graph\n# FromNodeId\tToNodeId\n1\t2\n3\t1\n"),
        ("konect.txt", "% asym\n\n1 2 1 1082008561\n3 1 1 1082008562\n"),
    ],
)
def test_text_files_of_every_usual_layout_give_the_same_edges(tmp_path, name, text):
    raw = load_text(tmp_path, text, name)
    assert pairs(raw) == INTEGERS
    assert raw.node_id.to_list() == [1, 2, 3]


def test_ids_may_be_strings_with_commas_quotes_and_any_letters(tmp_path):
    raw = load_text(tmp_path, 'src,dst\n"Smith, J.",中国\n"say ""hi""","Smith, J."\n')
    assert pairs(raw) == ordered([("Smith, J.", "中国"), ('say "hi"', "Smith, J.")])


def test_integers_beyond_32_bits_come_back(tmp_path):
    large = 2**31 + 5, 2**63 - 1
    raw = load_text(tmp_path, f"{large[0]},{large[1]}\n-7,{large[0]}\n")
    assert pairs(raw) == ordered([large, (-7, large[0])])


def test_integers_beyond_64_bits_are_strings(tmp_path):
    assert pairs(load_text(tmp_path, f"{2**63},1\n")) == [(str(2**63), "1")]


def test_ids_with_leading_zeros_are_strings(tmp_path):
    assert pairs(load_text(tmp_path, "007,7\n")) == [("007", "7")]


def test_id_type_str_keeps_integers_as_text(tmp_path):
    raw = load_text(tmp_path, "1,2\nx,1\n", id_type="str")
    assert pairs(raw) == ordered([("1", "2"), ("x", "1")])


def test_columns_are_chosen_by_name(tmp_path):
    text = "when,a,b,kind\n9,1,2,likes\n9,3,1,knows\n"
    raw = load_text(tmp_path, text, src_column="b", dst_column="a", type_column="kind")
    assert pairs(raw) == [(1, 3), (2, 1)]
    typed = zip(raw.src, raw.edge_type, strict=True)
    kinds = {raw.node_id[s]: raw.edge_type_names[t] for s, t in typed}
    assert kinds == {2: "likes", 1: "knows"}
    assert raw.edge_type_names == ["knows", "likes"]


def test_columns_without_header_are_called_by_number(tmp_path):
    raw = load_text(tmp_path, "9 1 2\n9 3 1\n", "e.txt", src_column="2", dst_column="3")
    assert pairs(raw) == INTEGERS


def test_a_first_line_with_one_integer_is_no_header(tmp_path):
    assert pairs(load_text(tmp_path, "seven,8\n9,8\n")) == [("9", "8"), ("seven", "8")]


def test_header_can_be_said(tmp_path):
    text = "a,b\nc,d\n"
    assert pairs(load_text(tmp_path, text, header="no")) == [("a", "b"), ("c", "d")]
    assert pairs(load_text(tmp_path, text, header="yes")) == [("c", "d")]
    assert pairs(load_text(tmp_path, "src,dst\n", header="no")) == [("src", "dst")]


def test_a_first_line_of_text_is_an_edge_if_a_node_of_it_comes_again(tmp_path):
    assert pairs(load_text(tmp_path, "a,b\nc,a\n")) == ordered([("a", "b"), ("c", "a")])


def test_a_first_line_that_may_be_a_header_is_not_guessed_at(tmp_path):
    with pytest.raises(UserError, match=r"'buyer' and 'article', may be a header.*--header yes"):
        load_text(tmp_path, "buyer,article\nann,soap\nbob,rope\n")


def test_delimiter_can_be_said(tmp_path):
    raw = load_text(tmp_path, "a,1|b,2\n", delimiter="|", header="no")
    assert pairs(raw) == [("a,1", "b,2")]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("1,2\n3\n", 2, "1 fields"),
        ("1,2\n3,4,5\n", 2, "3 fields"),
        ("src,dst\n1,2\n3,\n", 3, "'dst' is empty"),
        ("# a comment\n\nsrc,dst\n1,2\n\nx,4,5\n", 6, "3 fields"),
        ("a,b\n,c\n", 2, "'1' is empty"),
        (b"a,b\nc,\xff\n", 2, "UTF-8"),
        ('a,b\n"c,d\ne,f\n', 2, "quotes"),
    ],
)
@pytest.mark.parametrize("name", ["edges.csv", "edges.csv.gz"])
def test_a_bad_line_is_named_with_its_number_and_text(tmp_path, name, text, line, words):
    with pytest.raises(UserError) as caught:
        load_text(tmp_path, text, name)
    message = str(caught.value)
    assert f"line {line}:" in message
    assert words in message
    shown = text.encode() if isinstance(text, str) else text
    assert shown.splitlines()[line - 1].decode(errors="backslashreplace") in message


def test_a_bad_line_far_down_is_named(tmp_path):
    good = "".join(f"{i},{i + 1}\n" for i in range(300_000))
    with pytest.raises(UserError, match="line 300001: "):
        load_text(tmp_path, good + "one,two,three\n" + good)


def test_a_long_bad_line_is_cut(tmp_path):
    with pytest.raises(UserError) as caught:
        load_text(tmp_path, "1,2\n3,4," + "x" * 10_000 + "\n")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("text", "said", "words"),
    [
        ("", {}, "is empty"),
        ("# only a comment\n", {}, "is empty"),
        ("src,dst\n", {}, "no edge"),
        ("alone\n", {}, "--delimiter"),
        ("a|b\n", {"delimiter": ";"}, "one column"),
        ("a,b\n", {"delimiter": "|||||"}, "1 to 4 characters"),
        ("a,b\n", {"header": "maybe"}, "valid: auto, yes, no"),
        ("a,b\n", {"id_type": "float"}, "valid: auto, int, str"),
        ("src,dst\n1,2\n", {"src_column": "from", "dst_column": "dst"}, "valid: src, dst"),
        ("src,dst\n1,2\n", {"type_column": "kind"}, "valid: src, dst"),
        ("src,dst\n1,2\n", {"src_column": "src"}, "both --src-column and --dst-column"),
        ("a,b\n", {"id_type": "int"}, "line 1: "),
    ],
)
def test_what_is_no_table_of_edges_says_what_is_valid(tmp_path, text, said, words):
    with pytest.raises(UserError, match=words):
        load_text(tmp_path, text, **said)


def test_files_that_cannot_be_read_are_user_errors(tmp_path):
    whole = gzip.compress(b"1,2\n" * 10_000)
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "plain.csv.gz").write_bytes(b"1,2\n")
    for name in ("e.npy", "e.npz", "e.parquet"):
        (tmp_path / name).write_bytes(b"not this")
    np.save(tmp_path / "objects.npy", np.array([[1, "a"]], object))
    np.savez(tmp_path / "objects.npz", np.array([[1, "a"]], object))
    for path in [*tmp_path.iterdir()]:
        with pytest.raises(UserError, match="cannot be read"):
            FileSource(path).load()
    with pytest.raises(UserError, match="there is no edges file"):
        FileSource(tmp_path / "absent.csv").load()
    with pytest.raises(UserError, match=r"unknown ending; valid: .*\.csv\.gz.*\.parquet"):
        FileSource(tmp_path / "edges.docx").load()
    with pytest.raises(UserError, match="--edges"):
        FileSource().load()


@pytest.mark.parametrize("shape", ["[E, 2]", "[2, E]"])
def test_numpy_arrays_of_pairs_give_their_edges(tmp_path, shape):
    array = np.array([[1, 2], [3, 1], [2, 2]], np.uint32)
    array = array if shape == "[E, 2]" else array.T
    np.save(tmp_path / "e.npy", array)
    np.savez(tmp_path / "e.npz", array)
    for name in ("e.npy", "e.npz"):
        assert pairs(FileSource(tmp_path / name).load()) == [(1, 2), (2, 2), (3, 1)]


def test_arrays_of_either_byte_order_give_their_edges(tmp_path):
    np.save(tmp_path / "e.npy", np.array([[1, 2], [3, 1]], ">i4"))
    assert pairs(FileSource(tmp_path / "e.npy").load()) == INTEGERS


def test_npz_with_two_columns_gives_its_edges_and_types(tmp_path):
    path = tmp_path / "e.npz"
    np.savez(path, src=np.array(["a", "b"]), dst=np.array(["b", "c"]), kind=np.array([10, 9]))
    raw = FileSource(path, type_column="kind").load()
    assert pairs(raw) == [("a", "b"), ("b", "c")]
    assert raw.edge_type_names == ["9", "10"]
    assert raw.edge_type.tolist() == [1, 0]


def test_rows_of_an_adjacency_are_nodes_even_without_edges(tmp_path):
    matrix = sp.coo_matrix(([1.0, 0.0, 2.0], ([0, 1, 2], [2, 2, 1])), (5, 5))
    sp.save_npz(tmp_path / "a.npz", matrix)
    raw = FileSource(tmp_path / "a.npz").load()
    assert pairs(raw) == [(0, 2), (2, 1)]  # the stored zero is no edge
    assert raw.num_nodes == 5
    assert raw.counts["nodes_without_edges"] == 2


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.zeros((3, 3), int)}, r"\[E, 2\] or \[2, E\]"),
        ({"a": np.zeros(4, int)}, r"\[E, 2\] or \[2, E\]"),
        ({"a": np.zeros((3, 2))}, "integers or strings"),
        ({"a": np.zeros((3, 2), int), "b": np.zeros((3, 2), int)}, "holds a, b"),
        ({"src": np.zeros(3, int)}, "holds src"),
        ({"src": np.zeros(3, int), "dst": np.zeros(2, int)}, "different lengths"),
        ({"src": np.zeros((3, 1), int), "dst": np.zeros((3, 1), int)}, "arrays .E. by name"),
    ],
)
def test_arrays_that_are_no_edges_say_what_is_valid(tmp_path, arrays, words):
    np.savez(tmp_path / "e.npz", **arrays)
    with pytest.raises(UserError, match=words):
        FileSource(tmp_path / "e.npz").load()


def test_an_adjacency_must_be_square(tmp_path):
    sp.save_npz(tmp_path / "a.npz", sp.csr_matrix((2, 3)))
    with pytest.raises(UserError, match="square"):
        FileSource(tmp_path / "a.npz").load()


@pytest.mark.parametrize("kind", [pa.int32(), pa.string(), pa.dictionary(pa.int8(), pa.string())])
def test_parquet_columns_of_any_id_type_give_their_edges(tmp_path, kind):
    texts = pa.array(["1", "3"]), pa.array(["2", "1"])
    src, dst = (text.cast(kind) for text in texts)
    pq.write_table(pa.table({"dst": dst, "src": src, "t": ["x", "y"]}), tmp_path / "e.parquet")
    raw = FileSource(tmp_path / "e.parquet", type_column="t").load()
    expected = INTEGERS if kind == pa.int32() else [("1", "2"), ("3", "1")]
    assert pairs(raw) == expected
    assert raw.edge_type_names == ["x", "y"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"src": [1.5], "dst": [2]}, "integers or strings"),
        ({"src": [1, None], "dst": [2, 3]}, "row 2 has no id"),
        ({"src": ["a", ""], "dst": ["b", "c"]}, "row 2 has no id"),
        ({"src": [1]}, "edges need two"),
    ],
)
def test_parquet_that_holds_no_edges_says_why(tmp_path, columns, words):
    pq.write_table(pa.table(columns), tmp_path / "e.parquet")
    with pytest.raises(UserError, match=words):
        FileSource(tmp_path / "e.parquet").load()


ANY_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=8
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=20))
def test_any_text_is_an_id_and_comes_back(tmp_path_factory, edges):
    quoted = [",".join('"' + end.replace('"', '""') + '"' for end in edge) for edge in edges]
    path = tmp_path_factory.mktemp("ids") / "edges.csv"
    path.write_text("src,dst\n" + "\n".join(quoted) + "\n", encoding="utf-8")
    assert pairs(FileSource(path, id_type="str").load()) == ordered(edges)


@settings(max_examples=40, deadline=None)
@given(st.permutations([(5, 9), (9, 5), (7, 7), (-1, 5), (2**40, 9)]))
def test_node_positions_do_not_depend_on_the_order_of_edges(tmp_path_factory, edges):
    path = tmp_path_factory.mktemp("order") / "edges.npy"
    np.save(path, np.array(edges))
    raw = FileSource(path).load()
    assert raw.node_id.to_list() == [-1, 5, 7, 9, 2**40]
    assert pairs(raw) == ordered(edges)
