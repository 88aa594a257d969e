"""Collects the text of google.api's protos that ours import, from its wheel. buf.validate's comes in none: third_party/."""

import subprocess
from importlib.resources import files
from pathlib import Path

from tools.codegen.scripts import SCRIPTS

GOOGLE_API = ("annotations.proto", "field_behavior.proto", "http.proto", "httpbody.proto")


def write(target: Path) -> None:
    """Write each proto below `target`, at the path it is imported by and in buf's format."""
    for name in GOOGLE_API:
        _write(target / "google/api" / name, (files("google.api") / name).read_text(encoding="utf-8"))
    subprocess.run([SCRIPTS / "buf", "format", "--write", "--config", '{"version": "v2"}', target], check=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
