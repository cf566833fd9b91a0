"""Every record once an epoch, in a seeded order, shared out without gaps."""

import numpy as np
import pytest

from etp.options import OptionError
from etp.training.data.batches import BatchPlan, share


def batches(plan: BatchPlan, epoch: int) -> list[np.ndarray]:
    order = plan.order(epoch)
    return [plan.batch(order, step) for step in range(plan.steps_per_epoch)]


def test_an_epoch_shows_every_record_once():
    shown = np.concatenate(batches(BatchPlan(103, 10, drop_last=False, seed=0), 0))
    assert sorted(shown) == list(range(103))


def test_drop_last_leaves_out_the_smaller_batch():
    assert [len(batch) for batch in batches(BatchPlan(25, 10, drop_last=True, seed=0), 0)] == [10, 10]
    assert [len(batch) for batch in batches(BatchPlan(25, 10, drop_last=False, seed=0), 0)] == [10, 10, 5]


def test_a_last_batch_of_one_record_is_left_out():
    assert [len(batch) for batch in batches(BatchPlan(21, 10, drop_last=False, seed=0), 0)] == [10, 10]


def test_epochs_and_seeds_have_orders_of_their_own():
    plan = BatchPlan(50, 10, drop_last=True, seed=0)
    assert np.array_equal(plan.order(3), plan.order(3))
    assert not np.array_equal(plan.order(3), plan.order(4))
    assert not np.array_equal(plan.order(3), BatchPlan(50, 10, drop_last=True, seed=1).order(3))


def test_too_few_records_for_a_batch_are_refused():
    with pytest.raises(OptionError, match="9 training records do not fill one batch of 10: lower --batch_size"):
        BatchPlan(9, 10, drop_last=True, seed=0)


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("num_rows", [0, 1, 7, 8, 25])
def test_shares_cover_every_row_once_and_differ_by_one_at_most(num_rows, world_size):
    shares = [share(num_rows, rank=rank, world_size=world_size) for rank in range(world_size)]
    rows = [row for part in shares for row in range(num_rows)[part]]
    sizes = [part.stop - part.start for part in shares]
    assert rows == list(range(num_rows))
    assert max(sizes) - min(sizes) <= 1
