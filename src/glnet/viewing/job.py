"""What the page may ask of a segmentation that runs, and tell it."""

from typing import Protocol


class Job(Protocol):
    """A segmentation that the page watches."""

    def described(self) -> dict[str, object]:
        """How far it is, for JSON."""
        ...

    def cancel(self) -> None:
        """Stop it, so that it can be resumed."""
        ...

    def resume(self) -> None:
        """Go on with it."""
        ...
