"""Arrays as the binary format of PostgreSQL's COPY, and back.

A row is an int16, how many fields it has, then for each its size in bytes as int32 (-1: NULL, and no value follows) and
its value; all is big-endian. 19 bytes come before the first row, two after the last.
"""

import numpy as np
from numpy.typing import NDArray

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


def _row(kind: np.dtype[np.void]) -> np.dtype[np.void]:
    """How a row with the fields of ``kind``, none of them NULL, looks."""
    fields = [("count of fields", ">i2")]
    for name in kind.names or ():
        fields += [(f"size of {name}", ">i4"), (name, kind[name].newbyteorder(">").str)]
    return np.dtype(fields)


def to_copy(values: NDArray[np.void]) -> bytes:
    """``values`` [n] with one field per column; NaN becomes NULL."""
    names = values.dtype.names or ()
    kind = _row(values.dtype)
    rows = np.empty(len(values), kind)
    rows["count of fields"] = len(names)
    assert kind.fields is not None
    keep = None
    for name in names:
        rows[f"size of {name}"] = kind[name].itemsize
        rows[name] = values[name]
        null = np.isnan(values[name]) if values.dtype[name].kind == "f" else np.zeros(0, bool)
        if null.any():
            rows[f"size of {name}"][null] = -1
            keep = np.ones((len(values), kind.itemsize), bool) if keep is None else keep
            start = kind.fields[name][1]
            keep[null, start:start + kind[name].itemsize] = False
    body = rows.tobytes() if keep is None else rows.view(np.uint8).reshape(len(values), -1)[keep].tobytes()
    return HEADER + body + TRAILER


def from_copy(data: bytes, kind: np.dtype[np.void]) -> NDArray[np.void]:
    """The rows in ``data``, with the fields of ``kind``, none of them NULL."""
    assert data.startswith(HEADER[:11]), "not what COPY writes"
    rows = np.frombuffer(data[:-len(TRAILER)], _row(kind), offset=len(HEADER))
    values = np.empty(len(rows), kind)
    for name in kind.names or ():
        values[name] = rows[name]
    return values
