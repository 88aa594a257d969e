"""What an image is made of: the wheel and requirements/runtime.lock, and nothing beside them."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from hatchling.build import build_wheel
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.checkout import relative
from tests.architecture.checkout import tracked as written
from tools.paths import ROOT

LOCKS = ("runtime", "stack", "dev")
PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?P<rest>.*\n(?:    --hash=\S+.*\n)+)", re.MULTILINE)

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
sys.path += sys.argv[1:]
for root in ("chassis", "services"):
    for module in pkgutil.walk_packages(importlib.import_module(root).__path__, f"{root}."):
        importlib.import_module(module.name)
        print(module.name)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked as an installation does it."""
    built = tmp_path_factory.mktemp("built")
    unpacked = tmp_path_factory.mktemp("unpacked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # a build backend builds what it stands in
        zipfile.ZipFile(built / build_wheel(str(built))).extractall(unpacked)
    return unpacked


def test_the_wheel_holds_every_file_of_its_packages(wheel: Path) -> None:
    """SQL, manifests, templates and types included."""
    expected = {relative(path) for path in written("chassis", "services")}
    expected |= {path.relative_to(ROOT / "gen").as_posix() for path in (ROOT / "gen/tradewind").rglob("*.py*")}
    expected = {name for name in expected if not name.endswith(".pyc")} | {"tradewind/callers.json"}
    assert sorted(name for name in expected if not (wheel / name).is_file()) == []


def test_services_run_on_the_runtime_lock_alone(wheel: Path, tmp_path: Path) -> None:
    """Every module of the wheel is imported where nothing is installed but what the lock names."""
    for name in pins("runtime"):
        link_installed(name, tmp_path)
    # Without `site` a Python sees its standard library and what it is told, not the environment of this test.
    alone = [sys.executable, "-I", "-S", "-c", IMPORT_EVERYTHING, str(wheel), str(tmp_path)]
    imported = subprocess.run(alone, capture_output=True, text=True, check=False)
    assert imported.stderr == ""
    assert "services.orders.__main__" in imported.stdout.split()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_what_pyproject_asks_for(lock: str) -> None:
    """A dependency that is added, or whose bound moves, is locked in the same commit."""
    locked = pins(lock)
    wanted = [Requirement(text) for text in asked_for(lock)]
    unmet = [str(each) for each in wanted if locked.get(canonicalize_name(each.name), "0") not in each.specifier]
    assert unmet == []


@pytest.mark.parametrize(("smaller", "larger"), [("runtime", "stack"), ("stack", "dev")])
def test_what_is_tested_is_what_runs(smaller: str, larger: str) -> None:
    """A package has one version and one list of hashes in all locks."""
    assert sorted(blocks(smaller) - blocks(larger)) == []


def test_an_image_carries_no_tool() -> None:
    """The servers of the local stack, and what tests and checks need, stay out of it."""
    tools = {Requirement(text).name for extra in ("stack", "dev") for text in extras()[extra]}
    assert sorted(tools & pins("runtime").keys()) == []


def asked_for(lock: str) -> list[str]:
    """What a lock's direct requirements are, as pyproject.toml says them."""
    sets = {"runtime": [], "stack": extras()["stack"], "dev": extras()["stack"] + extras()["dev"]}
    return project()["dependencies"] + [text for text in sets[lock] if not text.startswith("tradewind[")]


def extras() -> dict[str, list[str]]:
    """The optional dependencies."""
    return project()["optional-dependencies"]


def project() -> dict:
    """The project's metadata."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(lock: str) -> dict[str, str]:
    """The version of every package in a lock that is installed here: some are for other systems."""
    found = PIN.finditer((ROOT / f"requirements/{lock}.lock").read_text())
    return {pin["name"]: pin["version"] for pin in found if is_for_this_system(pin["name"], pin["rest"])}


def is_for_this_system(name: str, rest: str) -> bool:
    """Whether a pin's marker, if it has one, holds here."""
    marker = rest.partition("\n")[0].removesuffix("\\").strip()
    return not marker or Requirement(f"{name} {marker}").marker.evaluate()


def blocks(lock: str) -> set[str]:
    """Every pin of a lock with its hashes."""
    return {pin[0] for pin in PIN.finditer((ROOT / f"requirements/{lock}.lock").read_text())}


def link_installed(name: str, site: Path) -> None:
    """Make an installed package importable from `site` as well."""
    for file in distribution(name).files or []:
        if ".." not in file.parts:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).symlink_to(file.locate())
