import subprocess
import sys

import numba
import pytest

from lsd_experiments.descriptors.compiled import compiled

SOURCE = "def twice(value):\n    return 2 * value\n"


def test_compiles_where_nothing_can_be_kept():
    scope = {}
    exec(SOURCE, scope)  # a function without a file has no place for its cache, as one in a read-only installation
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(scope["twice"])
    twice = compiled(scope["twice"])
    assert twice(3) == 6
    assert twice.signatures


def test_importing_imports_no_compiler():
    check = "import sys, lsd_experiments.descriptors; sys.exit('numba' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
    assert subprocess.run([sys.executable, "-c", "import numba; " + check], check=False).returncode == 1
