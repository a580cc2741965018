"""Pickles read as data: nothing that is named in them is imported or called.

A pickle is a program: to load it as usual runs what its author chose. Here an unpickler carries it out on values that cannot do
anything: numbers, texts, bytes, lists, dicts, sets, and NumPy arrays made of bytes or of such values. What a pickle names beside
these is kept as a name (:class:`Global`), and what it would have called or made as a record (:class:`Foreign`).

Memory is bounded by the pickle's length (64 bytes for each of its own, and 16 MB), and time as well: no call copies more than
that, only small keys are hashed, and few with the same hash. Arrays share the pickle's bytes, and are read-only.
"""

from lsd_experiments.pickles.arrays import array_of
from lsd_experiments.pickles.records import Foreign, Global
from lsd_experiments.pickles.unpickler import load, loads

__all__ = ["Foreign", "Global", "array_of", "load", "loads"]
