"""What a worker that relabels blocks has in memory, whatever the size of the look-up table."""

import numpy as np

from lsd_experiments.segmentation import write_lut
from lsd_experiments.segmentation.luts import write_columns

ROWS = 20_000_000  # 320 MB

RELABEL = """
from pathlib import Path
import numpy as np
from lsd_experiments.segmentation import read_lut, relabel
path, rows, loaded = arguments
lut = read_lut(Path(path))
if loaded:
    lut = np.array(lut)
for first in np.linspace(1, rows - 1000, 200).astype(int):  # blocks from end to end, each with fragments of its own
    fragments = np.random.default_rng(first).integers(first, first + 1000, (32, 32, 32)).astype(np.uint64)
    assert (relabel(3 * fragments, lut) == 3 * fragments - 3 * (fragments % 2)).all()
"""


def column(offset):
    """Fragments 3, 6, 9, ...; with offset 1 their segments: the even ones keep theirs, the others go to those below."""
    def rows(begin, end):
        numbers = np.arange(begin + 1, end + 1, dtype=np.uint64)
        return np.uint64(3) * (numbers - (numbers % np.uint64(2)) * np.uint64(offset))
    return rows


def test_the_table_does_not_count(tmp_path, peak_memory):
    small, large = tmp_path / "small.npz", tmp_path / "large.npz"
    write_lut(small, np.stack([column(0)(0, 2000), column(1)(0, 2000)]))
    write_columns(large, ROWS, column(0), column(1))
    assert large.stat().st_size > 16 * ROWS
    least = peak_memory(RELABEL, str(small), 2000, False)
    # A search looks at 25 places; some systems map 2 MB around each.
    assert peak_memory(RELABEL, str(large), ROWS, False) < least + 80  # MB
    assert peak_memory(RELABEL, str(large), ROWS, True) > least + 300  # a table in memory does count
    large.unlink()
