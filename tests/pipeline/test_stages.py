"""All stages blockwise, with real workers."""

import json
import re
import shutil

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from lsd_experiments.agglomeration import agglomerate
from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.blockwise import BlocksFailedError
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import evaluate_segmentation
from lsd_experiments.fragments import extract_fragments
from lsd_experiments.fragments.blockwise import number_fragments, read_affinities
from lsd_experiments.pipeline.configuration import load_pipeline, with_num_workers
from lsd_experiments.pipeline.plans import PLANNERS
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.rag import RagStore
from lsd_experiments.segmentation import find_segments, read_lut, relabel

SHAPE, VOXEL_SIZE, OFFSET = (27, 40, 41), (20, 9, 9), (200, 90, -45)  # of the fixtures


def run(path, *names, overwrite=False, num_workers=2):
    config = with_num_workers(load_pipeline(path), num_workers)
    return [run_stage(name, config, overwrite) for name in names]


def state(path, name):
    return PLANNERS[name](load_pipeline(path), {}).state()


def read(out_file, dataset):
    return open_volume(str(out_file), dataset).read()


@pytest.fixture
def inside(labels):
    """The voxels in the middle of neurites: at their surface blocks cut off slivers, whose boundary says nothing."""
    return binary_erosion(labels > 0, iterations=2, border_value=1)


def same_partition(first, second):
    """Whether two arrays of ids are one up to naming."""
    pairs = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1).shape[1]
    return pairs == len(np.unique(first)) == len(np.unique(second))


CHAIN = ("extract_fragments", "agglomerate", "find_segments")


@pytest.fixture
def segmented(config, tmp_path, once_segmented):
    """The container after these three stages."""
    shutil.copytree(once_segmented, tmp_path, dirs_exist_ok=True)
    config()
    return tmp_path / "out.zarr"


@pytest.fixture(scope="module")
def once_segmented(tmp_path_factory, make_out_file, make_config):
    directory = tmp_path_factory.mktemp("segmented")
    make_out_file(directory)
    run(make_config(directory), *CHAIN)
    return directory


def test_neurites_that_cross_many_blocks_are_whole(config, segmented, labels, affs, inside):
    """Blockwise and in memory, up to naming: every neurite is one segment, and no two are."""
    run(config(extract="threshold = 0.5"), "extract_segmentation")
    blockwise = read(segmented, "volumes/segmentation_50")
    assert blockwise.dtype == np.uint64

    fragments = extract_fragments(affs, fragments_in_xy=False)
    u, v, scores = agglomerate(affs, fragments, "hist_quant_50")
    ((_, lut),) = find_segments(np.unique(fragments[fragments > 0]), u, v, scores, [0.5])
    in_memory = relabel(fragments, lut)
    assert same_partition(in_memory[inside], labels[inside])
    assert same_partition(blockwise[inside], labels[inside])
    assert len(np.unique(read(segmented, "volumes/fragments"))) > 5 * len(np.unique(labels))  # negative control


@pytest.mark.parametrize("block_size", ["[540, 360, 369]", "[600, 450, 396]"], ids=["the volume", "more than the volume"])
def test_one_block_is_what_there_is_in_memory(config, out_file, affs, block_size):
    """Identical everywhere, up to naming, also where affinities are noisy and segments are wrong."""
    noise = np.random.default_rng(0).integers(0, 160, affs.shape, np.uint8)
    noisy = np.where(affs > 0, 255 - noise, noise).astype(np.uint8)
    affs_volume = open_volume(str(out_file), "volumes/affs", writable=True)
    affs_volume.array[...] = noisy
    path = config(extract="threshold = 0.4")
    path.write_text(path.read_text().replace("[200, 144, 126]", block_size))
    run(path, *CHAIN, "extract_segmentation")

    fragments = extract_fragments(noisy, fragments_in_xy=False)
    u, v, scores = agglomerate(noisy, fragments, "hist_quant_50")
    ((_, lut), (_, other)) = find_segments(np.unique(fragments[fragments > 0]), u, v, scores, [0.4, 0.5])
    in_memory = relabel(fragments, lut)
    assert same_partition(read(out_file, "volumes/fragments"), fragments)
    blockwise = read(out_file, "volumes/segmentation_40")
    assert same_partition(blockwise, in_memory)
    np.testing.assert_array_equal(blockwise == 0, in_memory == 0)
    # negative controls: something was united, and another threshold gives something else
    assert 1 < len(np.unique(in_memory)) < len(np.unique(fragments))
    assert not same_partition(blockwise, relabel(fragments, other))


def test_fragments_lie_in_one_block_and_have_nodes_at_their_centers(segmented):
    volume = open_volume(str(segmented), "volumes/fragments")
    fragments = volume.read()
    with RagStore(segmented.with_suffix(".db")) as store:
        ids, centers = store.read_nodes()
    np.testing.assert_array_equal(ids, np.unique(fragments[fragments > 0]))
    voxels = 10 * 16 * 14
    for number, box in enumerate(volume.box.blocks((10, 16, 14))):
        inside = fragments[box.intersect(volume.box).slices]
        assert set((np.unique(inside[inside > 0]) - 1) // voxels) <= {number}
    for id_, center in list(zip(ids, centers, strict=True))[::20]:
        expected = (np.argwhere(fragments == id_).mean(axis=0) + 0.5) * volume.voxel_size + volume.offset
        np.testing.assert_allclose(center, expected)


def test_all_contacts_have_an_edge_also_across_blocks(segmented):
    """The published rule, by the place of the lower fragment's centre, loses contacts of blocks unlike the fragments' ones."""
    fragments = read(segmented, "volumes/fragments")
    contacts = set()
    for axis in range(3):
        before = np.moveaxis(fragments, axis, 0)[:-1].ravel()
        after = np.moveaxis(fragments, axis, 0)[1:].ravel()
        touching = (before != after) & (before > 0) & (after > 0)
        pairs = np.stack([np.minimum(before, after), np.maximum(before, after)])[:, touching]
        contacts |= set(map(tuple, np.unique(pairs, axis=1).T.tolist()))
    with RagStore(segmented.with_suffix(".db")) as store:
        u, v, _ = store.read_edges("hist_quant_50")
    edges = list(zip(u.tolist(), v.tolist(), strict=True))
    assert len(edges) == len(set(edges))
    assert set(edges) == contacts


def test_agglomeration_blocks_may_be_larger_than_those_of_fragments(config, segmented, labels, inside):
    run(config(agglomerate="block_size = [400, 144, 252]"), "agglomerate", "find_segments", overwrite=True)
    run(config(agglomerate="block_size = [400, 144, 252]", extract="threshold = 0.5"), "extract_segmentation")
    assert same_partition(read(segmented, "volumes/segmentation_50")[inside], labels[inside])


def test_contacts_score_as_if_computed_at_once_whatever_the_blocks(config, segmented, affs):
    """``contact_mean``, also in blocks that cut fragments: row for row what one block gives, and 1 - mean affinity."""
    graphs = []
    for blocks in ("[200, 144, 126]", "[120, 90, 198]", "[540, 360, 369]"):
        lines = f'merge_function = "contact_mean"\ncontext = [20, 9, 9]\nblock_size = {blocks}'
        path = config()
        path.write_text(re.sub(r"(?<=\[agglomerate\]\n)(.+\n)+", f"{lines}\n", path.read_text()))
        run(path, "agglomerate")
        with RagStore(segmented.with_suffix(".db")) as store:
            graphs.append([np.concatenate(column) for column in zip(*store.iterate_edges("contact_mean"), strict=True)])
    for graph in graphs[1:]:
        for one, other in zip(graphs[0], graph, strict=True):
            np.testing.assert_array_equal(one, other)
    u, v, scores, sums, counts = graphs[0]
    fragments = read(segmented, "volumes/fragments")
    pair = int(np.argmax(np.where(np.isnan(scores), 0, counts)))
    values = [affs[axis][_faces(fragments, axis, u[pair], v[pair])] for axis in range(3)]
    assert counts[pair] == sum(map(len, values))
    assert sums[pair] == sum(value.sum(dtype=int) for value in values)
    assert scores[pair] == 1 - sums[pair] / (255 * counts[pair])


def _faces(fragments, axis, u, v):
    """The voxels of one that touch the other in the voxel before."""
    before = np.roll(fragments, 1, axis)
    touching = ((fragments == u) & (before == v)) | ((fragments == v) & (before == u))
    touching[(slice(None),) * axis + (0,)] = False
    return touching


def test_the_number_of_workers_does_not_change_the_result(config, segmented):
    fragments = read(segmented, "volumes/fragments")
    with RagStore(segmented.with_suffix(".db")) as store:
        nodes, edges = store.read_nodes(), store.read_edges("hist_quant_50")
    run(config(), "extract_fragments", "agglomerate", overwrite=True, num_workers=1)
    np.testing.assert_array_equal(read(segmented, "volumes/fragments"), fragments)
    with RagStore(segmented.with_suffix(".db")) as store:
        for before, after in zip((*nodes, *edges), (*store.read_nodes(), *store.read_edges("hist_quant_50")), strict=True):
            np.testing.assert_array_equal(before, after)


def test_fragments_in_sections_with_mask_and_filter(config, out_file, labels, affs):
    """All options of [fragments] give blockwise what they give in memory, where blocks hold whole sections."""
    mask = np.ones((9, 10, 41), np.uint8)  # voxels three, four and one times as large
    mask[:, :3] = 0
    volume = create_volume(str(out_file), "volumes/mask", mask.shape, (60, 36, 9), (200, 90, -45), "uint8")
    volume.write(volume.box, mask)
    options = """
mask_file = "out.zarr"
mask_dataset = "volumes/mask"
filter_fragments = 0.3
epsilon_agglomerate = 0.1
replace_sections = [4, 20]
"""
    path = config(fragments=options)
    path.write_text(path.read_text().replace("fragments_in_xy = false", "fragments_in_xy = true")
                    .replace("block_size = [200, 144, 126]", "block_size = [180, 360, 369]").replace("[60, 54, 54]", "[0, 0, 0]"))
    run(path, "extract_fragments")
    fine = mask.repeat(3, 0).repeat(4, 1)
    found = read(out_file, "volumes/fragments")
    for begin in range(0, 27, 9):
        sections = [z - begin for z in (4, 20) if begin <= z < begin + 9]
        expected = extract_fragments(affs[:, begin:begin + 9], True, mask=fine[begin:begin + 9], filter_fragments=0.3,
                                     epsilon_agglomerate=0.1, replace_sections=sections)
        assert same_partition(found[begin:begin + 9], number_fragments(expected, 1))
    assert not found[4].any()
    assert not found[:, :12].any()
    assert found[5, 12:].any()


def test_luts_and_scores(config, segmented, tmp_path):
    (table,) = run(config(), "evaluate")
    luts = sorted((segmented / "luts" / "fragment_segment").glob("*.npz"))
    assert [path.name for path in luts][:3] == [f"seg_edges_hist_quant_50_{t}.npz" for t in (0, 10, 20)]
    assert read_lut(luts[0]).shape[1] == len(np.unique(read(segmented, "volumes/fragments")))
    assert "best" in table
    for suffix in ("json", "csv", "png"):
        assert (tmp_path / f"out_hist_quant_50.{suffix}").exists()
    (result,) = run(config(extract='threshold = "best"'), "extract_segmentation")
    best = result.split()[-1]
    scores = evaluate_segmentation(read(segmented, best), read(segmented, "volumes/labels/neuron_ids"))
    assert scores["voi_sum"] < 0.03


def test_evaluation_of_a_part(config, segmented):
    (whole,) = run(config(), "evaluate")
    roi = 'labels_file = "out.zarr"\nroi_offset = [240, 90, -45]\nroi_shape = [200, 180, 180]'
    (part,) = run(config(evaluate=roi), "evaluate", overwrite=True)
    assert part != whole
    outside = 'labels_file = "out.zarr"\nroi_offset = [0, 90, -45]\nroi_shape = [200, 180, 180]'
    with pytest.raises(UserError, match="reaches outside"):
        run(config(evaluate=outside), "evaluate", overwrite=True)


def test_labels_of_other_voxels_are_resampled_or_refused(config, segmented, labels, tmp_path):
    """With the predictions, on whose grid they are looked at: here each voxel twice along y, and the volume a little larger."""
    (plain,) = run(config(), "evaluate", overwrite=True)
    values = np.pad(labels, [(0, 0), (1, 1), (0, 0)], mode="edge").repeat(2, 1)
    size, offset = (20, 4.5, 9), (200, 81, -45)
    finer = create_volume(tmp_path / "finer.zarr", "volumes/labels/neuron_ids", values.shape, size, offset, "uint64")
    finer.write(finer.box, values)
    with pytest.raises(UserError, match=r"voxels of \(20, 4.5, 9\) nm, not .* set resample = true in \[predict\]"):
        run(config(evaluate='labels_file = "finer.zarr"'), "evaluate", overwrite=True)
    (resampled,) = run(config("[predict]\nresample = true", evaluate='labels_file = "finer.zarr"'), "evaluate", overwrite=True)
    assert resampled.splitlines()[:-1] == plain.splitlines()[:-1]
    finer.write(finer.box, np.roll(values, 3, 1))  # negative control
    (other,) = run(config("[predict]\nresample = true", evaluate='labels_file = "finer.zarr"'), "evaluate", overwrite=True)
    assert other.splitlines()[:-1] != plain.splitlines()[:-1]


def test_evaluation_within_a_crop_of_the_labels(config, segmented, tmp_path):
    """As within the same ROI; another crop in the file is not taken for the same labels."""
    roi = 'labels_file = "out.zarr"\nroi_offset = [240, 90, -45]\nroi_shape = [200, 180, 180]'
    (part,) = run(config(evaluate=roi), "evaluate", overwrite=True)
    crop = tmp_path / "crop.json"
    crop.write_text(json.dumps({"container": "out.zarr", "offset": [240, 90, -45], "size": [200, 180, 180]}))
    path = config(evaluate='labels_file = "crop.json"')
    (cropped,) = run(path, "evaluate", overwrite=True)
    assert cropped.splitlines()[:-1] == part.splitlines()[:-1]  # the last line names the files
    run(path, "evaluate")
    crop.write_text(json.dumps({"container": "out.zarr", "offset": [240, 90, -45], "size": [200, 180, 171]}))
    assert re.match(r"labels was .*\(2, 0, 0\) to \(12, 20, 20\).*\(12, 20, 19\)", state(path, "evaluate").reason)
    (smaller,) = run(path, "evaluate")
    assert smaller != cropped


def test_scores_that_cannot_be_written_are_refused_before_they_are_computed(config, segmented, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("lsd_experiments.evaluation.volume_contingency", None)  # not reached
    with pytest.raises(UserError, match="cannot be written"):
        run(config(evaluate='labels_file = "out.zarr"\nout_prefix = "file/scores"'), "evaluate", overwrite=True)


def test_ids_beyond_the_budget_are_refused(config, out_file, monkeypatch):
    monkeypatch.setattr("lsd_experiments.fragments.blockwise.ID_BUDGET", 27 * 10 * 16 * 14)  # 3 x 3 x 3 blocks
    with pytest.raises(UserError, match="63 bits"):
        run(config(), "extract_fragments")
    assert not (out_file / "volumes" / "fragments").exists()


def test_look_up_tables_of_former_fragments_are_refused(config, segmented):
    attrs = open_volume(str(segmented), "volumes/fragments", writable=True).array.attrs
    attrs["provenance"] = {**attrs["provenance"], "key": "0123456789abcdef"}
    for stage in ("evaluate", "extract_segmentation"):
        with pytest.raises(UserError, match=r"are not of .*fragments as it is now"):
            run(config(), stage)
    with pytest.raises(UserError, match="does not hold the nodes of"):
        run(config(), "agglomerate")


def test_a_stage_that_crashed_goes_on(config, segmented):
    """Blocks that were done twice, and blocks whose record is lost, do no harm."""
    fragments = read(segmented, "volumes/fragments")
    with RagStore(segmented.with_suffix(".db")) as store:
        nodes, edges = store.read_nodes(), store.read_edges("hist_quant_50")
        store.begin_stage("nodes", store.stage("nodes")[0])
        store.begin_stage("edges_hist_quant_50", store.stage("edges_hist_quant_50")[0])
    volume = open_volume(str(segmented), "volumes/fragments", writable=True)
    del volume.array.attrs["finished"]
    shutil.rmtree(segmented / ".blockwise")
    run(config(), "extract_fragments")
    np.testing.assert_array_equal(read(segmented, "volumes/fragments"), fragments)
    with RagStore(segmented.with_suffix(".db")) as store:
        np.testing.assert_array_equal(store.read_nodes()[0], nodes[0])
    run(config(), "agglomerate")
    with RagStore(segmented.with_suffix(".db")) as store:
        for before, after in zip(edges, store.read_edges("hist_quant_50"), strict=True):
            np.testing.assert_array_equal(before, after)


def test_what_was_deleted_is_made_again(config, segmented, tmp_path):
    """One look-up table, or one file of the scores: a rerun makes it, from what is there."""
    path = config(extract='threshold = "best"')
    run(path, "evaluate")
    scores = (tmp_path / "out_hist_quant_50.csv").read_text()
    lut = segmented / "luts" / "fragment_segment" / "seg_edges_hist_quant_50_50.npz"
    before = read_lut(lut)
    for gone in (lut, tmp_path / "out_hist_quant_50.csv", tmp_path / "out_hist_quant_50.png"):
        gone.unlink()
    run(path, "find_segments")
    np.testing.assert_array_equal(read_lut(lut), before)
    run(path, "evaluate", overwrite=True)  # the tables are new, so that the scores are of former ones
    (tmp_path / "out_hist_quant_50.csv").unlink()
    (tmp_path / "out_hist_quant_50.png").unlink()
    run(path, "evaluate")
    assert (tmp_path / "out_hist_quant_50.csv").read_text() == scores
    assert (tmp_path / "out_hist_quant_50.png").exists()


def test_the_best_threshold_of_former_tables_is_not_taken(config, segmented, tmp_path):
    path = config(extract='threshold = "best"')
    run(path, "evaluate")
    run(path, "extract_segmentation")
    about = segmented / "luts" / "fragment_segment" / "seg_edges_hist_quant_50.json"
    about.write_text(about.read_text().replace('"key": "', '"key": "0'))
    with pytest.raises(UserError, match=r"not of the look-up tables that there are now\. Run evaluate again"):
        run(path, "extract_segmentation")


def test_float_affinities_out_of_range_are_refused(config, out_file, affs):
    """Negative control: in the range they are taken."""
    for name, value in (("right", 1), ("large", 1.5), ("negative", -0.5), ("nan", np.nan)):
        values = (affs / 255).astype(np.float32)
        values[1, 20, 30, 30] = value
        volume = create_volume(str(out_file), f"volumes/{name}", SHAPE, VOXEL_SIZE, OFFSET, "float32", channels=3)
        volume.write(volume.box, values)
        if name == "right":
            assert read_affinities(volume, volume.box).max() == 1
            continue
        with pytest.raises(UserError, match=rf"volumes/{name}: affinities of type float32 from .*Scale them to \[0, 1\]"):
            read_affinities(volume, volume.box)
    with pytest.raises(BlocksFailedError, match="affinities of type float32"):
        run(config(fragments='affs_dataset = "volumes/large"'), "extract_fragments", overwrite=True)


@pytest.mark.parametrize(("offset", "says"), [((200, 94.5, -45), "is between voxels"), ((200, 1800, -45), "does not overlap")])
def test_a_mask_elsewhere_is_refused(config, out_file, offset, says):
    create_volume(str(out_file), "volumes/mask", (9, 10, 41), (60, 36, 9), offset, "uint8")
    path = config(fragments='mask_file = "out.zarr"\nmask_dataset = "volumes/mask"')
    with pytest.raises(UserError, match=says):
        run(path, "extract_fragments")
    assert not (out_file / "volumes" / "fragments").exists()
