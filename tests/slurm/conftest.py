"""Runs that several files compare with, trained once."""

import pytest
from on_cluster import config_of, horovodrun, parameters


@pytest.fixture(scope="session")
def reference(community_store, tmp_path_factory):
    """Parameters that `horovodrun -np 4` trains with the config of `config_of`."""
    config, path = config_of(community_store, tmp_path_factory.mktemp("reference") / "run")
    horovodrun(path)
    return parameters(config.run)
