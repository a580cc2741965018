"""Sorted string tables, in which TensorFlow keeps the index of a checkpoint: leveldb's format.

https://github.com/google/leveldb/blob/main/doc/table_format.md; a file is::

    block | block | ... | index block | footer      block:  entries, restarts, their number
    each followed by its compression               entry:   bytes shared with the key before it, bytes that are not,
    (1 byte) and a masked CRC-32C (4)                       length of the value; then the two
"""

from collections.abc import Iterator

from lsd_experiments.checkpoints.wire import Damaged, take, varint

FOOTER = 48  # bytes: two handles, padded, and
MAGIC = 0xDB4775248B80FB57
TRAILER = 5  # bytes that follow a block


def read_table(data: bytes) -> dict[str, bytes]:
    """All keys and values of a table.

    :raises Damaged: if ``data`` is not one, or a checksum does not agree.
    """
    footer = data[-FOOTER:]
    if len(footer) < FOOTER or int.from_bytes(footer[-8:], "little") != MAGIC:
        raise Damaged("it does not end as such a file does")
    _, after_metaindex = _handle(footer, 0)
    index, _ = _handle(footer, after_metaindex)
    table: dict[str, bytes] = {}
    for _, handle in _entries(_block(data, *index)):
        block, _ = _handle(handle, 0)
        for key, value in _entries(_block(data, *block)):
            try:
                table[key.decode()] = value
            except UnicodeDecodeError:
                raise Damaged(f"the name {key!r} is no text") from None
    return table


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and where they end in ``data``."""
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at


def _block(data: bytes, offset: int, size: int) -> bytes:
    from lsd_experiments.checkpoints.crc32c import masked_crc32c

    stored = take(data, offset, size + TRAILER)
    if int.from_bytes(stored[-4:], "little") != masked_crc32c(stored[:-4]):
        raise Damaged(f"the checksum of the block at byte {offset} does not agree")
    if stored[size] != 0:  # TensorFlow never compresses its index: tensor_bundle.cc, BundleWriter::Finish
        raise Damaged(f"the block at byte {offset} is compressed")
    return stored[:size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    restarts = int.from_bytes(take(block, max(0, len(block) - 4), 4), "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise Damaged(f"a block of {len(block)} bytes has {restarts} restarts")
    key, at = b"", 0
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key):
            raise Damaged(f"a name shares {shared} bytes with one of {len(key)}")
        key = key[:shared] + take(block, at, own)
        yield key, take(block, at + own, length)
        at += own + length
