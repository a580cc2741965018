"""Labels that MALIS takes: connected, numbered, and of more than one voxel."""

import numpy as np

from lsd_experiments.malis import connected_objects


def test_parts_of_a_label_are_objects_of_their_own():
    labels = np.array([[[7, 7, 0, 7, 7, 9], [7, 0, 7, 7, 0, 9]]], np.uint64)
    objects = connected_objects(labels)
    #  7 7 . 7 7 9      two parts of 7 that touch by a corner alone, and 9
    #  7 . 7 7 . 9
    assert objects.tolist() == [[[1, 1, 0, 2, 2, 3], [1, 0, 2, 2, 0, 3]]]


def test_what_is_connected_stays_one_object_whatever_its_id():
    labels = np.zeros((3, 4, 5), np.uint64)
    labels[:, 1:3] = 2**60 + 1
    labels[0, 0] = 2**60 + 2
    objects = connected_objects(labels)
    assert sorted(np.unique(objects).tolist()) == [0, 1, 2]
    assert (objects[:, 1:3] == objects[0, 1, 0]).all()


def test_single_voxels_and_background_are_0():
    labels = np.zeros((3, 3, 3), np.uint64)
    labels[1, 1, 1] = 4
    assert not connected_objects(labels).any()
    labels[1, 1, 2] = 4
    assert connected_objects(labels).sum() == 2
