"""Every file can be read on its own, and works on anybody's machine."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.checkout import relative, tracked

MODULES = tracked("*.py")
LONGEST_MODULE = 300

# Where packages come from is the affair of each machine's own configuration.
PACKAGE_SOURCE = re.compile(rb"pypi\.org|pythonhosted\.org|proxy\.golang\.org|(?<!emit-)index-url\s*=|--find-links")
HOME = re.compile(rb"/(?:home|root|Users)/\w+")

every_module = pytest.mark.parametrize("module", MODULES, ids=relative)


@every_module
def test_a_module_begins_with_a_sentence(module: Path) -> None:
    """Its first line says what it is for."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    assert docstring.partition("\n")[0].rstrip().endswith((".", ":", "?"))


@pytest.mark.parametrize("module", tracked("chassis/*.py", "services/*.py", "tools/*.py"), ids=relative)
def test_a_module_fits_in_a_head(module: Path) -> None:
    """One that has grown beyond becomes a package of the same name."""
    assert len(module.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("module", tracked("tests/*/test_*.py"), ids=relative)
def test_a_test_never_sleeps(module: Path) -> None:
    """It waits for what it waits for, or moves the clock; giving way with `sleep(0)` is no sleep.

    What announces itself to nobody is looked for, within bounds, by the modules beside the tests.
    """
    assert not [node.lineno for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))) if is_sleep(node)]


@pytest.mark.parametrize("path", tracked(), ids=relative)
def test_a_file_names_no_place_of_one_machine(path: Path) -> None:
    """No home of a person, no index of packages."""
    content = path.read_bytes()
    assert path == Path(__file__) or not PACKAGE_SOURCE.search(content)
    assert not HOME.search(content)


def is_sleep(node: ast.AST) -> bool:
    """Whether a node is a call of `asyncio.sleep` or `time.sleep` that lasts."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep"):
        return False
    module, duration = node.func.value, node.args[0]
    lasts = not (isinstance(duration, ast.Constant) and duration.value == 0)
    return lasts and isinstance(module, ast.Name) and module.id in {"asyncio", "time"}
