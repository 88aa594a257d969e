"""What the transcoder reads: the contract image without comments, with the messages that error details are made of."""

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2

from tools.codegen.edge.image import Image

ERRORS = (error_details_pb2, status_pb2)


def descriptors(image: Image) -> bytes:
    """A descriptor set for `proto_descriptor`."""
    found = FileDescriptorSet(file=image.files)
    known = {file.name for file in found.file}
    for file in found.file:
        file.ClearField("source_code_info")
    for module in ERRORS:
        for descriptor in (*module.DESCRIPTOR.dependencies, module.DESCRIPTOR):
            if descriptor.name not in known:
                known.add(descriptor.name)
                found.file.append(FileDescriptorProto.FromString(descriptor.serialized_pb))
    return found.SerializeToString(deterministic=True)
