"""Both formats in one directory, the file that names a checkpoint that is not there, and what prediction takes from them."""

import hashlib
import shutil
from pathlib import Path

import pytest

from lsd_experiments import frameworks, networks
from lsd_experiments.checkpoints import (
    find_best,
    find_checkpoint,
    find_named,
    read_checkpoint,
    require_checkpoint,
    save_checkpoint,
)
from lsd_experiments.errors import UserError
from lsd_experiments.networks import Head, Network
from lsd_experiments.prediction.loading import find_trained, sha256

frameworks.import_keras()

EXPERIMENTS = Path(__file__).parents[2] / "02_train"
SMALL = {"fmaps": (2, 4), "factors": ((1, 2, 2),)}
NETWORK = Network(2, 2, ((1, 2, 2),), (Head("affs", 3),))


@pytest.fixture
def save(tmp_path):
    """A function that saves a checkpoint of ours."""
    model = NETWORK.build(NETWORK.smallest_input_shape)
    return lambda iteration, **how: save_checkpoint(model, tmp_path, NETWORK, iteration, {"voxel_size": [1, 2, 3]}, **how)


def test_the_newest_of_both_formats(make, save, tmp_path, caplog):
    make(iteration=400, **SMALL)
    assert find_checkpoint(tmp_path).path.name == "train_net_checkpoint_400.index"
    save(401)
    assert find_checkpoint(tmp_path).path.name == "train_net_checkpoint_401.weights.h5"
    make(iteration=1000, **SMALL)
    assert find_checkpoint(tmp_path).path.name == "train_net_checkpoint_1000.index"
    assert find_checkpoint(tmp_path, 401).network == find_checkpoint(tmp_path, 400).network
    with pytest.raises(UserError, match=r"no checkpoint of iteration 7 \(found: 400, 401, 1000\)"):
        require_checkpoint(tmp_path, 7)
    save(1000)  # says more, such as its voxel size
    assert find_checkpoint(tmp_path).path.name == "train_net_checkpoint_1000.weights.h5"
    assert not caplog.records


def test_the_best(make, save, tmp_path):
    """Beside the others; by its name, by its iteration, and the newest if it is."""
    make(iteration=400, **SMALL)
    with pytest.raises(UserError, match=r"no best checkpoint \(found: 400\). Train with --validate-every"):
        require_checkpoint(tmp_path, "best")
    assert find_best(tmp_path) is find_checkpoint(tmp_path, "best") is None
    save(401)
    save(402, best=True)
    assert (tmp_path / "checkpoint").read_text() == 'model_checkpoint_path: "train_net_checkpoint_401"\n'
    for asked in ("best", 402, None):
        assert require_checkpoint(tmp_path, asked).path.name == "train_net_checkpoint_402.best.weights.h5"
        assert find_named(tmp_path, asked).iteration == 402
    assert find_named(tmp_path / "train_net_checkpoint_402.best").iteration == 402
    with pytest.raises(UserError, match="is the checkpoint of iteration 401, not best"):
        find_named(tmp_path / "train_net_checkpoint_401", "best")
    save(402)  # one file stands for one iteration, whatever it is called
    assert {require_checkpoint(tmp_path, asked).path.name for asked in ("best", 402)} == {"train_net_checkpoint_402.weights.h5"}
    save(403, best=True)
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == [
        "train_net_checkpoint_401.weights.h5", "train_net_checkpoint_402.weights.h5", "train_net_checkpoint_403.best.weights.h5"]


def test_a_pointer_to_what_was_not_shipped(make, pointer, tmp_path, caplog):
    make(iteration=400000, **SMALL)
    for name in ("train_net_checkpoint_500000", "/groups/lab/setup01/train_net_checkpoint_500000"):
        caplog.clear()
        pointer(tmp_path, name)
        assert find_checkpoint(tmp_path).iteration == 400000
        assert [record.getMessage() for record in caplog.records] == [
            f"{tmp_path / 'checkpoint'} names train_net_checkpoint_500000, which is not there: "
            "train_net_checkpoint_400000, the newest that is, is taken"
        ]
    caplog.clear()
    assert find_checkpoint(tmp_path, 400000).iteration == 400000  # asked for: nothing to say
    pointer(tmp_path, "train_net_checkpoint_400000")
    assert find_checkpoint(tmp_path).iteration == 400000
    assert not caplog.records


def test_a_pointer_beside_no_checkpoint_at_all_is_no_reason_to_start_anew(pointer, tmp_path):
    assert find_checkpoint(tmp_path) is None
    pointer(tmp_path)
    with pytest.raises(UserError, match=r"checkpoint: names train_net_checkpoint_500000, but no checkpoint is there"):
        find_checkpoint(tmp_path)
    (tmp_path / "checkpoint").write_text("nothing that we know")
    assert find_checkpoint(tmp_path) is None


def test_an_incomplete_download_is_not_passed_over(make, tmp_path):
    """The newest lacks its data: an older one would be another network's prediction."""
    make(iteration=5, **SMALL)
    path = make(iteration=10, **SMALL)
    path.with_name("train_net_checkpoint_10.data-00000-of-00001").unlink()
    with pytest.raises(UserError, match=r"train_net_checkpoint_10\.data-00000-of-00001: is missing"):
        find_checkpoint(tmp_path)
    assert find_checkpoint(tmp_path, 5).iteration == 5


def test_the_hash_is_of_index_and_data(make):
    path = make(**SMALL)
    data = path.with_name("train_net_checkpoint_400000.data-00000-of-00001")
    whole = path.read_bytes() + data.read_bytes()
    assert sha256(path) == hashlib.sha256(whole).hexdigest()
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    assert sha256(path) != hashlib.sha256(whole).hexdigest()


def test_prediction_takes_the_voxel_size_of_the_dataset(make, save, tmp_path):
    for dataset in ("zebrafinch", "fib25", "nobodys"):
        setup = tmp_path / dataset / "baseline"
        make(directory=setup, **SMALL)
        networks.write(Network(3, 1, ((1, 2, 2),), NETWORK.heads), "config", NETWORK.smallest_input_shape, setup)
        if dataset != "nobodys":
            shutil.copy(EXPERIMENTS / dataset / "dataset.toml", setup.parent)
    trained = find_trained(tmp_path / "zebrafinch" / "baseline")
    assert trained.voxel_size == (20, 9, 9)
    assert trained.network == NETWORK  # the feature maps are the checkpoint's
    assert find_trained(tmp_path / "fib25" / "baseline").voxel_size == (8, 8, 8)
    with pytest.raises(UserError, match=r"does not say which voxel size .* no dataset.toml says it: .*nobodys"):
        _ = find_trained(tmp_path / "nobodys" / "baseline").voxel_size
    shutil.copy(save(400000), tmp_path / "nobodys" / "baseline")
    assert find_trained(tmp_path / "nobodys" / "baseline").voxel_size == (1, 2, 3)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Network(2, 2, ((1, 2, 2),), (Head("affs", 12),)), r"affs_0/kernel is \(1, 1, 1, 2, 3\), not \(1, 1, 1, 2, 12\): heads"),
        (Network(2, 2, ((1, 1, 2),), (Head("affs", 3),)), r"unet_up_1_to_0/kernel is \(1, 2, 2, 2, 4\), not \(1, 1, 2, 2, 4\)"),
        (Network(2, 2, ((1, 2, 2),), (Head("lsds", 10),)), r"lsds_0/kernel is missing, not \(1, 1, 1, 2, 10\): heads is"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused_by_layer(make, tmp_path, network, message):
    make(**SMALL)
    networks.write(network, "config", network.smallest_input_shape, tmp_path)
    with pytest.raises(UserError, match=rf"400000.index: holds another architecture: {message}.*Run mknet.py again"):
        find_trained(tmp_path)


def test_the_published_name_of_a_head_makes_no_difference(make, tmp_path):
    path = make(heads=(("lsds", 10),), **SMALL)
    network = Network(2, 2, ((1, 2, 2),), (Head("lsds", 10, "embedding"),))
    networks.write(network, "config", network.smallest_input_shape, tmp_path)
    assert find_trained(tmp_path).network == read_checkpoint(path).network
