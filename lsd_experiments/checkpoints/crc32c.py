"""CRC-32C (Castagnoli), eight bytes at a time, and TensorFlow's mask on it."""

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.compiled import compiled

POLYNOMIAL = 0x82F63B78  # of Castagnoli, bits reversed
MASK = 0xA282EAD8  # of leveldb and TensorFlow, which store no CRC as it is


def masked_crc32c(data: bytes | NDArray[np.uint8]) -> int:
    """The CRC-32C of ``data``, rotated by 15 bits and masked, as TensorFlow stores it."""
    octets = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else np.asarray(data)
    crc = int(_crc32c(octets, TABLES))
    return ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF


def _tables() -> NDArray[np.uint32]:
    """[8, 256]: what a byte does to the CRC when 0 to 7 bytes follow it."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(POLYNOMIAL), table >> 1)
    tables = [table]
    for _ in range(7):
        tables.append(tables[-1] >> 8 ^ table[tables[-1] & 0xFF])
    return np.stack(tables)


TABLES = _tables()


@compiled
def _crc32c(data, tables):  # type: ignore[no-untyped-def]  # (uint8[:], uint32[:, :]) -> uint32
    crc = np.uint32(0xFFFFFFFF)
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        crc ^= np.uint32(data[at] | data[at + 1] << 8 | data[at + 2] << 16 | np.uint32(data[at + 3]) << 24)
        crc = (
            tables[7, crc & 0xFF]
            ^ tables[6, crc >> 8 & 0xFF]
            ^ tables[5, crc >> 16 & 0xFF]
            ^ tables[4, crc >> 24]
            ^ tables[3, data[at + 4]]
            ^ tables[2, data[at + 5]]
            ^ tables[1, data[at + 6]]
            ^ tables[0, data[at + 7]]
        )
    for at in range(whole, len(data)):
        crc = crc >> 8 ^ tables[0, (crc ^ data[at]) & 0xFF]
    return crc ^ np.uint32(0xFFFFFFFF)
