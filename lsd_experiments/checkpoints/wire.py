"""Protocol Buffers on the wire, as far as checkpoints need them: varints, and the fields of a message.

https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # types of fields


class Damaged(ValueError):
    """Bytes that are not what they should be; the message says how."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The number (up to 64 bits, seven per byte, the lowest first) at ``at``, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        number |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return number, at
    raise Damaged("a number has no end")


def take(data: bytes, at: int, size: int) -> bytes:
    """``size`` bytes from ``at`` on."""
    if at + size > len(data):
        raise Damaged(f"{size} bytes at byte {at} reach over the end, at {len(data)}")
    return data[at : at + size]


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of ``message``: number and value, which are bytes of strings and of messages in it."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = varint(message, at)
            yield number, value
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
            yield number, int.from_bytes(take(message, at, size), "little")
            at += size
        elif kind == LENGTH:
            size, at = varint(message, at)
            yield number, take(message, at, size)
            at += size
        else:
            raise Damaged(f"field {number} has the unknown type {kind}")
