"""Our checkpoints on real Keras models, saved, killed, damaged and mixed up."""

import dataclasses
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from lsd_experiments import checkpoints, frameworks
from lsd_experiments.checkpoints import (
    find_checkpoint,
    load_checkpoint,
    own,
    read_checkpoint,
    require_checkpoint,
    require_same_network,
    save_checkpoint,
)
from lsd_experiments.checkpoints.own import optimizer_steps
from lsd_experiments.checkpoints.seal import LENGTH
from lsd_experiments.errors import UserError
from lsd_experiments.networks import Head, Network

frameworks.import_keras()

NETWORK = Network(1, 2, ((1, 2, 2),), (Head("affs", 3),))


def compiled(network=NETWORK):
    import keras

    model = network.build(network.smallest_input_shape)
    model.compile(keras.optimizers.Adam(0.01), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


def train(model, steps):
    random = np.random.default_rng(5)
    for _ in range(steps):
        x = random.uniform(-1, 1, (1, *NETWORK.smallest_input_shape, 1)).astype(np.float32)
        y = random.uniform(0, 1, (1, *NETWORK.output_shape(NETWORK.smallest_input_shape), 3)).astype(np.float32)
        model.train_on_batch({"raw": x}, {"affs": y})


@pytest.fixture(scope="module")
def trained():
    import keras

    keras.utils.set_random_seed(1)  # or a gradient may be 0 throughout
    model = compiled()
    train(model, 3)
    return model


def test_round_trip_with_optimizer_state_and_record(trained, tmp_path):
    path = save_checkpoint(trained, tmp_path, NETWORK, 12, {"seed": 5, "provenance": {"stage": "train"}})
    assert path.name == "train_net_checkpoint_12.weights.h5"
    found = read_checkpoint(path)
    assert (found.iteration, found.network, found.record["seed"]) == (12, NETWORK, 5)
    assert found.record["provenance"] == {"stage": "train"}
    other = compiled()
    assert not all(np.array_equal(a, b) for a, b in zip(trained.get_weights(), other.get_weights(), strict=True))
    load_checkpoint(other, path)
    for a, b in zip(trained.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    state = [np.asarray(v) for v in other.optimizer.variables]
    for a, b in zip(trained.optimizer.variables, state, strict=True):
        np.testing.assert_array_equal(np.asarray(a), b)
    assert int(np.asarray(other.optimizer.iterations)) == 3
    assert sum(np.abs(v).sum() > 0 for v in state) > 4  # moments are there


def test_the_newest_that_exists_is_found_whatever_the_pointer_says(trained, tmp_path):
    assert find_checkpoint(tmp_path) is None
    assert find_checkpoint(tmp_path / "nowhere") is None
    for iteration in (9, 100, 20):
        save_checkpoint(trained, tmp_path, NETWORK, iteration, {})
    assert (tmp_path / "checkpoint").read_text() == 'model_checkpoint_path: "train_net_checkpoint_20"\n'
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "train_net_checkpoint_500000"\n')
    assert find_checkpoint(tmp_path).iteration == 100
    assert find_checkpoint(tmp_path, 9).iteration == 9
    assert find_checkpoint(tmp_path, 500000) is None


def test_a_missing_iteration_names_those_that_exist(trained, tmp_path):
    with pytest.raises(UserError, match=r"no checkpoint \(found: none\)"):
        require_checkpoint(tmp_path)
    for iteration in (20, 9):
        save_checkpoint(trained, tmp_path, NETWORK, iteration, {})
    with pytest.raises(UserError, match=r"no checkpoint of iteration 10 \(found: 9, 20\)"):
        require_checkpoint(tmp_path, 10)
    assert require_checkpoint(tmp_path).iteration == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_fmaps": 2}, "num_fmaps is 1, not 2"),
        ({"downsample_factors": ((2, 2, 2),)}, r"downsample_factors is \[\[1, 2, 2\]\], not \[\[2, 2, 2\]\]"),
        ({"heads": (Head("lsds", 10),)}, "heads is"),
        ({"num_fmaps_out": 3}, "num_fmaps_out is None, not 3"),
    ],
)
def test_another_architecture_is_refused_with_the_difference_named(trained, tmp_path, changes, message):
    path = save_checkpoint(trained, tmp_path, NETWORK, 1, {})
    require_same_network(NETWORK, read_checkpoint(path))
    with pytest.raises(UserError, match=message):
        require_same_network(dataclasses.replace(NETWORK, **changes), read_checkpoint(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_fmaps": 2}, r"layer unet_layer_0_left_0: its kernel is \(3, 3, 3, 1, 1\), the network's is \(3, 3, 3, 1, 2\)"),
        ({"heads": (Head("affs", 3, "other"),)}, "layer other_0: its kernel is missing"),
    ],
)
def test_weights_that_do_not_fit_the_model_are_refused_by_layer(trained, tmp_path, changes, message):
    path = save_checkpoint(trained, tmp_path, NETWORK, 1, {})
    model = compiled(dataclasses.replace(NETWORK, **changes))
    before = model.get_weights()
    with pytest.raises(UserError, match=message):
        load_checkpoint(model, path)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_damaged_checkpoint_is_named(trained, tmp_path):
    path = save_checkpoint(trained, tmp_path, NETWORK, 4, {})
    whole = path.read_bytes()
    for damage in (whole[: len(whole) // 2], b"", b"no HDF5 at all"):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=r"train_net_checkpoint_4.*not a checkpoint"):
            find_checkpoint(tmp_path)
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        del file.attrs[checkpoints.RECORD]
    with pytest.raises(UserError, match="not a checkpoint"):
        read_checkpoint(path)
    with pytest.raises(UserError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "train_net_checkpoint_5.weights.h5")


SAVER = """
import sys, itertools
sys.path.insert(0, {here!r})
from test_own import NETWORK, compiled, save_checkpoint
model = compiled()
for iteration in itertools.count(1):
    save_checkpoint(model, sys.argv[1], NETWORK, iteration, {{}})
    print(iteration, flush=True)
"""


def test_damage_to_what_is_read_later_is_named(trained, tmp_path):
    """The record is whole; layers or the optimizer's steps are not."""
    for gone in ("layers", "optimizer/vars/0", "layers/conv3d/vars"):
        path = save_checkpoint(trained, tmp_path, NETWORK, 4, {})
        with h5py.File(path, "r+") as file:
            if gone not in file:
                gone = next(f"layers/{name}/vars" for name, layer in file["layers"].items() if layer["vars"])
            del file[gone]
            file[gone] = h5py.Empty("f4")
        with pytest.raises(UserError, match=r"is not a checkpoint written by train\.py, or damaged") as raised:
            optimizer_steps(path) if gone.startswith("optimizer") else load_checkpoint(trained, path)
        assert "\n" not in str(raised.value)


def test_each_changed_or_missing_byte_is_found_before_hdf5_sees_it(trained, tmp_path, monkeypatch):
    path = save_checkpoint(trained, tmp_path, NETWORK, 4, {})
    whole, random = path.read_bytes(), np.random.default_rng(0)
    assert whole.endswith(b" bytes before\n")
    lengths = {*range(0, len(whole), len(whole) // 100), *range(len(whole) - LENGTH + 1, len(whole))}
    variants = [whole[:length] for length in sorted(lengths)] + [whole + b"\n", bytes(len(whole))]
    places = [*range(64), *range(len(whole) - LENGTH, len(whole)), *random.integers(len(whole), size=300)]
    for number, place in enumerate(places):
        changed = bytearray(whole)
        for at in (place, *random.integers(len(whole), size=number % 3)):
            changed[at] ^= 1 << random.integers(8)
        variants.append(bytes(changed))
    with monkeypatch.context() as closed:
        closed.setattr(h5py, "File", lambda *_: pytest.fail("HDF5 saw it"))
        for variant in variants:
            path.write_bytes(variant)
            with pytest.raises(UserError, match=r"_4\.weights\.h5: is not a checkpoint written by train\.py, or dama") as raised:
                find_checkpoint(tmp_path)
            assert str(raised.value).isprintable()
    path.write_bytes(whole)
    load_checkpoint(compiled(), path)


def test_a_checkpoint_without_checksum_loads_whatever_its_weights_are(trained, tmp_path):
    """Those of before have none, and those that h5py changed; of them, nobody can tell that a byte is another."""
    path = save_checkpoint(trained, tmp_path, NETWORK, 4, {})
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[whole.index(np.asarray(trained.get_weights()[0]).tobytes())] ^= 1
    path.write_bytes(changed)
    with pytest.raises(UserError, match="its checksum is not that of its bytes"):
        load_checkpoint(compiled(), path)
    for content in (whole[:-LENGTH], changed[:-LENGTH]):
        path.write_bytes(content)
        model = compiled()
        load_checkpoint(model, path)
        is_same = [np.array_equal(a, b) for a, b in zip(trained.get_weights(), model.get_weights(), strict=True)]
        assert all(is_same) == (content == whole[:-LENGTH])
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        file.attrs["remark"] = "mine"
    assert not path.read_bytes().endswith(b" bytes before\n")
    assert read_checkpoint(path).iteration == 4


def test_a_copy_elsewhere_keeps_its_checksum(trained, tmp_path):
    copy = tmp_path / "elsewhere" / "best.weights.h5"
    copy.parent.mkdir()
    copy.write_bytes(save_checkpoint(trained, tmp_path, NETWORK, 4, {}).read_bytes())
    assert read_checkpoint(copy).iteration == 4
    with copy.open("r+b") as file:
        file.seek(3000)
        byte = file.read(1)
        file.seek(3000)
        file.write(bytes([byte[0] ^ 4]))
    with pytest.raises(UserError, match=r"best\.weights\.h5: .*its checksum is not that of its bytes"):
        load_checkpoint(compiled(), copy)


def test_killed_while_saving_all_checkpoints_stay_readable(tmp_path):
    """A process does nothing but save, and is killed at moments that nobody chose."""
    from pathlib import Path

    code = SAVER.format(here=str(Path(__file__).parent))
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    saved = [int(process.stdout.readline()) for _ in range(3)]
    time.sleep(0.013)
    process.kill()
    saved += [int(line) for line in process.stdout]
    assert process.wait() == -signal.SIGKILL
    newest = find_checkpoint(tmp_path)
    assert newest.iteration >= saved[-1]  # what was saved is there
    model = compiled()
    for iteration in {1, newest.iteration - 1, newest.iteration}:
        load_checkpoint(model, checkpoints.checkpoint_path(tmp_path, iteration))
    # Half of a checkpoint, as the kill may leave it, goes away with the next save.
    half = tmp_path / f".train_net_checkpoint_{newest.iteration + 1}.{process.pid}.weights.h5"
    half.write_bytes(b"half")
    save_checkpoint(model, tmp_path, NETWORK, newest.iteration + 1, {})
    assert not half.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_another_running_process_keeps_its_unfinished_file(trained, tmp_path):
    theirs = tmp_path / ".train_net_checkpoint_7.1.weights.h5"  # process 1 always runs
    theirs.write_bytes(b"in the making")
    save_checkpoint(trained, tmp_path, NETWORK, 8, {})
    assert theirs.exists()


def test_a_save_that_fails_leaves_the_older_one_and_nothing_else(trained, tmp_path, monkeypatch):
    save_checkpoint(trained, tmp_path, NETWORK, 1, {})
    before = sorted(path.name for path in tmp_path.iterdir())

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(own, "sync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(trained, tmp_path, NETWORK, 2, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert find_checkpoint(tmp_path).iteration == 1


def test_import_is_light():
    code = (
        "import sys; import lsd_experiments.checkpoints, lsd_experiments.training; "
        "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'gunpowder', 'h5py', 'zarr', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
