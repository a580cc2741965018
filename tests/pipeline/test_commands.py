"""The commands of 03_predict, as processes."""

from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from tests.scripts import run_script

SCRIPTS = Path(__file__).parents[2] / "03_predict"
EXPECTED = {"predict", "extract_fragments", "agglomerate", "find_segments", "evaluate", "extract_segmentation", "run"}


def command(name, *arguments):
    return run_script(SCRIPTS / f"{name}.py", *arguments)


def refused(*arguments, says):
    """Run a command that must end with status 2 and one line."""
    done = command(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr
    return done


def files(directory):
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*")
            if path.is_file() and path.suffix not in (".toml", ".log")}


def test_there_is_a_command_for_each_stage():
    assert {path.stem for path in SCRIPTS.glob("*.py")} >= EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_help_says_what_the_command_does(name):
    assert f"python {name}.py CONFIG" in command(name, "--help").stdout


def test_run_makes_everything_once(config, out_file, tmp_path):
    path = config(extract='threshold = "best"')
    done = command("run", path, "--num-workers", 2)
    assert done.returncode == 0, done.stderr
    assert "extract_fragments: " in done.stdout
    assert "<- best" in done.stdout
    dataset = done.stdout.split()[-1]
    assert dataset.startswith("volumes/segmentation_")
    assert len(np.unique(open_volume(str(out_file), dataset).read())) > 5
    assert "INFO" not in done.stderr
    log = (out_file / ".blockwise" / "pipeline.log").read_text()
    for line in ("extract_fragments begins: new", "extract_fragments: 27 blocks for 2 local workers", "evaluate is done"):
        assert line in log
    assert "begins on" in (out_file / ".blockwise/volumes_fragments/logs/extract_fragments/worker_0.err").read_text()
    made = files(tmp_path)

    again = command("run", path)
    assert again.returncode == 0, again.stderr
    assert "<- best" in again.stdout
    changed = {p for p, time in files(tmp_path).items() if made.get(p) != time}
    assert {p.suffix for p in changed} <= {".db-shm", ".db-wal"}

    path = config(fragments="min_seed_distance = 12", extract='threshold = "best"')
    planned = command("run", path, "--dry-run")
    assert (planned.returncode, planned.stderr) == (0, "")
    assert "extract_fragments: min_seed_distance was 10, now it is 12" in planned.stdout
    assert {p for p, time in files(tmp_path).items() if made.get(p) != time} == changed
    path = config(extract='threshold = 0.5\nout_dataset = "volumes/affs"')
    refused("extract_segmentation", path, says="volumes/affs exists and was made by predict, not by extract_segmentation")
    path = config(extract="threshold = 0.55")
    refused("extract_segmentation", path, says="there are 10 thresholds, the nearest 0.3, 0.4, 0.5, 0.6, 0.7, 0.8")
    assert {p for p, time in files(tmp_path).items() if made.get(p) != time} == changed | set()


def test_stages_in_the_wrong_order_are_refused(config, out_file):
    path = config()
    refused("predict", path, says="the configuration has no 'setup'")
    refused("agglomerate", path, says="volumes/fragments")
    refused("find_segments", path, says="volumes/fragments")
    refused("extract_segmentation", path, says="volumes/fragments")
    refused("evaluate", path, says="Run extract_fragments first")
    refused("evaluate", config(evaluate=""), says="has no [evaluate]")
    assert {p.name for p in out_file.parent.iterdir()} == {"config.toml", "out.zarr"}


@pytest.mark.parametrize(("change", "says"), [
    ({"top": "[workers]\nnum_worker = 2"}, "unknown key 'workers.num_worker'; did you mean 'num_workers'?"),
    ({"top": "[workers]\nnum_workers = 0"}, "'workers.num_workers': Input should be greater than or equal to 1, found 0"),
    ({"fragments": "filter_fragment = 0.5"}, "unknown key 'fragments.filter_fragment'; did you mean 'filter_fragments'?"),
    ({"fragments": "epsilon_agglomerate = 2"}, "fragments.epsilon_agglomerate"),
    ({"agglomerate": 'block_size = [200, 144]'}, "agglomerate.block_size"),
    ({"find_segments": "thresholds_minmax = [0.5, 0.5]"}, "thresholds_minmax must ascend"),
    ({"extract": 'threshold = "worst"'}, "extract.threshold"),
    ({"evaluate": 'labels_file = "out.zarr"\nroi_offset = [0, 0, 0]'}, "[evaluate] needs both roi_offset and roi_shape"),
    ({"top": 'db = "mysql://localhost/lsd"'}, "db: a URL that begins with mysql://. Name a file for SQLite, or postgresql://user@host/database"),
    ({"fragments": 'fragments_file = "s3://bucket/f.zarr"'}, "'fragments_file' is a URL, but results are written"),
    ({"fragments": 'affs_dataset = "volumes/afs"'}, "volumes/affs"),
    ({"fragments": 'affs_dataset = "volumes/labels/neuron_ids"'}, "affinities are [c, z, y, x]"),
    ({"fragments": 'affs_file = "none.zarr"'}, "none.zarr"),
    ({"fragments": 'mask_file = "none.zarr"'}, "none.zarr"),
])
def test_bad_configurations_are_refused_before_anything_is_written(config, out_file, change, says):
    refused("run", config(**change), says=says)
    assert {p.name for p in out_file.parent.iterdir()} == {"config.toml", "out.zarr"}
    assert not (out_file / "volumes" / "fragments").exists()


def test_block_sizes_must_fit_the_voxels_and_each_other(config, out_file):
    path = config()
    path.write_text(path.read_text().replace("block_size = [200, 144, 126]", "block_size = [200, 144, 130]"))
    refused("extract_fragments", path, says="[fragments] block_size = [200.0, 144.0, 130.0] nm is no multiple of the voxel size")
    assert command("extract_fragments", config()).returncode == 0
    refused("agglomerate", config(agglomerate="block_size = [300, 144, 126]"), says="no multiple of that of the fragments")
    path = config()
    path.write_text(path.read_text().replace("context = [40, 18, 18]", "context = [40, 0, 18]"))
    refused("agglomerate", path, says="would not touch")
    other = config(top='db = "other.db"')
    refused("agglomerate", other, says="other.db: no such database")


def test_unfinished_affinities_are_refused(config, out_file):
    del open_volume(str(out_file), "volumes/affs", writable=True).array.attrs["finished"]
    refused("extract_fragments", config(), says="volumes/affs is not finished. Run predict first")


def test_missing_configuration_is_refused(tmp_path):
    refused("run", tmp_path / "none.toml", says="none.toml: no such file")


def test_damaged_affinities_stop_a_run_with_their_name(config, out_file):
    chunk = next((out_file / "volumes" / "affs").glob("0.*"))
    chunk.write_bytes(b"not gzip")
    done = refused_with_progress("extract_fragments", config())
    assert f"volumes/affs: chunk {chunk.name} cannot be read" in done


def refused_with_progress(name, path):
    """The error line of a command that shows how far it got first."""
    done = command(name, path)
    assert done.returncode == 2, done.stderr
    return done.stderr.splitlines()[-1]


def test_a_database_that_is_gone_is_made_again(config, out_file):
    path = config()
    assert command("extract_fragments", path).returncode == 0
    database = out_file.with_suffix(".db")
    size = database.stat().st_size
    database.unlink()
    done = command("extract_fragments", path)
    assert done.returncode == 0, done.stderr
    assert database.stat().st_size >= size * 0.9
    assert command("agglomerate", path).returncode == 0


def test_run_from_a_stage_keeps_what_the_ones_before_made(config, out_file):
    path = config(extract="threshold = 0.5")
    assert command("run", path).returncode == 0
    made = open_volume(str(out_file), "volumes/fragments").attrs["finished"], files(out_file / "volumes" / "fragments")
    done = command("run", path, "--from", "agglomerate", "--overwrite")
    assert done.returncode == 0, done.stderr
    assert "extract_fragments" not in done.stdout
    assert "extract_segmentation" in done.stdout
    assert made == (open_volume(str(out_file), "volumes/fragments").attrs["finished"], files(out_file / "volumes" / "fragments"))
    refused("run", path, "--from", "aglomerate", says="did you mean 'agglomerate'?")
    refused("run", path, "--from", "predict", says="no stage of this configuration")  # it has no setup
