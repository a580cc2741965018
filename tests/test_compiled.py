"""Kernels are compiled, with a place to keep them or without one, as in a read-only installation."""

import json
import os
import re
import shutil
import subprocess
import sys

import numba
import pytest

from lsd_experiments.compiled import compiled
from lsd_experiments.descriptors import kernels as of_descriptors
from lsd_experiments.fragments import kernels as of_fragments
from lsd_experiments.installation import ROOT
from lsd_experiments.synthetic import kernels as of_synthetic

SOURCE = "def twice(value):\n    return 2 * value\n"
# Calls of modules of the ground, and what they give; all others are compiled by the same decorator.
CALLS = {
    "agglomeration.contact_kernels": ("find_slot(np.ones((1, 2), np.uint64), np.uint64(1), np.uint64(1))", 0),
    "agglomeration.kernels": ("first_common(np.array([[0, 2], [0, 3]]), *merge_forest(4, np.array([[0, 1], [1, 2]])))", [1, -1]),
    "augmentation.warp": ("_bilinear(np.arange(8.0), np.uintp(4), np.uintp(2), np.uintp(1), 0.5, 0.25)", 5.25),
    "descriptors.kernels": ("bounding_box(np.array([[1, 2, 3, 5]]), 0, 1, np.ones(3, np.int64))", [[1, 2, 3], [2, 3, 5]]),
    "descriptors.runs": ("find_runs(np.array([[[7, 7, 0, 8]]], np.uint64), np.array([[0, 0, 0], [1, 1, 4]]))[0]",
                         [[0, 0, 0, 2], [0, 0, 3, 4]]),
    "evaluation.kernels": ("count_pairs(np.array([1, 1, 2], np.uint64), np.array([5, 5, 5], np.uint64), 0,"
                           " *np.zeros((2, 8), np.uint64), np.zeros(8, np.int64), 0)", [3, 2]),
    "fragments.kernels": ("flooded([[[1, 1, 0]]], [[[4, 0, 0]]])", [[[4, 4, 0]]]),
    "fragments.row_kernels": ("box_maximum(np.array([[[1, 5, 2]]], np.int32), 2)", [[[1, 5, 5]]]),
    "malis.kernels": ("find(np.array([0, 0, 1]), 2)", 0),
    "segmentation.kernels": ("place(np.array([2, 4, 6]), 6, 0)", 2),
    "segmentation.relabel_kernels": ("_search(np.array([2, 4], np.uint64), np.array([7, 8], np.uint64), np.uint64(4))", 8),
    "synthetic.kernels": ("_rank(1.0, 3, 2.0, 4.0, 5)", [1.0, 2.0, 3]),
    "winograd.kernels": ("(lambda a: _join(a, *np.ones((3, 1), np.float32)) or a)(np.ones(1, np.float32))", [3.0]),
}  # fmt: skip
# Prints what the calls give, where the kernels of each module are kept, and what numba says of a function of this installation.
SCRIPT = """
import importlib, json, sys
import numba, numpy as np
given, kept = {}, set()
for name, call in json.loads(sys.argv[1]).items():
    module = importlib.import_module("lsd_experiments." + name)
    def flooded(level, seeds):
        found = np.zeros(np.shape(level), np.uint64)
        module.flood(np.array(level, np.int32), np.array(seeds, np.int32), 0, found)
        return found
    given[name] = eval(call, {"np": np, "flooded": flooded, **vars(module)})
    kernels = [value for value in vars(module).values() if isinstance(value, numba.core.dispatcher.Dispatcher)]
    assert any(kernel.signatures for kernel in kernels), name
    kept |= {kernel.stats.cache_path for kernel in kernels}
try:
    numba.njit(cache=True)(importlib.import_module("lsd_experiments.segmentation.kernels").place.py_func)
    said = ""
except RuntimeError as error:
    said = str(error)
print(json.dumps([given, sorted(kept, key=str), said], default=np.ndarray.tolist))
"""


@pytest.fixture
def installation(tmp_path):
    """A copy of the package that keeps nothing beside it, whoever runs it: files stand where directories would be made."""
    shutil.copytree(ROOT / "lsd_experiments", tmp_path / "lsd_experiments", ignore=shutil.ignore_patterns("__pycache__"))
    for directory in [*tmp_path.glob("lsd_experiments/**/")]:
        (directory / "__pycache__").touch()
    return tmp_path


def call_kernels(installation, place):
    """What the calls give if ``place`` is the home and all that is kept is kept below it."""
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), str(place))
    ended = subprocess.run([sys.executable, "-c", SCRIPT, json.dumps({name: call for name, (call, _) in CALLS.items()})],
                           env=os.environ | places | {"PYTHONPATH": str(installation)}, cwd=installation, text=True,
                           capture_output=True)  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    return json.loads(ended.stdout)


def test_a_read_only_installation_compiles_in_each_process(installation):
    (installation / "file").touch()
    given, kept, said = call_kernels(installation, installation / "file" / "below")
    assert given == {name: result for name, (_, result) in CALLS.items()}
    assert kept == [None]
    assert "no locator available" in said  # as without this package's decorator

    given, kept, said = call_kernels(installation, installation / "cache")
    assert given == {name: result for name, (_, result) in CALLS.items()}
    assert len(kept) > 1
    assert all(place.startswith(f"{installation}/cache/") for place in kept)
    assert said == ""


def test_all_kernels_are_compiled_in_this_way():
    found = set()
    for path in (ROOT / "lsd_experiments").rglob("*.py"):
        text = path.read_text()
        if path.name != "compiled.py":
            assert not re.search(r"\bn?jit\(|\bimport n?jit|^@numba", text, re.MULTILINE), path
            if re.search(r"^from lsd_experiments\.compiled import", text, re.MULTILINE):
                found.add(".".join(path.relative_to(ROOT / "lsd_experiments").with_suffix("").parts))
    assert found > CALLS.keys()


def test_compiles_where_nothing_can_be_kept():
    scope = {}
    exec(SOURCE, scope)  # a function without a file has no place for its cache, as one in a read-only installation
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(scope["twice"])
    for twice in (compiled(scope["twice"]), compiled(fastmath=True)(scope["twice"])):
        assert twice(3) == 6
        assert twice.signatures


def test_options_are_those_asked_for():
    for kernel in (of_synthetic.stamp_balls, of_fragments.flood):
        assert kernel.targetoptions["nogil"]
        assert not {"fastmath", "error_model", "inline"} & kernel.targetoptions.keys()
    assert of_fragments._reach.targetoptions["inline"] == "always"
    for kernel in (of_descriptors.describe, of_descriptors.variance):
        assert (kernel.targetoptions["fastmath"], kernel.targetoptions["error_model"]) == (True, "numpy")


def test_importing_imports_no_compiler():
    check = "import sys, lsd_experiments.descriptors; sys.exit('numba' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
    assert subprocess.run([sys.executable, "-c", "import numba; " + check], check=False).returncode == 1
