"""What is tried again, where, and when a run gives up; the block functions are in site/engine_factories.py."""

from dataclasses import replace

import numpy as np
import pytest

from lsd_experiments.blockwise import BlocksFailedError, run_blockwise
from lsd_experiments.blockwise.restarts import Crew
from lsd_experiments.blockwise.worker import pause
from lsd_experiments.errors import UserError
from tests.blockwise.test_launch import expected


def test_a_damaged_block_is_reported_and_the_others_are_done(make_task):
    task, array = make_task("refuse_blocks", blocks=[5])
    with pytest.raises(BlocksFailedError) as caught:
        run_blockwise(task)
    line = "block 5, voxels (3, 8, 0) to (6, 12, 6): raw:volumes/raw: chunk 5 is damaged; noted in "
    assert f"1 of 9 blocks are missing\n  {line}" in str(caught.value)
    right = expected(array.shape, task.write_shape)
    np.testing.assert_array_equal(array, np.where(right == 6, 0, right))


@pytest.mark.parametrize("good", [False, True])
def test_a_run_all_of_whose_first_blocks_are_refused_ends(make_task, good):
    task, array = make_task("refuse_blocks", num_workers=1, blocks=list(range(good, 1000)))
    task = replace(task, write_shape=(1, 1, 6))  # 70 blocks
    with pytest.raises(BlocksFailedError if good else UserError, match=r"chunk \d+ is damaged") as caught:
        run_blockwise(task)
    assert ("69 of 70 blocks are missing" in str(caught.value)) == good
    assert array.any() == good


def test_a_block_that_kills_its_workers_takes_no_others_with_it(make_task):
    """Though they are in work in the same process."""
    task, array = make_task("kill_always", num_workers=1, threads=3, blocks=[1], seconds=0.1)
    with pytest.raises(BlocksFailedError, match=r"1 of 9 blocks are missing\n  block 1, voxels .*: its worker died each time"):
        run_blockwise(replace(task, threads=3))
    right = expected(array.shape, task.write_shape)
    np.testing.assert_array_equal(array > 0, right != 2)


def test_the_first_block_of_a_single_worker_is_given_up_when_it_was_tried_often_enough(make_task):
    task, array = make_task("kill_always", num_workers=1, blocks=[0], seconds=0)
    with pytest.raises(BlocksFailedError, match=r"1 of 9 blocks are missing\n  block 0, voxels "):
        run_blockwise(task)
    assert array[array.shape[0] - 1].all()


def test_the_only_worker_waits_longer_each_time_before_it_tries_again():
    assert [pause(failures, 6) for failures in range(1, 8)] == [0.5, 2, 8, 30, 30, 30, 0]  # there is no seventh retry


def test_unlucky_first_blocks_do_not_stop_a_run_in_which_others_work(make_task, tmp_path):
    task, array = make_task("unlucky", num_workers=3, seconds=1.5)
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
    assert len(list(tmp_path.glob("death_*"))) >= 3


class Line:
    """A worker's line: what it is answered."""

    def __init__(self):
        self.answers = []

    def __call__(self, message):
        self.answers.append(message)


def test_when_a_crew_is_hopeless():
    crew = Crew(limit=2, number=3)
    for name in "ab":
        assert not crew.hopeless()
        crew.died(name, "log", 0)  # at start
    assert crew.hopeless()
    crew.came("c", Line())
    assert crew.hopeless()
    crew.said("c", {"ready": True})
    assert not crew.hopeless()  # it may do one
    crew.said("c", {"begins": 1, "thread": 0, "asks": True})
    crew.died("c", "log", 0)
    assert crew.hopeless()
    crew.block_is_done()
    assert not crew.hopeless()


def test_blocks_that_kill_all_their_workers_end_a_run_also_while_others_are_tried():
    crew = Crew(limit=2, number=1)
    crew.came("other", Line())
    crew.said("other", {"ready": True})
    for block in (0, 0, 1, 2, 3):
        assert not crew.hopeless()
        crew.came("x", Line())
        crew.said("x", {"begins": block, "thread": 0, "asks": True})
        crew.died("x", "log", 0)
    assert crew.hopeless()


def test_who_waits_for_whom():
    crew, lines = Crew(3, 2), {name: Line() for name in "ab"}
    for name, line in lines.items():
        crew.came(name, line)
        crew.said(name, {"ready": True})
    crew.said("a", {"begins": 1, "thread": 0, "asks": True})
    crew.said("a", {"failed": 1, "thread": 0})
    assert lines["a"].answers == [{"thread": 0, "alone": False}]
    crew.said("b", {"begins": 2, "thread": 0, "asks": True})
    assert lines["a"].answers[1:] == [{"thread": 0}]
    crew.said("b", {"failed": 2, "thread": 0})
    assert len(lines["b"].answers) == 1
    crew.went("a", lines["a"])
    assert lines["b"].answers[1:] == [{"thread": 0, "nobody": True}]
    crew.said("b", {"begins": 1, "thread": 0, "asks": True})
    assert lines["b"].answers[2] == {"thread": 0, "alone": False}


def test_a_block_in_work_as_its_worker_died_is_worked_on_alone():
    crew, line = Crew(3, 2), Line()
    crew.came("a", Line())
    crew.said("a", {"begins": 1, "thread": 0, "asks": True})
    crew.said("a", {"begins": 2, "thread": 1, "asks": True})
    crew.died("a", "log", 0)
    crew.came("b", line)
    for block in (1, 3, 2):
        crew.said("b", {"begins": block, "thread": 0, "asks": True})
    assert [answer["alone"] for answer in line.answers] == [True, False, True]


def test_a_worker_that_came_before_the_death_of_the_last_of_its_name_was_told_is_answered():
    """Otherwise it would wait for ever. And the next death of that name counts again."""
    crew, line = Crew(3, 1), Line()
    crew.came("a", line)
    crew.died("a", "log", 0)
    crew.said("a", {"begins": 1, "thread": 0, "asks": True})
    assert [answer["thread"] for answer in line.answers] == [0]
    crew.said("a", {"worked": True})
    assert crew.dead == 0
    crew.died("a", "log", 0)
    assert crew.dead == 1
