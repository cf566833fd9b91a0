"""Results that many visitors ask for, kept so that they are computed once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class RecentResults:
    """The results that were asked for last.

    Args:
        size: How many are kept.
    """

    def __init__(self, size: int):
        self._size = size
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """The result of a key, computed unless it is kept; an error is not kept."""
        if key not in self._kept:
            self._kept[key] = compute()
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]
