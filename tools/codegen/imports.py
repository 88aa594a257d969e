"""Collects the text of the foreign protos that ours import: google.api from its wheel, buf.validate from its descriptor."""

import subprocess
from importlib.resources import files
from pathlib import Path

from protovalidate._gen.buf.validate import validate_pb

from tools.codegen import proto_text
from tools.codegen.scripts import SCRIPTS

GOOGLE_API = ("annotations.proto", "field_behavior.proto", "http.proto", "httpbody.proto")
BUF_NOTICE = "Copyright (c) 2023-2026 Buf Technologies, Inc. Licensed under the Apache License, Version 2.0."


def write(target: Path) -> None:
    """Write each proto below `target`, at the path it is imported by and in buf's format."""
    for name in GOOGLE_API:
        _write(target / "google/api" / name, (files("google.api") / name).read_text(encoding="utf-8"))
    validate = proto_text.render(validate_pb.desc().proto.to_binary(), BUF_NOTICE)
    _write(target / "buf/validate/validate.proto", validate)
    subprocess.run([SCRIPTS / "buf", "format", "--write", "--config", '{"version": "v2"}', target], check=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
