"""What the repository promises about itself: layout, versions, links."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.scripts import environment

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
EXPERIMENTS = sorted(path.parent.relative_to(ROOT / "02_train").as_posix() for path in (ROOT / "02_train").glob("*/*/mknet.py"))
SCRIPTS = {
    "01_data": {"add_labels_mask", "add_unlabeled_mask", "convert", "create_masks", "fetch_checkpoint", "fetch_cremi",
                "fetch_data", "fetch_snemi3d", "make_synthetic", "view_data"},
    "containers": {"download_images"},
    "02_train": {"export_checkpoint", "import_checkpoint", "inspect_checkpoint", "new", "plan", "report", "status",
                 "trainings"},
    "03_predict": {"predict", "extract_fragments", "agglomerate", "find_segments", "extract_segmentation", "evaluate", "run",
                   "evaluate_volumes", "evaluate_lsds", "evaluate_skeletons", "scores", "submission", "picture", "view",
                   "status", "export_graph", "import_graph", "threshold", "label_blocks", "join_blocks", "extract_components",
                   "export"},
    "02_train/cremi": {"align", "evaluate", "main", "partners", "submission", "test", "train"},
    "02_train/snemi3d": {"main", "segment"},
    "02_train/cellmap": {f"{name}_{dimensions}D" for name in ("train", "predict", "process") for dimensions in (2, 3)},
    **{f"02_train/{name}": {"mknet", "train", "predict", "predict_scan", "view_batch"} for name in EXPERIMENTS},
}
STAGES = {"predict", "extract_fragments", "agglomerate", "find_segments", "evaluate", "extract_segmentation", "threshold",
          "label_blocks", "join_blocks", "extract_components", "export", "run"}
HEAVY = {"tensorflow", "keras", "gunpowder", "daisy", "h5py", "matplotlib", "neuroglancer", "numba", "scipy", "waterz", "zarr"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _constraints() -> dict[str, Version]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in (line.split("==") for line in lines)}


def _requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(line) for lines in (PROJECT["dependencies"], *extras) for line in lines]


@pytest.mark.parametrize("directory", sorted(SCRIPTS))
def test_the_scripts_that_users_know_are_there(directory: str) -> None:
    assert {path.stem for path in (ROOT / directory).glob("*.py")} == SCRIPTS[directory]


def test_the_step_table_has_every_script_and_no_other() -> None:
    """A row without a place ("same") stands for the directories of 02_train."""
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \| `python (\w+)\.py", (ROOT / "docs/README.md").read_text(), flags=re.MULTILINE)
    listed = {(where.strip("`/") if where.startswith("`") else "", script) for where, script in rows}
    listed = {("02_train" if where.startswith("02_train") or not where else where, script) for where, script in listed}
    assert listed == {(directory.split("/")[0], script) for directory, scripts in SCRIPTS.items() for script in scripts}


def _scripts(*places: str) -> list[str]:
    return [f"{place}/{name}.py" for place in places for name in sorted(SCRIPTS[place])]


@pytest.mark.parametrize("script", _scripts("01_data", "02_train", "containers"))
def test_a_script_runs_in_a_checkout_that_is_not_installed(script: str, tmp_path: Path) -> None:
    """With the libraries of the environment, but without its .pth files, by which this package is installed."""
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-S", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert "No module named 'lsd_experiments'" in python("-c", "import lsd_experiments").stderr, "the control"
    _check_help(python("-X", "importtime", str(ROOT / script), "--help"), script)


@pytest.mark.parametrize("script", _scripts("03_predict", "02_train/cremi", "02_train/snemi3d", "02_train/fib25/mtlsd",
                                            "02_train/fib25/malis"))
def test_help_is_quick(script: str) -> None:
    command = [sys.executable, "-X", "importtime", ROOT / script, "--help"]
    _check_help(subprocess.run(command, env=environment(), capture_output=True, text=True), script)


def _check_help(ended: subprocess.CompletedProcess[str], script: str) -> None:
    """That it was said, without a word of warning, and without an import that takes long."""
    assert ended.returncode == 0, ended.stderr
    assert f"python {Path(script).name}" in ended.stdout
    lines = ended.stderr.splitlines()
    imported = {line.split("|")[-1].strip() for line in lines if line.startswith("import time:")}
    assert "argparse" in imported  # so that the next line looks at something
    assert not imported & (HEAVY | ({"numpy", "pydantic"} if Path(script).stem in STAGES else set()))
    assert not [line for line in lines if not line.startswith("import time:")]


def test_an_experiment_has_a_dataset_beside_it() -> None:
    assert len(EXPERIMENTS) >= 26
    assert not [name for name in EXPERIMENTS if not (ROOT / "02_train" / name).parent.joinpath("dataset.toml").is_file()]


def test_the_status_table_has_a_row_per_published_experiment_and_none_that_failed() -> None:
    text = (ROOT / "docs/status.md").read_text()
    table = text[text.index("<!-- status: written by 02_train/status.py -->"):text.index("<!-- end of status -->")]
    rows = {"/".join(row) for row in re.findall(r"^\| (\w+) \| (\w+) \|(?: [^|]+\|){4}$", table, flags=re.MULTILINE)}
    published = {f"{file.parent.name}/{variant}" for file in (ROOT / "02_train").glob("*/expected.toml")
                 for variant, values in tomllib.loads(file.read_text()).items() if "checkpoint" in values}
    assert len(published) == 25
    assert published <= rows <= {"dataset/variant", *EXPERIMENTS}
    assert re.search(r"^Run of \d{4}-\d\d-\d\d on \d+ cores of ", table, flags=re.MULTILINE)
    assert "fails" not in table


@pytest.mark.parametrize("requirement", _requirements(), ids=str)
def test_a_requirement_is_pinned_within_its_range(requirement: Requirement) -> None:
    if requirement.name != PROJECT["name"]:
        assert requirement.specifier.contains(_constraints()[canonicalize_name(requirement.name)])


def test_the_pinned_versions_have_the_cuda_of_tensorflow_alone() -> None:
    """PyTorch's has other versions of the same libraries, and triton; a machine without a GPU gets neither."""
    pinned = [name for name in _constraints() if re.match(r"nvidia|cuda|triton", name)]
    assert "nvidia-cudnn-cu12" in pinned
    assert all(name.startswith("nvidia-") and name.endswith("-cu12") for name in pinned)


def test_tensorflow_is_pinned_to_one_version() -> None:
    constraints = _constraints()
    assert constraints["tensorflow"] == constraints["tensorflow-cpu"]


def test_the_citation_has_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["preferred-citation"]["doi"] == "10.1038/s41592-022-01711-z"


def test_the_changelog_starts_with_what_is_not_released() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert headings[0] in ("Unreleased", PROJECT["version"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    local = [link for link in links if not link.startswith("http")]
    assert not [link for link in local if not (page.parent / link).exists()]


def test_the_index_has_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text()
    names = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert not [name for name in names if f"({name})" not in index]


def test_pages_that_the_code_names_are_there() -> None:
    named = {page for path in (*ROOT.glob("lsd_experiments/**/*.py"), *ROOT.glob("0*/**/*.py"))
             for page in re.findall(r"docs/[\w/-]+\.md", path.read_text())}
    assert not [page for page in sorted(named) if not (ROOT / page).exists()]


@pytest.mark.parametrize("script", ["setup.sh", ".ci/run", ".ci/system-packages"])
def test_shell_scripts_can_be_called(script: str) -> None:
    assert (ROOT / script).stat().st_mode & 0o100
    assert subprocess.run(["bash", "-n", ROOT / script]).returncode == 0


def test_bench_runs_every_benchmark_but_the_long_ones() -> None:
    """Each script with a command line of its own is in one of the two lists of setup.sh."""
    setup = (ROOT / "setup.sh").read_text()
    listed = re.search(r"BENCHMARKS=\((.*)\)", setup)[1].split()
    long = re.search(r"BENCHMARKS\[\*\]\} ([\w ]+)\"", setup)[1].split()
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text()}
    assert sorted([*listed, *long]) == sorted(scripts)
