"""The challenge's classes: of which parts each consists, which exclude each other, which are of instances.

A class is a set of elementary parts, by their numbers in the challenge's table; ``mito`` is its membrane, lumen and ribosomes.
Two classes exclude each other if they share no part: a voxel of ``ecs`` is no voxel of ``cell``.
"""

from collections.abc import Iterable

# In the order of their numbers, 1 and up; those with parts are groups.
_TABLE = """
ecs pm mito_mem mito_lum mito_ribo golgi_mem golgi_lum ves_mem ves_lum endo_mem endo_lum lyso_mem lyso_lum ld_mem ld_lum
er_mem er_lum eres_mem eres_lum ne_mem ne_lum np_out np_in hchrom nhchrom echrom nechrom nucpl nucleo mt_out cent cent_dapp
cent_sdapp ribo cyto mt_in nuc vim glyco golgi ves endo lyso ld rbc eres perox_mem perox_lum perox mito er ne np chrom mt
isg_mem isg_lum isg_ins isg cell actin tbar bm er_mem_all ne_mem_all cent_all chloroplast_mem chloroplast_lum chloroplast_sg
chloroplast vacuole_mem vacuole_lum vacuole plasmodesmata
"""
_NAMES = _TABLE.split()
_GROUPS: dict[str, Iterable[int]] = {
    "nuc": range(20, 30), "golgi": (6, 7), "ves": (8, 9), "endo": (10, 11), "lyso": (12, 13), "ld": (14, 15), "eres": (18, 19),
    "perox": (47, 48), "mito": (3, 4, 5), "er": range(16, 24), "ne": range(20, 24), "np": (22, 23), "chrom": range(24, 28),
    "mt": (30, 36), "isg": (56, 57, 58), "cell": (*range(2, 37), 38, 39, 47, 48, 56, 57, 58, 61, 62), "er_mem_all": (16, 18, 20),
    "ne_mem_all": (20, 22, 23), "cent_all": (31, 32, 33), "chloroplast": (67, 68, 69), "vacuole": (71, 72),
}
PARTS = {name: frozenset(_GROUPS.get(name, (number,))) for number, name in enumerate(_NAMES, 1)}

# Of those, what is not scored.
_UNTESTED = """
nhchrom nechrom nucleo cent cent_dapp cent_sdapp ribo vim glyco rbc isg_mem isg_lum isg_ins isg actin tbar bm cent_all
chloroplast_mem chloroplast_lum chloroplast_sg chloroplast vacuole_mem vacuole_lum vacuole plasmodesmata
"""
TESTED = tuple(name for name in _NAMES if name not in _UNTESTED.split())
INSTANCES = ("nuc", "vim", "ves", "endo", "lyso", "ld", "perox", "mito", "np", "mt", "cell", "instance")


def excluded_by(classes: Iterable[str] | None = None) -> dict[str, list[str]]:
    """Of each of ``classes`` (default: all), which of them it excludes, sorted by name; unknown ones exclude nothing."""
    chosen = list(PARTS) if classes is None else list(classes)
    return {one: sorted(other for other in chosen if exclude(one, other)) for one in chosen}


def exclude(one: str, other: str) -> bool:
    """Whether a voxel cannot be of both classes."""
    return one in PARTS and other in PARTS and PARTS[one].isdisjoint(PARTS[other])
