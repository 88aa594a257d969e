"""Whoever greps for a term of the field lands in the right file."""

import re

import pytest

from tools.paths import ROOT

ROW = re.compile(r"^\| (?P<terms>[^|]+) \| [^|]+ \| (?P<files>`[^|]+`) \|$", re.MULTILINE)

HOMES = [
    (term, path)
    for row in ROW.finditer((ROOT / "docs/glossary.md").read_text(encoding="utf-8"))
    for term in row["terms"].split(", ")
    for path in re.findall("`([^`]+)`", row["files"])
]


def test_the_table_is_read() -> None:
    """A changed layout of the page does not empty the test below."""
    assert len(HOMES) > 25


@pytest.mark.parametrize(("term", "path"), HOMES, ids=lambda value: value)
def test_a_term_stands_in_the_file_it_is_at_home_in(term: str, path: str) -> None:
    """In any case, and whatever the line breaks."""
    assert term.lower() in re.sub(r"[\s#]+", " ", (ROOT / path).read_text(encoding="utf-8")).lower()
