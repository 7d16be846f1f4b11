"""The docs site is built without warnings, and its pages say what is so."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import hvdtma

ROOT = Path(__file__).parent.parent
DEFINITION = (ROOT / "slurm/hvdtma.def").read_text()
# Messages of other programs in docs/faq.md.
FOREIGN = ("GLIBCXX_... not found", "module: command not found", "pip install '.[horovod]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="the docs extra is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_is_in_the_site(site):
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").is_file()


def test_the_api_page_has_every_exported_name_and_every_contract(site):
    api = (site / "api.html").read_text()
    names = [name for name in hvdtma.__all__ if not name.startswith("__")]
    contracts = ["Encoder", "Task", "Sampler", "PartitionMethod", "Aggregator", "Logger"]
    for name in [*names, *contracts, "submit"]:
        assert re.search(rf'id="[\w.]+\.{name}"', api), name
    of_run = [name for name in dir(hvdtma.Run) if not name.startswith("_")]
    assert "topk" in of_run
    for name in of_run:
        assert f'id="hvdtma.api.run.Run.{name}"' in api, name


def test_the_api_page_has_every_class_that_an_exported_function_returns(site):
    api = (site / "api.html").read_text()
    names = set()
    for name in hvdtma.__all__:
        function = getattr(hvdtma, name)
        if inspect.isfunction(function):
            names |= set(re.findall(r"\b[A-Z]\w+", inspect.signature(function).return_annotation))
    names -= {"Any", "None", "Table", "TrainConfig"}  # of pyarrow; docs/config.md
    assert {"GraphStore", "PretrainedModel", "Comparison"} <= names
    for name in names:
        assert re.search(rf'id="[\w.]+\.{name}"', api), name


def test_pages_load_nothing_from_elsewhere(site):
    loading = re.compile(r'<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="https?:')
    for page in site.rglob("*.html"):
        assert not loading.search(page.read_text()), page


def test_links_to_the_repository_name_files_that_are_there(site):
    """The hook of the site makes links outside of docs/ from relative ones."""
    base = re.escape("https://github.com/hvdtma/hvdtma/")
    found = set()
    for page in site.glob("*.html"):
        found |= set(re.findall(rf'href="{base}(?:blob|tree)/main/([^"#]+)', page.read_text()))
    assert len(found) > 20
    assert not [path for path in found if not (ROOT / path).exists()]


def said_by_the_code() -> str:
    """All text in the code; the pieces of one message stand together."""
    texts = []
    for package in ("hvdtma", "hypergraph", "slurm", "tools"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
                    texts.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return "\n".join(texts)


def test_messages_in_the_questions_are_those_of_the_code():
    rows = re.findall(r"^\| (.+?) \|", (ROOT / "docs/faq.md").read_text(), re.MULTILINE)
    quoted = [span for row in rows for span in re.findall(r"`([^`]+ [^`]+)`", row)]
    assert len(quoted) > 8
    said = said_by_the_code()
    assert [text for text in quoted if text not in FOREIGN and text not in said] == []
    assert not [text for text in FOREIGN if text not in quoted]


def test_the_glossary_is_in_order():
    words = re.findall(r"^\| ([\w -]+) \| \w", (ROOT / "docs/glossary.md").read_text(), re.M)[1:]
    assert len(words) > 20
    assert [word.lower() for word in words] == sorted(word.lower() for word in words)


def test_the_container_definitions_sections_are_those_of_apptainer_and_their_shell_parses():
    head, *rest = re.split(r"^%(\w+)\n", DEFINITION, flags=re.MULTILINE)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    assert set(sections) == {"files", "environment", "post", "test", "runscript"}
    assert re.search(r"^Bootstrap: docker\nFrom: python:3\.11", head, re.MULTILINE)
    for name in ("environment", "post", "test", "runscript"):
        subprocess.run(["sh", "-n"], input=sections[name], text=True, check=True)
    targets = re.findall(r"\bmake (\w+)", sections["post"])
    makefile = (ROOT / "Makefile").read_text()
    assert targets and all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    assert "Not tried" in (ROOT / "docs/cluster_setup.md").read_text()


def test_examples_of_cluster_defaults_in_the_pages_are_valid(tmp_path):
    from slurm.defaults import read_defaults

    text = (ROOT / "docs/cluster_setup.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 3
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block)
        assert read_defaults(path).model_fields_set == set(yaml.safe_load(block))
