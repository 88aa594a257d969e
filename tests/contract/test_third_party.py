"""The rules our protos are written with are those the installed protovalidate knows."""

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from protovalidate._gen.buf.validate import validate_pb

from buf.validate import validate_pb2


def test_validate_proto_is_of_the_release_that_is_installed() -> None:
    """third_party/ moves together with the package."""
    ours = FileDescriptorProto.FromString(validate_pb2.DESCRIPTOR.serialized_pb)
    theirs = FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    assert named(ours) == named(theirs)


def named(file: FileDescriptorProto) -> dict[str, object]:
    """What the file defines, by name. How it is to be generated for other languages is left out."""
    for field in (*file.extension, *(field for message in file.message_type for field in message.field)):
        field.ClearField("json_name")  # protoc and buf differ in whether they write the one that is implied
    return {each.name: each for each in (*file.message_type, *file.enum_type, *file.extension)}
