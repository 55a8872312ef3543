"""Doing the next thing while the one before is used."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def made_ahead(
    make: Callable[[Item], Made], items: Iterable[Item], depth: int = 1
) -> Generator[Made]:
    """Make something of every item, in order, by one other thread.

    Close the generator (`contextlib.closing`) where it may be left before its end: that waits for
    what is being made, so that nothing is used any more when it returns.

    Args:
        make: Called by one thread at a time.
        items: In their order.
        depth: How many may wait, made or being made, while another one is used; with 0, things are
            made when they are needed, by the thread that needs them.

    Raises:
        BaseException: What ``make`` raises, where the thing would have come.
    """
    if depth < 1:
        yield from map(make, items)
        return
    waiting: deque[Future[Made]] = deque()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="glnet-ahead"))
        stack.callback(lambda: [of.cancel() for of in waiting])
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
