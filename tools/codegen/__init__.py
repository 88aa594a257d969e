"""Writes everything that is derived from the protos and the manifests.

`python -m tools.codegen` brings the checkout up to date; with `--check` it changes nothing and fails on any difference.
"""
