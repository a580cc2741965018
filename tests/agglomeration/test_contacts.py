import itertools

import numpy as np
import pytest

from lsd_experiments.agglomeration import agglomerate, find_contacts
from lsd_experiments.agglomeration.contacts import find_block_edges
from lsd_experiments.geometry import Box
from lsd_experiments.rag import open_store

SHAPE = (7, 11, 9)
BLOCKS = [(7, 11, 9), (3, 4, 5), (2, 11, 9), (1, 1, 1), (8, 20, 4)]


def brute_force(affs, fragments):
    """{(u, v): [sum, faces]}, voxel by voxel."""
    found = {}
    for voxel in itertools.product(*map(range, fragments.shape)):
        for axis in range(3):
            before = tuple(p - (a == axis) for a, p in enumerate(voxel))
            u, v = sorted((int(fragments[voxel]), int(fragments[before])))
            if before[axis] >= 0 and 0 < u < v:
                sums = found.setdefault((u, v), [0, 0])
                sums[0] += affs[(axis, *voxel)].item()
                sums[1] += 1
    return found


def as_dict(u, v, sums, contacts):
    return {(a, b): [s, c] for a, b, s, c in zip(u.tolist(), v.tolist(), sums.tolist(), contacts.tolist(), strict=True)}


@pytest.fixture(params=range(3))
def volume(request):
    """Random affinities, and blobs whose ids say nothing of where they lie."""
    random = np.random.default_rng(request.param)
    affs = random.integers(0, 256, (5, *SHAPE), np.uint8)
    coarse = random.permutation(2**40 + np.arange(4 * 6 * 5)).reshape(4, 6, 5).astype(np.uint64)
    coarse[random.random(coarse.shape) < 0.2] = 0
    return affs, coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)[tuple(map(slice, SHAPE))]


def by_blocks(volume, shape, margin=1):
    """What each block finds that reads ``margin`` voxels more."""
    affs, fragments = volume
    total = Box.of_shape(SHAPE)
    for block in total.blocks(shape):
        read = block.grow([margin] * 3).intersect(total)
        own = block.intersect(total).shift([-b for b in read.begin])
        yield affs[(slice(None), *read.slices)], fragments[read.slices], own


def test_contacts_against_brute_force(volume):
    found = find_contacts(*volume)
    assert as_dict(*found) == brute_force(*volume)
    assert sorted(as_dict(*found)) == list(as_dict(*found))
    assert len(found[0]) > 50


@pytest.mark.parametrize("shape", BLOCKS)
def test_blocks_add_up_to_the_volume_though_fragments_cross_them(volume, shape):
    total = {}
    for part in by_blocks(volume, shape):
        for pair, (affinity, faces) in as_dict(*find_contacts(*part)).items():
            affinity_so_far, faces_so_far = total.get(pair, (0, 0))
            total[pair] = [affinity_so_far + affinity, faces_so_far + faces]
    assert total == brute_force(*volume)


def test_faces_at_the_border_of_a_block_would_be_lost_without_context(volume):
    faces = sum(find_contacts(*part)[3].sum() for part in by_blocks(volume, (3, 4, 5), margin=0))
    assert 0 < faces < find_contacts(*volume)[3].sum()


def test_a_face_is_that_of_its_upper_voxel():
    affs = np.zeros((3, 1, 1, 3), np.uint8)
    affs[2] = [100, 20, 7]
    fragments = np.array([[[5, 9, 7]]], np.uint64)
    assert as_dict(*find_contacts(affs, fragments)) == {(5, 9): [20, 1], (7, 9): [7, 1]}
    assert as_dict(*find_contacts(affs, fragments, Box((0, 0, 2), (1, 1, 3)))) == {(7, 9): [7, 1]}
    assert as_dict(*find_contacts(affs, fragments, Box((0, 0, 0), (1, 1, 1)))) == {}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_affinities_that_are_floats_have_the_same_unit(volume, dtype):
    affs, fragments = volume
    u, v, sums, contacts = find_contacts((affs / 255).astype(dtype), fragments)
    expected = find_contacts(affs, fragments)
    for found, same in zip((u, v, contacts), (expected[0], expected[1], expected[3]), strict=True):
        np.testing.assert_array_equal(found, same)
    np.testing.assert_allclose(sums, expected[2], rtol=1e-3)


def test_the_table_grows():
    """4096 fragments of one voxel each."""
    fragments = np.random.default_rng(0).permutation(np.arange(1, 4097)).reshape(16, 16, 16).astype(np.uint64)
    u, _, sums, contacts = find_contacts(np.full((3, 16, 16, 16), 3, np.uint8), fragments)
    assert len(u) == 3 * 15 * 16 * 16
    assert set(sums) == {3}
    assert set(contacts) == {1}


def put(store, merge_function, parts):
    store.create_edges(merge_function)
    for number, part in enumerate(parts):
        store.write_edges(merge_function, number, **vars(find_block_edges(*part, merge_function)))
    return [np.concatenate(values) for values in zip(*store.iterate_edges(merge_function, batch=100), strict=True)]


@pytest.mark.parametrize("shape", BLOCKS)
def test_contact_mean_is_one_minus_the_mean_affinity_wherever_blocks_lie(volume, shape, tmp_path):
    with open_store(tmp_path / "graph.db", create=True) as store:
        u, v, scores, sums, contacts = put(store, "contact_mean", by_blocks(volume, shape))
    expected = brute_force(*volume)
    assert as_dict(u, v, sums, contacts) == expected
    assert dict(zip(zip(u.tolist(), v.tolist(), strict=True), scores.tolist(), strict=True)) == {
        pair: 1 - affinity / (255 * faces) for pair, (affinity, faces) in expected.items()}


@pytest.mark.parametrize("merge_function", ["mean", "hist_quant_50"])
def test_functions_of_waterz_score_each_edge_once(volume, merge_function, tmp_path):
    """Fragments in blocks of (2, 2, 2) that no block cuts; each block reads all, so that it scores as at once."""
    with open_store(tmp_path / "graph.db", create=True) as store:
        u, v, scores, sums, contacts = put(store, merge_function, by_blocks(volume, (4, 2, 6), margin=20))
    a, b, expected = agglomerate(*volume, merge_function)
    order = np.lexsort((b, a))
    np.testing.assert_array_equal(np.stack([u, v]), np.stack([a, b])[:, order])
    np.testing.assert_array_equal(scores, expected[order])
    assert as_dict(u, v, sums, contacts) == brute_force(*volume)


def test_a_block_outside_of_the_arrays_is_ours_to_mend(volume):
    with pytest.raises(AssertionError, match="is not in arrays of shape"):
        find_contacts(*volume, Box((0, 0, 0), (8, 1, 1)))


def test_contact_mean_of_arrays_in_one_call(volume):
    u, v, scores = agglomerate(*volume, "contact_mean")
    expected = {pair: 1 - affinity / (255 * faces) for pair, (affinity, faces) in brute_force(*volume).items()}
    assert dict(zip(zip(u.tolist(), v.tolist(), strict=True), scores.tolist(), strict=True)) == expected
    assert not np.array_equal(scores, agglomerate(*volume, "mean")[2])
