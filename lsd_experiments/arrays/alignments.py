"""Which alignment of a stack a volume lies on: its attribute ``alignment``, a text that goes with all that is made of it.

It is an attribute of its own, or one of its provenance.

    "91c0f2a44d1be730, a.zarr of sample_A.hdf:volumes/raw"

The first word tells alignments apart; the rest is for people: the container of the aligned volumes, and the stack that was
aligned. An aligned volume overlaps the stack that it was made of, in voxels of the same size: nothing else would tell that they
do not show the same tissue in the same place. Volumes without the attribute lie where they say.
"""

from dataclasses import replace

from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.provenance import provenance_in

ATTRIBUTE = "alignment"


def mark_of(volume: Volume) -> str | None:
    """The alignment that ``volume`` lies on; None if it does not say so."""
    places = (volume.attrs, provenance_in(volume.attrs))
    return next((found for place in places if isinstance(found := place.get(ATTRIBUTE), str) and found), None)


def carried(*volumes: Volume | None) -> dict[str, str]:
    """The attribute, of what is made of ``volumes`` and lies on the same voxels; nothing if none of them has it."""
    found = (mark_of(volume) for volume in volumes if volume is not None)
    return next(({ATTRIBUTE: mark} for mark in found if mark), {})


def unmarked(volume: Volume) -> Volume:
    """``volume``, as if it did not say what alignment it lies on."""
    attrs = {name: value for name, value in volume.attrs.items() if name != ATTRIBUTE}
    if made := provenance_in(volume.attrs):
        attrs["provenance"] = {name: value for name, value in made.items() if name != ATTRIBUTE}
    return replace(volume, attrs=attrs)


def key_of(mark: str) -> str:
    """What tells alignments apart."""
    return mark.partition(",")[0].strip()


def container_of(mark: str) -> str:
    """What the container of the aligned volumes was called."""
    return mark.partition(",")[2].partition(" of ")[0].strip() or "ALIGNED.zarr"


def check_same_alignment(first: Volume, second: Volume) -> None:
    """That both lie on the same alignment, or on none.

    :raises UserError: if they do not, so that the same place in both is not the same tissue
    """
    check_same_marks((first.name, mark_of(first)), (second.name, mark_of(second)))


def check_same_marks(first: tuple[str, str | None], second: tuple[str, str | None]) -> None:
    """As :func:`check_same_alignment`, of the name and the mark of each."""
    (name, mark), (other_name, other_mark) = first, second
    if (mark and key_of(mark)) == (other_mark and key_of(other_mark)):
        return
    if mark and other_mark:
        raise UserError(f"{name} and {other_name} lie on different alignments ({mark}; {other_mark}). Bring each back to its "
                        "stack first, by align.py --undo, or name volumes of one alignment")
    aligned, straight = (name, other_name) if mark else (other_name, name)
    said = mark or other_mark or ""
    raise UserError(f"{aligned} lies on an aligned stack ({said}), {straight} does not. Bring it back first: align.py --undo "
                    f"{aligned.partition(':')[0]} {container_of(said)} OUT; or name a volume that is aligned, too")
