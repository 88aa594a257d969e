"""What named queries promise to those who write and those who call them."""

import sys
from pathlib import Path

import pytest

from chassis.database.statements import Statements

QUERIES = """-- What this file is about.

-- name: find_account
SELECT * FROM account WHERE name = %(name)s; -- the one

-- A remark on the next one.
-- name: close_account
UPDATE account SET is_open = false
WHERE name = %(name)s;
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `bank` that can be imported."""
    (tmp_path / "bank" / "sql").mkdir(parents=True)
    (tmp_path / "bank" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bank", raising=False)
    return tmp_path / "bank"


def test_a_statement_is_found_by_its_name(package: Path) -> None:
    """Its text is what stands between its name and the next one."""
    (package / "sql" / "queries.sql").write_text(QUERIES)
    assert Statements("bank").close_account == "UPDATE account SET is_open = false\nWHERE name = %(name)s"


def test_an_unknown_name_is_told_with_the_known_ones(package: Path) -> None:
    """A slip of the pen is found at a glance."""
    (package / "sql" / "queries.sql").write_text(QUERIES)
    with pytest.raises(AttributeError, match=r"no statement 'find_acount'.*close_account, find_account"):
        _ = Statements("bank").find_acount


def test_a_name_given_twice_is_refused(package: Path) -> None:
    """The second would silently hide the first."""
    (package / "sql" / "queries.sql").write_text(QUERIES + QUERIES)
    with pytest.raises(ValueError, match="two statements one name"):
        _ = Statements("bank").find_account
