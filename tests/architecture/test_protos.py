"""Contracts lean on each other no more than services do."""

import re
from pathlib import Path

import pytest

from tests.architecture.checkout import relative
from tools.paths import ROOT

PROTOS = sorted((ROOT / "protos").rglob("*.proto"))
SHARED = {"policy", "type"}

IMPORT = re.compile(r'^import "tradewind/(\w+)/', re.MULTILINE)


@pytest.mark.parametrize("proto", PROTOS, ids=relative)
def test_a_proto_imports_only_its_own_package_and_the_shared_ones(proto: Path) -> None:
    """Another service's messages would tie two contracts into one."""
    own = proto.relative_to(ROOT / "protos/tradewind").parts[0]
    assert set(IMPORT.findall(proto.read_text(encoding="utf-8"))) <= SHARED | {own}
