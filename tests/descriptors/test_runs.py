import numpy as np

from lsd_experiments.descriptors.runs import runs_by_object

LABELS = np.array([[[7, 7, 0, 3],
                    [3, 3, 7, 7]]], np.uint64)


def test_runs_of_each_object():
    runs, starts, ids = runs_by_object(LABELS, np.array([(0, 0, 0), LABELS.shape]))
    assert ids.tolist() == [3, 7]
    assert starts.tolist() == [0, 2, 4]
    assert runs.tolist() == [[0, 0, 3, 4], [0, 1, 0, 2],   # 3
                             [0, 0, 0, 2], [0, 1, 2, 4]]   # 7


def test_runs_end_at_the_box():
    runs, starts, ids = runs_by_object(LABELS, np.array([(0, 0, 1), (1, 1, 4)]))
    assert (runs.tolist(), starts.tolist(), ids.tolist()) == ([[0, 0, 3, 4], [0, 0, 1, 2]], [0, 1, 2], [3, 7])


def test_no_objects():
    runs, starts, ids = runs_by_object(np.zeros((2, 2, 2), np.uint64), np.array([(0, 0, 0), (2, 2, 2)]))
    assert (runs.shape, starts.tolist(), ids.tolist()) == ((0, 4), [0], [])
