"""How long the rest of a stage will take."""


def estimate_left(done_before: float, done: float, total: float, seconds: float) -> float | None:
    """How many seconds the rest of a stage takes at the pace of this process.

    Args:
        done_before: Epochs or steps that were done when this process took over; they cost it
            nothing, so they say nothing about its pace.
        done: Those done now.
        total: All there are.
        seconds: Since this process took over.

    Returns:
        None until something has been done.

    Raises:
        ValueError: If they do not follow each other.
    """
    if not 0 <= done_before <= done <= total:
        raise ValueError(f"expected 0 <= {done_before} <= {done} <= {total}: before, now, in all")
    if done == total:
        return 0.0
    if done == done_before:
        return None
    return seconds / (done - done_before) * (total - done)
