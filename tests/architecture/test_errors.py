"""What errors tell programs has names that a contract can write down."""

import ast
from pathlib import Path

import pytest

from tests.architecture.checkout import relative, tracked

# The constructor itself, and the one place that reads metadata off the wire.
SETTERS = {"chassis/core/errors.py", "chassis/contract/status.py"}
SOURCES = [path for path in tracked("chassis/*.py", "services/*.py", "tools/*.py") if relative(path) not in SETTERS]


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_metadata_is_given_by_keyword(path: Path) -> None:
    """A problem's metadata is set by its constructor, with keys that are names in the source: never a SKU, or another value."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [node.lineno for node in ast.walk(tree) if _sets_metadata_of_a_problem(node)] == []


def _sets_metadata_of_a_problem(node: ast.AST) -> bool:
    """`problem.metadata = …` anywhere, or `SomeProblem(…, **values)`."""
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Attribute) and target.attr == "metadata" for target in node.targets)
    raised = node.exc if isinstance(node, ast.Raise) else None
    return isinstance(raised, ast.Call) and any(keyword.arg is None for keyword in raised.keywords)
