"""Runs protoc over the protos: the contract image, and Python messages and stubs with their types."""

import subprocess
import sys
from pathlib import Path

import grpc_tools
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tools.codegen.scripts import SCRIPTS
from tools.paths import ROOT

_WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"
_THIRD_PARTY = ROOT / "third_party"


def write_image(protos: Path, include: Path, target: Path) -> None:
    """Write all of `protos` with imports and comments as one FileDescriptorSet, the input of everything derived."""
    target.parent.mkdir(parents=True, exist_ok=True)
    options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={target}"]
    _protoc(protos, include, options, _names(protos))


def write_python(protos: Path, include: Path, target: Path) -> None:
    """Write messages for every proto and for buf.validate, and async stubs for those that define a service."""
    names = _names(protos)
    messages = [f"--python_out={target}", f"--mypy_out=quiet:{target}", _plugin("mypy")]
    _protoc(protos, include, messages, [*names, "buf/validate/validate.proto"])
    stubs = [f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet,only_async:{target}", _plugin("mypy_grpc")]
    _protoc(protos, include, stubs, _with_services(target / "tradewind.binpb", names))
    (target / "tradewind/py.typed").touch()


def _names(protos: Path) -> list[str]:
    return sorted(path.relative_to(protos).as_posix() for path in protos.rglob("*.proto"))


def _with_services(image: Path, names: list[str]) -> list[str]:
    files = FileDescriptorSet.FromString(image.read_bytes()).file
    return [file.name for file in files if file.service and file.name in names]


def _plugin(name: str) -> str:
    return f"--plugin=protoc-gen-{name}={SCRIPTS / f'protoc-gen-{name}'}"


def _protoc(protos: Path, include: Path, options: list[str], names: list[str]) -> None:
    paths = [f"--proto_path={path}" for path in (protos, include, _THIRD_PARTY, _WELL_KNOWN)]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *paths, *options, *names], check=True)
