"""A gRPC call in HTTP/2 frames made by hand: what no client of gRPC's would send."""

import asyncio
import struct
from collections.abc import Mapping

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4


async def call(target: str, path: str, message: bytes, headers: Mapping[str, bytes]) -> bytes:
    """Makes a call at `unix:PATH`; returns the bytes it is answered with, up to the end of the status."""
    reader, writer = await asyncio.open_unix_connection(target.removeprefix("unix:"))
    standard = {
        ":method": b"POST",
        ":scheme": b"http",
        ":path": path.encode(),
        ":authority": b"localhost",
        "te": b"trailers",
        "content-type": b"application/grpc",
    }
    block = b"".join(_literal(name.encode(), value) for name, value in {**standard, **headers}.items())
    writer.write(PREFACE + _frame(SETTINGS, 0, 0, b"") + _frame(HEADERS, END_HEADERS, 1, block))
    writer.write(_frame(DATA, END_STREAM, 1, struct.pack(">BI", 0, len(message)) + message))
    async with asyncio.timeout(10):
        answer = await reader.readuntil(b"grpc-status")
    writer.close()
    await writer.wait_closed()
    return answer


def _literal(name: bytes, value: bytes) -> bytes:
    """A header as HPACK has it without table and without Huffman's code (RFC 7541, 6.2.2)."""
    return b"\0" + struct.pack(f">B{len(name)}sB{len(value)}s", len(name), name, len(value), value)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
