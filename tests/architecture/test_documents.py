"""What documents tell a reader to type is there."""

import re
from pathlib import Path

import pytest
import yaml

from tests.architecture.checkout import relative, tracked
from tools.paths import ROOT

TASKS = yaml.safe_load((ROOT / "Taskfile.yml").read_text())["tasks"].keys()
TYPED = re.compile(r"\./taskw ([a-z][a-z-]*)")
TELLING = [path for path in tracked("*.md", "*.yaml", "*.json") if TYPED.search(path.read_text())]


@pytest.mark.parametrize("document", TELLING, ids=relative)
def test_every_task_a_document_names_is_there(document: Path) -> None:
    """A task that is renamed is renamed everywhere."""
    assert sorted(set(TYPED.findall(document.read_text())) - TASKS) == []
