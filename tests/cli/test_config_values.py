"""Values of a config: text stays as it is written, and errors say what is valid."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from hvdtma.core.config import load_as
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import load_train_config, parse_config
from hypergraph.config import RunConfig
from slurm.defaults import read_defaults

LOOK_ALIKES = ["007", "1e3", "off", "12:30", "0x10", "1_000", "2024-01-01", "yes", "${seed}-007"]
READ_AS = {"${seed}-007": "7-007"}


@pytest.fixture
def load(tmp_path):
    def load(text="", *overrides):
        path = tmp_path / "config.yaml"
        path.write_text(f"store: g.zarr\nrounds: 1\nseed: 7\n{text}\n")
        return load_train_config(path, list(overrides))

    return load


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_run_keeps_a_name_that_yaml_takes_for_something_else(load, name):
    expected = Path(READ_AS.get(name, name))
    assert load(f"run: {name}").run == expected
    assert load("run: a", f"run={name}").run == expected
    assert load(f"run: a\ntask: {{name: links}}\nscratch_dir: {name}").scratch_dir == expected


@pytest.mark.parametrize("name", ["a: b", "[x", "a #b", "runs/[1]", "{a}", "!x"])
def test_an_override_with_a_path_is_taken_literally(load, name):
    assert load("run: a", f"run={name}").run == Path(name)


PRINTABLE = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1)
SAME_DIRECTORY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def may_name_a_run(name: str) -> bool:
    """Not `~`, the home folder; not the marks of OmegaConf for a reference and a missing value."""
    return not name.startswith("~") and "${" not in name and name != "???"


@SAME_DIRECTORY
@given(PRINTABLE)
@example("12:30")
@example("null")
@example("a: b")
@example("'a'")
@example("# a")
@example("2024-01-01")
@example("=")
def test_any_name_of_a_run_comes_back_from_yaml_and_from_the_command_line(load, name):
    assume(may_name_a_run(name))
    quoted = yaml.safe_dump({"run": name}, allow_unicode=True, width=10**6)
    assert load(quoted).run == Path(name)
    in_quotes = quoted.partition(": ")[2].strip() if quoted.startswith("run: ") else ""
    if in_quotes[:1] in ("'", '"'):
        assert load("run: a", f"run={in_quotes}").run == Path(name)
    if name.strip() not in ("null", "Null", "NULL") and name.strip()[:1] not in ("'", '"'):
        assert load("run: a", f"run={name}").run == Path(name)
    assert load_train_config({"store": "g", "run": name, "rounds": 1}).run == Path(name)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("1E-3", 1e-3), (".001", 1e-3), ("1.0e-3", 1e-3), ("1", 1.0), ("1_0", 10.0)],
)
def test_numbers_are_read_in_all_usual_writings(load, text, value):
    for config in (
        load(f"run: a\noptimizer: {{lr: {text}}}"),
        load("run: a", f"optimizer.lr={text}"),
    ):
        assert config.optimizer.lr == value
        assert isinstance(config.optimizer.lr, float)


def test_free_options_are_guessed_as_yaml_does(load):
    options = "{a: 1e-3, b: 3, c: off, d: null, e: [1, x], f: {g: 'no'}, h: text}"
    expected = {
        "a": 1e-3,
        "b": 3,
        "c": False,
        "d": None,
        "e": [1, "x"],
        "f": {"g": "no"},
        "h": "text",
    }
    assert load(f"run: a\nmodel: {{options: {options}}}").model.options == expected
    assert load("run: a", f"model.options={options}").model.options == expected
    assert load("run: a", "model.options.a=1e-3").model.options == {"a": 1e-3}


def test_text_in_tables_of_hyperlearn_stays_as_written(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "run: 007\ndata:\n  tables:\n    modalities:\n"
        "      user: {edges: 12:30, edge_columns: [01, off], neighbours: {kind: features, k: 5}}\n"
        "      item:\n"
        "    relations: {rates: {table: {train: 1e3, test: 08}, columns: [user, item]}}\n"
        "placement: {user: 0, item: cuda:1}\n"
    )
    config = load_as(RunConfig, path, ["data.tables.relations.rates.value=off"])
    assert config.run == Path("007")
    assert config.data.tables.modalities == {
        "user": {
            "edges": "12:30",
            "edge_columns": ["01", "off"],
            "neighbours": {"kind": "features", "k": 5},
        },
        "item": None,
    }
    assert config.data.tables.relations["rates"] == {
        "table": {"train": "1e3", "test": "08"},
        "columns": ["user", "item"],
        "value": "off",
    }
    assert config.placement == {"user": 0, "item": "cuda:1"}


def test_text_in_the_defaults_of_a_cluster_stays_as_written(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(
        "account: 007\npartition: off\nmodules: [1e3]\nsave_s: 60\n"
        "sbatch: {begin: 12:30, exclusive: yes, switches: 3, reservation: 008, comment: a b}\n"
    )
    defaults = read_defaults(path)
    assert (defaults.account, defaults.partition, defaults.modules) == ("007", "off", ("1e3",))
    assert defaults.save_s == 60
    assert defaults.sbatch == {
        "begin": "12:30",
        "exclusive": True,
        "switches": 3,
        "reservation": "008",
        "comment": "a b",
    }


def test_null_and_quotes_keep_their_meaning(load):
    assert load("run: '007'\nscratch_dir: null", "scratch_dir=~").scratch_dir is None
    assert load("run: a", "run='007'").run == Path("007")
    assert load("run: a", "model.hidden=0x10", "model.dropout=1e-1").model.hidden == 16


def test_lists_of_text_and_keys_stay_as_written(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "run: a\nwarm_start: b\nreset_rows: [007, off]\n"
        "data: {hypergraph: 12:30}\nmodel: {row_dropout: {1850: 0.5}}\n"
    )
    config = load_as(RunConfig, path)
    assert config.reset_rows == ("007", "off")
    assert config.data.hypergraph == Path("12:30")
    assert config.model.row_dropout == {"1850": 0.5}


def test_the_home_folder_is_expanded_in_paths(load, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    config = load("run: ~/runs/a", "store=~/g.zarr", "scratch_dir=~/tmp")
    assert list(map(str, (config.run, config.store, config.scratch_dir))) == [
        "/home/me/runs/a",
        "/home/me/g.zarr",
        "/home/me/tmp",
    ]
    with pytest.raises(UserError, match="run: '~nobody-of-this-name/a' names a user without"):
        load("run: ~nobody-of-this-name/a")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.layers=1.5", "'model.layers' is 1.5; valid: a whole number, from 1 to 1000"),
        ("seed=true", "'seed' is true; valid: a whole number, from 0 to 4294967295"),
        ("first_hop=7", "'first_hop' is 7; valid: true or false"),
        ("model.norm=off", "'model.norm' is 'off'; valid: layer, batch or none"),
        ("model=5", "'model' is 5; valid: keys and values: encoder, "),
        (
            "model.fanouts=[a]",
            "'model.fanouts.0' is 'a'; valid: a list of whole numbers (from -1 to ",
        ),
        ("run=", "'run' is null; valid: a path"),
        ("model=[", "'model=[' cannot be read"),
        ("7=1", "unknown key '7'; valid: store, run, "),
    ],
)
def test_a_wrong_value_is_named_with_all_that_is_valid(load, override, message):
    with pytest.raises(UserError) as refused:
        load("run: a", override)
    assert message in str(refused.value)
    assert "pydantic" not in str(refused.value)


def test_a_missing_key_is_explained_and_a_double_one_has_its_line(load):
    with pytest.raises(UserError, match=r"'run' is missing\. The folder of the run"):
        load()
    with pytest.raises(UserError, match="the value of 'run': Missing mandatory value"):
        load("run: ???")
    with pytest.raises(UserError, match=r"(?s)the key 'run' stands twice.*line 6"):
        load("run: a\n# a comment\nrun: b")


def test_errors_of_keyword_arguments_name_the_function():
    with pytest.raises(UserError) as refused:
        parse_config({"store": 5, "run": "a", "model": {"hiden": 3}}, source="hvdtma.train()")
    assert str(refused.value).startswith("hvdtma.train(): 'store' is 5; valid: a path\n")
    assert "unknown key 'model.hiden'" in str(refused.value)
    assert "did you mean 'hidden'?" in str(refused.value)
