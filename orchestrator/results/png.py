"""Whether bytes that a container left are a small PNG and nothing else: what a report shows is looked at first."""

from __future__ import annotations

import struct
import zlib

LARGEST = 96 * 1024
"""Bytes of a picture; the harness makes none of more than 64 KiB."""
SIDE = 256
"""Pixels of a side at most."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3}
"""PNG's colour types, grey and RGB, and the bytes of a pixel."""
_FILTERS = 5
_FIXED = 12
"""Bytes of a chunk beside its body."""


def is_small_png(data: bytes, width: int, height: int) -> bool:
    """Whether ``data`` are a whole grey or RGB PNG of so many pixels, and no byte more.

    Header, pixels and end are the only chunks: no text, profile or animation has a place in a report. The pixels
    are unpacked to be counted, never further than they may go.
    """
    if len(data) > LARGEST or not data.startswith(_SIGNATURE) or not (0 < width <= SIDE and 0 < height <= SIDE):
        return False
    chunks = _chunks(data)
    if len(chunks) < 3 or [name for name, _ in chunks] != [b"IHDR", *[b"IDAT"] * (len(chunks) - 2), b"IEND"]:
        return False
    header, *pixels, end = (body for _, body in chunks)
    if len(header) != 13 or end:
        return False
    *size, depth, colour, packing, filtering, interlaced = struct.unpack(">IIBBBBB", header)
    if size != [width, height] or (depth, packing, filtering, interlaced) != (8, 0, 0, 0) or colour not in _CHANNELS:
        return False
    row = 1 + width * _CHANNELS[colour]
    unpacked = _unpacked(b"".join(pixels), height * row)
    return unpacked is not None and max(unpacked[::row]) < _FILTERS


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Names and bodies; none where one is cut off or its checksum is another."""
    found, at = [], len(_SIGNATURE)
    while at < len(data):
        if at + _FIXED > len(data):
            return []
        (length,) = struct.unpack_from(">I", data, at)
        end = at + _FIXED + length
        if end > len(data):
            return []
        name, body = data[at + 4 : at + 8], data[at + 8 : end - 4]
        if struct.pack(">I", zlib.crc32(name + body)) != data[end - 4 : end]:
            return []
        found.append((name, body))
        at = end
    return found


def _unpacked(packed: bytes, size: int) -> bytes | None:
    """Exactly ``size`` bytes; None where it is another number, or no such data."""
    machine = zlib.decompressobj()
    try:
        found = machine.decompress(packed, size + 1)
    except zlib.error:
        return None
    if len(found) != size or not machine.eof or machine.unused_data:
        return None
    return found
