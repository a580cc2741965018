"""The checksum at the end of our checkpoints: HDF5 has none for weights, and may read damaged structures without end.

    HDF5, n bytes
    "\\nCRC-32 1a2b3c4d of the 00000000000001234567 bytes before\\n"

HDF5 and Keras do not look behind what HDF5's head says is the end. Whatever opens the file to change it, as h5py's "r+" does,
cuts the line off: such a file is one without a checksum, as those of before are.
"""

import re
import zlib
from pathlib import Path

LINE = b"\nCRC-32 %08x of the %020d bytes before\n"
LENGTH = len(LINE % (0, 0))
PATTERN = re.compile(rb"\nCRC-32 ([0-9a-f]{8}) of the (\d{20}) bytes before\n")
HDF5 = b"\x89HDF\r\n\x1a\n"  # what it begins with; then the version: 0, of h5py, has at bytes 40 to 47 where the file ends
PIECE = 2**22  # bytes read at once


def seal(path: Path) -> None:
    """Put the checksum at the end of the HDF5 file ``path``."""
    size = path.stat().st_size
    line = LINE % (_checksum(path, size), size)
    with path.open("ab") as file:
        file.write(line)


def check_seal(path: Path) -> None:
    """Compare the file's bytes with its checksum; a file that never had one, and is of the length that HDF5 says, passes.

    :raises ValueError: if they are not what was written.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(48)
        file.seek(max(0, size - LENGTH))
        match = PATTERN.fullmatch(file.read())
    if match:
        said, length = int(match[1], 16), int(match[2])
        if length != size - LENGTH:
            raise ValueError(f"{size - LENGTH} bytes, where {length} were written")
        if _checksum(path, length) != said:
            raise ValueError("its checksum is not that of its bytes")
    elif not head.startswith(HDF5) or len(head) < 48:
        raise ValueError("no HDF5 file")
    elif head[8] == 0 and int.from_bytes(head[40:], "little") != size:
        raise ValueError(f"{size} bytes, where its head says {int.from_bytes(head[40:], 'little')}")


def _checksum(path: Path, size: int) -> int:
    """CRC-32 of the first ``size`` bytes."""
    checksum = 0
    with path.open("rb") as file:
        while size > 0 and (piece := file.read(min(PIECE, size))):
            checksum = zlib.crc32(piece, checksum)
            size -= len(piece)
    return checksum
