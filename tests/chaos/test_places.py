"""The places to die at are all there are."""

import re

from tests.chaos.places import edges, on_the_way, on_the_way_back
from tests.chaos.test_service_crashes import BACK, FORTH
from tools.paths import ROOT

REACHED = re.compile(r'failpoints\.reach\(f?"([^"]+)"\)')


def test_no_fail_point_is_left_out() -> None:
    """Every fail-point in the sources, whatever the variable part of its name, is one that some test dies at."""
    sources = [path.read_text() for folder in ("chassis", "services") for path in (ROOT / folder).rglob("*.py")]
    named = {name for source in sources for name in REACHED.findall(source)}
    killing = {place for deaths in (*FORTH, *BACK) for place in deaths.values()}
    killing |= {f"{edge}=kill" for step in (*on_the_way(), *on_the_way_back()) for edge in edges(step)}
    left_out = [name for name in sorted(named) if not any(re.fullmatch(f"{_pattern(name)}=kill", it) for it in killing)]
    assert left_out == []
    assert named


def _pattern(name: str) -> str:
    return re.sub(r"\\\{.*?\\\}", ".+", re.escape(name))
