"""The chain of pages of a TIFF file (TIFF 6.0, BigTIFF): tifffile stops without an error where it breaks."""

import struct
from pathlib import Path

from lsd_experiments.errors import UserError

# Bytes of a value, by its type.
VALUE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def walk_pages(path: Path) -> tuple[int, int]:
    """How many pages are in the chain of ``path``, and where the last byte is that their heads speak of, pixels aside.

    :raises UserError: if it leads out of the file, or in a circle
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        is_big = struct.unpack(f"{order}H", head[2:4])[0] == 43
        count_type, pointer_type, entry = ("Q", "Q", 20) if is_big else ("H", "I", 12)
        pointer = struct.calcsize(pointer_type)
        (place,) = struct.unpack_from(f"{order}{pointer_type}", head, 8 if is_big else 4)
        seen: set[int] = set()
        end = len(head)
        while place:
            if place in seen:
                raise UserError(f"{path}: its pages go round in a circle. Fetch or make it again")
            seen.add(place)
            file.seek(place)
            number = file.read(struct.calcsize(count_type))
            entries = struct.unpack(f"{order}{count_type}", number)[0] if len(number) == struct.calcsize(count_type) else 0
            table = file.read(min(entries * entry, size))
            following = file.read(pointer)
            end = max(end, file.tell(), _values_end(table, order, entry, pointer))
            if len(following) < pointer or not entries or end > size:
                raise UserError(f"{path}: cut off or damaged after {len(seen) - 1} pages. Fetch or make it again")
            (place,) = struct.unpack(f"{order}{pointer_type}", following)
    return len(seen), end


def _values_end(table: bytes, order: str, entry: int, pointer: int) -> int:
    """Where the last value of the tags ends that stands elsewhere in the file."""
    number = "Q" if pointer == 8 else "I"
    tags = struct.iter_unpack(f"{order}HH{number}{number}", table[:len(table) // entry * entry])
    lengths = [(VALUE_SIZES.get(kind, 0) * count, value) for _, kind, count, value in tags]
    return max((value + length for length, value in lengths if length > pointer), default=0)
