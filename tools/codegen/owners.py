"""Turns the manifests' `owner` into GitHub's CODEOWNERS: who reviews which folder."""

from pathlib import Path

from chassis.contract import manifest
from chassis.contract.manifest import Manifest

HEAD = """\
# Generated from the `owner` of each service.yaml by ./taskw generate. DO NOT EDIT.
# The last line that matches a file decides.
* @tradewind/platform
"""


def write(root: Path, target: Path) -> None:
    """Write a line for each folder of each service below `root`: its code and its contracts."""
    lines = [f"{folder} @tradewind/{each.owner}\n" for each in manifest.find(root) for folder in _folders(each)]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(HEAD + "".join(lines), encoding="utf-8")


def _folders(service: Manifest) -> tuple[str, str]:
    return f"/{service.package.replace('.', '/')}/", f"/protos/tradewind/{service.name}/"
