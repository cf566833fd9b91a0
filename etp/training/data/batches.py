"""Batches of an epoch: a seeded order of the records, cut into global batches and per-process slices."""

from dataclasses import dataclass

import numpy as np

from etp.options import OptionError
from etp.randomness import Purpose, generator


@dataclass(frozen=True)
class BatchPlan:
    """The batches of a run.

    Attributes:
        num_records: Records of the split.
        batch_size: Records per global batch, over all processes together.
        drop_last: Leave out the last, smaller batch of an epoch.
        seed: Decides the order of every epoch.
    """

    num_records: int
    batch_size: int
    drop_last: bool
    seed: int

    def __post_init__(self):
        if self.steps_per_epoch == 0:
            raise OptionError(
                f"{self.num_records} training records do not fill one batch of {self.batch_size}: lower --batch_size "
                "or pass --drop_last false."
            )

    @property
    def steps_per_epoch(self) -> int:
        whole, rest = divmod(self.num_records, self.batch_size)
        return whole + int(self._keeps(rest))

    @property
    def smallest_batch(self) -> int:
        rest = self.num_records % self.batch_size
        return rest if self._keeps(rest) else self.batch_size

    def order(self, epoch: int) -> np.ndarray:
        """Positions of the records in the order of the epoch, int64 `(num_records,)`."""
        return generator(self.seed, Purpose.ORDER, epoch).permutation(self.num_records)

    def batch(self, epoch_order: np.ndarray, step: int) -> np.ndarray:
        """Positions of the records of one global batch."""
        return epoch_order[step * self.batch_size : (step + 1) * self.batch_size]

    def _keeps(self, rest: int) -> bool:
        # A batch of one record has no negatives, and BatchNorm no variance.
        return rest >= 2 and not self.drop_last


def share(num_rows: int, *, rank: int, world_size: int) -> slice:
    """The contiguous rows of one process; sizes differ by one row at most, and all rows are somebody's, once."""
    small, larger = divmod(num_rows, world_size)
    start = rank * small + min(rank, larger)
    return slice(start, start + small + int(rank < larger))
