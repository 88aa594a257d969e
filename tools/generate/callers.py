"""Turns round what the manifests say: from what each service calls to who may call each method."""

import json
from collections import defaultdict
from pathlib import Path

import yaml


def write(root: Path, target: Path) -> None:
    """Write `{method: [caller, …]}`, sorted, from the `calls` of every manifest below `root`."""
    callers: defaultdict[str, set[str]] = defaultdict(set)
    for path in manifests(root):
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
        for method in manifest.get("calls") or ():
            callers[method].add(manifest["name"])
    by_method = {method: sorted(names) for method, names in callers.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(by_method, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def manifests(root: Path) -> list[Path]:
    """The manifest of every service, and of every tool that runs as one."""
    return sorted([*root.glob("services/*/service.yaml"), *root.glob("tools/**/service.yaml")])
