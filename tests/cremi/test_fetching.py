"""``fetch_cremi.py``, from a real server on loopback."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.families.cremi import fetching
from lsd_experiments.families.cremi.annotations import Annotations
from lsd_experiments.families.cremi.fetching import OF_OTHERS, SAMPLES, SOURCES, check_sample, file_of
from lsd_experiments.families.cremi.files import CremiFile, in_memory, write_cremi
from tests.fetching.web import Web, serving

ROOT = Path(__file__).parents[2]


def sample(path, resolution=(40.0, 4.0, 4.0), labelled=True):
    values = np.ones((3, 8, 9), np.uint64)
    pair = Annotations((1, 2), ("presynaptic_site", "postsynaptic_site"), np.zeros((2, 3)), {}, ((1, 2),))
    labels = {"neuron_ids": in_memory(values, resolution), "clefts": in_memory(values, resolution), "annotations": pair}
    write_cremi(path, CremiFile(raw=in_memory(values.astype(np.uint8), resolution), **(labels if labelled else {})))
    return path.read_bytes()


@pytest.fixture
def web(tmp_path):
    """All files of cremi.org, small; those of + samples have no labels."""
    (tmp_path / "made").mkdir()
    files = {file_of(name, padded): sample(tmp_path / "made" / file_of(name, padded), labelled="+" not in name)
             for name in SAMPLES for padded in (False, True)}
    web = Web(files=files)
    with serving(web):
        yield web


@pytest.fixture
def fetch(web, tmp_path, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            fetching.main("", ["--dest", str(tmp_path / "dest"), "--endpoint-url", web.url, *arguments])
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err
    return run


@pytest.mark.parametrize(("arguments", "names"), [
    ([], ["sample_A_20160501.hdf", "sample_B_20160501.hdf", "sample_C_20160501.hdf"]),
    (["--sample", "A+", "C+", "--padded"], ["sample_A+_padded_20160601.hdf", "sample_C+_padded_20160601.hdf"]),
])  # fmt: skip
def test_what_is_fetched(web, fetch, tmp_path, arguments, names):
    status, said, _ = fetch(*arguments)
    assert (status, "checked: " in said) == (0, True)
    place = tmp_path / "dest" / "cremi"
    assert {path.name: path.read_bytes() for path in place.glob("*.hdf")} == {name: web.files[name] for name in names}
    assert sorted(line.split()[1] for line in (place / "SHA256SUMS").read_text().splitlines()) == sorted(names)
    asked = len(web.bodies(names[0]))
    assert fetch(*arguments)[0] == 0
    assert len(web.bodies(names[0])) == asked, "it was there"


def test_a_file_that_is_not_what_it_should_be_is_named(web, fetch, tmp_path):
    web.files["sample_B_20160501.hdf"] = sample(tmp_path / "b.hdf", resolution=(4.0, 4.0, 40.0))
    web.files["sample_C_20160501.hdf"] = b"<html>moved</html>"
    status, said, _ = fetch()
    assert status == 1
    assert [line.split("/")[-1].split(":")[0] for line in said.splitlines() if "nm, not" in line] == ["sample_B_20160501.hdf"] * 3
    assert "sample_C_20160501.hdf: cannot be read as HDF5" in said
    assert len(check_sample(tmp_path / "dest" / "cremi" / "sample_A_20160501.hdf", "A")) == 0
    unlabelled = tmp_path / "made" / file_of("A+", False)
    assert len(check_sample(unlabelled, "A")) == 3
    assert check_sample(unlabelled, "A+") == []


def test_a_dry_run_fetches_nothing_and_other_sources_are_fixed(web, fetch, tmp_path):
    assert "to fetch" in fetch("--dry-run")[1]
    assert not (tmp_path / "dest").exists()
    status, _, said = fetch("--source", "tutorial", "--padded")
    assert (status, "is of fixed files" in said) == (2, True)
    web.files.update({name: json.dumps(name).encode() for name in OF_OTHERS["tutorial"]})
    assert fetch("--source", "tutorial")[0] == 0
    assert sorted(path.name for path in (tmp_path / "dest/cremi/tutorial").iterdir() if not path.name.startswith(".")) == sorted(
        [*OF_OTHERS["tutorial"], "SHA256SUMS"])


def test_the_table_has_every_file():
    releases = tomllib.loads((ROOT / "01_data" / "datasets.toml").read_text())["releases"]
    cremi = releases["cremi"]
    assert {*cremi["training"], *cremi["further"], *cremi["on_request"]} == {
        file_of(name, padded) for name in SAMPLES for padded in (False, True)}
    for source, names in OF_OTHERS.items():
        release = releases[SOURCES[source]]
        assert {*names} <= {*release["training"], *release.get("on_request", ())}
