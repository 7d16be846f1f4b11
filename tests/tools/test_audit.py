"""`make audit` fails for findings that nobody judged, and says what it could not check."""

import json
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
ASSERTS = {"tests": ["B101"], "files": ["*"], "why": "invariants"}
SQL = {"tests": ["B608"], "files": ["a/*"], "why": "quoted", "count": 2}


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import audit

    yield audit
    sys.modules.pop("audit", None)


def finding(test: str, name: str) -> dict:
    return {"filename": f"./{name}", "line_number": 7, "test_id": test, "issue_text": "risky"}


def test_a_finding_is_covered_by_test_and_file_together(tool):
    found = [finding("B101", "x.py"), finding("B608", "a/b/c.py"), finding("B608", "a/d.py")]
    assert tool.unjudged_code(found, [ASSERTS, SQL]) == []
    assert tool.unjudged_code([*found, finding("B608", "x.py")], [ASSERTS, SQL]) == [
        "x.py:7: B608 risky"
    ]


def test_more_findings_than_were_judged_are_told_and_so_is_a_judgement_of_nothing(tool):
    more, nothing = tool.unjudged_code([finding("B608", "a/d.py")] * 3, [SQL, ASSERTS])
    assert more.startswith("3 findings of B608 in a/*; 2 were judged")
    assert nothing.startswith("nothing is found any more of B101 in *")


def test_a_vulnerability_is_known_by_any_of_its_names(tool):
    report = {
        "dependencies": [
            {"name": "b", "skip_reason": "not found"},
            {
                "name": "a",
                "version": "1",
                "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2", "3"]}],
            },
        ]
    }
    told = ["a 1: PYSEC-1, fixed in 2, 3"]
    assert tool.unjudged_packages(report, []) == (told, ["b"])
    assert tool.unjudged_packages(report, [{"package": "b", "id": "CVE-1"}]) == (told, ["b"])
    for name in ("CVE-1", "PYSEC-1"):
        assert tool.unjudged_packages(report, [{"package": "a", "id": name}]) == ([], ["b"])


@pytest.mark.parametrize(
    ("out", "said", "words"),
    [
        ("", "Traceback ...\nConnectionError: no network\n", "ConnectionError: no network"),
        (
            json.dumps({"dependencies": [{"name": "a", "skip_reason": "not found"}]}),
            "",
            "has no information about vulnerabilities",
        ),
    ],
)
def test_where_no_service_answers_this_is_said_after_one_question(
    tool, monkeypatch, capsys, out, said, words
):
    asked = []
    monkeypatch.setattr(tool, "tool_output", lambda *given: asked.append(given) or (out, said))
    assert tool.check_packages([]) == []
    assert len(asked) == 1
    assert "NOT CHECKED" in (told := capsys.readouterr().out)
    assert words in told
