"""The checks, as a list."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One program that passes with exit code 0."""

    name: str
    command: tuple[str, ...]


# The slowest first, since two run at a time.
CHECKS = (
    Check("types", ("mypy",)),
    Check("gen/ is what the protos and manifests say", (sys.executable, "-m", "tools.codegen", "--check")),
    Check("imports point one way", ("lint-imports", "--cache-dir", ".cache/import-linter")),
    Check("Python lint", ("ruff", "check", ".")),
    Check("Python format", ("ruff", "format", "--check", ".")),
    Check("proto lint", ("buf", "lint")),
    Check("proto format", ("buf", "format", "--diff", "--exit-code")),
    Check("protos break nobody", (sys.executable, "-m", "tools.check.breaking")),
    Check("migrations are safe while the old code runs", (sys.executable, "-m", "tools.check.migrations")),
    Check("YAML lint", ("yamllint", "--strict", ".")),
)
