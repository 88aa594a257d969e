"""Turns round what the manifests say: from what each service calls to who may call each method."""

import json
from collections import defaultdict
from pathlib import Path

from chassis.contract import manifest


def write(root: Path, target: Path) -> None:
    """Write `{method: [caller, …]}`, sorted, from the `calls` of every manifest below `root`."""
    callers: defaultdict[str, list[str]] = defaultdict(list)
    for service in manifest.find(root):
        for method in service.calls:
            callers[method].append(service.name)
    by_method = {method: sorted(names) for method, names in callers.items()}
    target.write_text(json.dumps(by_method, indent=2, sort_keys=True) + "\n", encoding="utf-8")
