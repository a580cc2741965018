"""One block, and the ranges."""

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.prediction.block import predict_block, to_disk_range, to_network_range


@pytest.fixture(scope="module")
def raw():
    return np.random.default_rng(1).uniform(-1, 1, (15, 28, 26)).astype(np.float32)


def test_it_is_what_keras_predicts(model, raw):
    expected = model.predict({"raw": raw[None, ..., None]}, verbose=0)
    given = predict_block(model, {"raw": raw})
    assert {name: values.shape for name, values in given.items()} == {"lsds": (2, 3, 8, 10), "affs": (3, 3, 8, 10)}
    for name, values in given.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, np.moveaxis(expected[name][0], -1, 0))
        assert values.std() > 0.1  # negative control: the network does not say the same everywhere
        assert not np.array_equal(values, predict_block(model, {"raw": raw[:, ::-1].copy()})[name])


def test_a_channel_axis_may_be_there_and_any_float_type(model, raw):
    expected = predict_block(model, {"raw": raw})
    given = predict_block(model, {"raw": raw[None].astype(np.float64)})
    for name in expected:
        np.testing.assert_array_equal(given[name], expected[name])


def test_several_inputs_and_channels():
    from lsd_experiments.networks import Head, Input, Network

    network = Network(num_fmaps=1, fmap_inc_factor=1, downsample_factors=((1, 1, 1),), heads=(Head("affs", 3),),
                      inputs=(Input(), Input("lsds", channels=4)))
    model = network.build((13, 14, 15))
    rng = np.random.default_rng(0)
    raw, lsds = rng.random((13, 14, 15), np.float32), rng.random((4, 13, 14, 15), np.float32)
    given = predict_block(model, {"lsds": lsds, "raw": raw})["affs"]
    expected = model.predict({"raw": raw[None, ..., None], "lsds": np.moveaxis(lsds, 0, -1)[None]}, verbose=0)["affs"]
    np.testing.assert_array_equal(given, np.moveaxis(expected[0], -1, 0))
    with pytest.raises(UserError, match=r"'lsds' has shape \(13, 14, 15\); the network takes \(4, 13, 14, 15\)"):
        predict_block(model, {"raw": raw, "lsds": lsds[0]})
    with pytest.raises(UserError, match="the network takes 'lsds'; given: raw"):
        predict_block(model, {"raw": raw})


def test_what_does_not_fit_is_said(model, raw):
    with pytest.raises(UserError, match=r"'raw' has shape \(14, 28, 26\); the network takes \(15, 28, 26\) or \(1, 15, 28, 26\)"):
        predict_block(model, {"raw": raw[1:]})
    with pytest.raises(UserError, match=r"has shape \(2, 15, 28, 26\)"):
        predict_block(model, {"raw": np.stack([raw, raw])})
    with pytest.raises(UserError, match="the network takes 'raw'; given: nothing"):
        predict_block(model, {})


@pytest.mark.parametrize("values", [np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint16) * 257,
                                    np.arange(256, dtype=np.float32) / 255, np.arange(256, dtype=np.float64) / 255])
def test_all_types_reach_the_network_alike(values):
    """To the last bit."""
    given = to_network_range(values)
    assert given.dtype == np.float32
    np.testing.assert_array_equal(given, np.arange(256, dtype=np.float32) / 255 * 2 - 1)
    assert (given[0], given[-1]) == (-1, 1)


def test_predictions_are_truncated():
    values = np.array([0, 0.5, 200.99 / 255, 201 / 255 + 1e-6, 0.99999, 1], np.float32)
    assert to_disk_range(values).tolist() == [0, 127, 200, 201, 254, 255]
    assert np.rint(values * 255).astype(np.uint8).tolist() != to_disk_range(values).tolist()  # rounding is something else
    np.testing.assert_allclose(values[1], 0.5)  # and the values are left alone
