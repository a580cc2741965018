"""Pickles read as data: nothing that is named in them is imported or called.

A pickle is a program: to load it as usual runs what its author chose. Here its operations are decoded by ``pickletools``, and
carried out on values that cannot do anything: numbers, texts, bytes, lists, dicts, sets, and NumPy arrays made of bytes or of
such values. What a pickle names beside these is kept as a name (:class:`Global`), and what it would have called or made as a
record (:class:`Foreign`).

Time and memory are bounded by the pickle's length: at most 20 million operations, no call copies more than the pickle holds, and
only small keys are hashed. Arrays share the pickle's bytes, and are read-only.
"""

from lsd_experiments.pickles.arrays import array_of
from lsd_experiments.pickles.machine import load, loads
from lsd_experiments.pickles.records import Foreign, Global

__all__ = ["Foreign", "Global", "array_of", "load", "loads"]
