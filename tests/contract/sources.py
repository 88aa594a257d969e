"""What a package's source says about the contract: the methods it calls, the events it names."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.contract.image import EVENTS, METHODS, method_name
from tools.paths import ROOT


def methods_called(package: str) -> set[str]:
    """Full names of the methods that are called on stubs, anywhere in a package."""
    found = set()
    for tree in _modules(package):
        packages, names = _contracts_imported(tree), _names(tree)
        for method in METHODS:
            service = method.containing_service
            if service.file.package in packages and f"{service.name}Stub" in names and method.name in names:
                found.add(method_name(method))
    return found


def events_named(package: str, part: str) -> set[str]:
    """Full names of the events that one part of a service names: its `publisher`, its `subscriber`."""
    found = set()
    for tree in _modules(package, part):
        packages, names = _contracts_imported(tree), _names(tree)
        found |= {event.full_name for event in EVENTS if event.file.package in packages and event.name in names}
    return found


def services_wired(package: str) -> set[str]:
    """Full names of the gRPC services that a package's wiring has servicers for."""
    trees = [*_modules(package, "__main__"), *_modules(package, "__init__")]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {method.containing_service.full_name for method in METHODS} & texts


def _modules(package: str, part: str = "*") -> Iterator[ast.Module]:
    folder = ROOT / package.replace(".", "/")
    for path in sorted([*folder.glob(f"{part}.py"), *folder.glob(f"{part}/**/*.py")]):
        yield _parse(path)


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _contracts_imported(tree: ast.Module) -> set[str]:
    """The proto packages a module imports from: `tradewind.orders.v1`."""
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {".".join(module.split(".")[:3]) for module in modules if module.startswith("tradewind.")}


def _names(tree: ast.Module) -> set[str]:
    """Every name that is read, called or imported."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.name)
    return found
