"""The set-up installs a package only if it is, byte for byte, the one that was tried out."""

import hashlib
import re
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SELF_MADE = {"torch"}  # of any index, or built here


@pytest.fixture
def tool(monkeypatch, tmp_path):
    """The tool with an index of its own: a folder with `first`, which needs `second`."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import hashed_install

    index = tmp_path / "index"
    index.mkdir()
    make_wheel(index, "first", needs="Second_one")
    make_wheel(index, "second_one")
    empty = tmp_path / "constraints.txt"
    empty.touch()
    monkeypatch.setattr(hashed_install, "CONSTRAINTS", empty)
    monkeypatch.setattr(hashed_install, "HASHES", tmp_path / "hashes.txt")
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
        "PIP_TARGET": str(tmp_path / "installed"),
    }.items():
        monkeypatch.setenv(name, value)
    yield hashed_install
    for name in ("hashed_install", "steps"):
        sys.modules.pop(name, None)


def make_wheel(folder: Path, name: str, needs: str | None = None) -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        needed = f"Requires-Dist: {needs}\n" if needs else ""
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needed}"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def hash_of(tmp_path: Path, name: str) -> str:
    content = (tmp_path / "index" / f"{name}-1.0-py3-none-any.whl").read_bytes()
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def install(tool, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(exist_ok=True)
    tool.pip_install(Path(sys.executable), "install", tmp_path / "logs/first.log", ["first"])


def test_packages_with_the_right_hashes_are_installed_and_others_named(tool, tmp_path, capsys):
    wrong = "sha256:" + "0" * 64
    tool.HASHES.write_text(
        "# a comment\n"
        f"second-one==1.0 ; python_version >= '3' \\\n    --hash={wrong} \\\n"
        f"    --hash={hash_of(tmp_path, 'second_one')}\n"
    )
    install(tool, tmp_path)
    assert {path.name for path in (tmp_path / "installed").glob("*.py")} == {
        "first.py",
        "second_one.py",
    }
    said = capsys.readouterr().out
    assert "taken without a hash: first==1.0\n" in said
    assert "install: 1 by hash" in said


def test_another_file_of_the_same_version_is_refused(tool, tmp_path):
    tool.HASHES.write_text(f"second-one==1.0 --hash={hash_of(tmp_path, 'second_one')}\n")
    make_wheel(tmp_path / "index", "second_one", needs="first")  # somebody else's
    from steps import StepError

    with pytest.raises(StepError, match="the download is not the file that was tested"):
        install(tool, tmp_path)
    assert not (tmp_path / "installed").exists()


def test_every_version_that_was_tried_out_has_hashes(tool):
    pins = re.findall(
        r"^([\w.-]+)==([^\s;#]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE
    )
    hashes = tool.read_hashes((ROOT / "hashes.txt").read_text())
    wanted = {f"{tool.normal(name)}=={version}" for name, version in pins if name not in SELF_MADE}
    assert wanted - hashes.keys() == set(), "make hashes"
    assert hashes.keys() - wanted == set(), "make hashes"
    assert all("--hash=sha256:" in requirement for requirement in hashes.values())
