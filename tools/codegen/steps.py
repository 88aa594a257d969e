"""What is generated, step by step. Each step reads the checkout and what earlier steps wrote, and writes below `out`."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tools.codegen import callers, imports, owners, stubs
from tools.paths import ROOT

OWNED = ("gen",)
"""Folders that hold nothing but generated files."""


def include(out: Path) -> None:
    """gen/include: the text of the protos ours import, so that no tool needs a registry."""
    imports.write(out / "gen/include")


def image(out: Path) -> None:
    """gen/tradewind.binpb: every proto with its imports and comments, as one descriptor set."""
    stubs.write_image(ROOT / "protos", out / "gen/include", out / "gen/tradewind.binpb")


def python(out: Path) -> None:
    """gen/tradewind and gen/buf: messages, stubs and their types."""
    stubs.write_python(ROOT / "protos", out / "gen/include", out / "gen")


def who_calls(out: Path) -> None:
    """gen/tradewind/callers.json: who may call what, from every service.yaml."""
    callers.write(ROOT, out / "gen/tradewind/callers.json")


def who_reviews(out: Path) -> None:
    """.github/CODEOWNERS: who reviews what, from every service.yaml."""
    owners.write(ROOT, out / ".github/CODEOWNERS")


def edge(out: Path) -> None:
    """gen/edge.binpb, gen/openapi.json and mesh/edge/envoy.yaml: how callers outside reach what the image lets them."""
    sees_what_was_just_written = {**os.environ, "PYTHONPATH": str(out / "gen")}
    subprocess.run(
        [sys.executable, "-m", "tools.codegen.edge.generate", str(out)], env=sees_what_was_just_written, check=True
    )


STEPS: tuple[Callable[[Path], None], ...] = (include, image, python, who_calls, who_reviews, edge)
