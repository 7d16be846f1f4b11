"""What is public is written down; old names are taken with a warning for one version."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from hvdtma.core.config import Component
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import load_train_config
from hvdtma.core.version import __version__
from hypergraph.config import HyperLearnConfig

ROOT = Path(__file__).parent.parent
CHANGES = "the public names changed; run python tools/public_api.py, and say so in CHANGELOG.md"


def test_a_change_of_a_public_name_is_written_down(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    written = (ROOT / "tests/public_api.txt").read_text().splitlines()
    now = importlib.import_module("public_api").public_api().splitlines()
    assert sorted(set(now) ^ set(written)) == [], CHANGES
    assert now == written, CHANGES


def test_the_changelog_and_the_citation_name_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert versions[0] == __version__
    assert versions == sorted(versions, key=number, reverse=True)
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__


def test_an_old_key_is_taken_with_a_warning(capsys):
    config = load_train_config(None, ["store=a", "run=b", "rounds=3", "redeal_rounds=5"])
    assert config.reassign_rounds == 5
    assert "'redeal_rounds' is now called 'reassign_rounds'" in capsys.readouterr().err


def test_an_old_key_beside_the_new_one_is_refused():
    with pytest.raises(UserError, match="'redeal_rounds' and 'reassign_rounds' are one key"):
        load_train_config(None, ["run=b", "redeal_rounds=5", "reassign_rounds=5"])


def components(kind):
    yield kind
    for field in kind.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Component):
            yield from components(field.annotation)


def test_old_keys_are_dropped_in_the_version_that_says_so():
    TrainConfig = type(load_train_config(None, ["store=a", "run=b", "rounds=1"]))
    renamed = {
        old: name
        for config in (TrainConfig, HyperLearnConfig)
        for kind in components(config)
        for old, name in kind.RENAMED.items()
        if name.to in kind.model_fields
    }
    assert "redeal_rounds" in renamed
    late = [old for old, name in renamed.items() if number(name.removed_in) <= number(__version__)]
    assert late == []


def number(version):
    return tuple(int(part) for part in version.split("."))


def test_the_version_of_the_package_is_that_of_pyproject():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__
