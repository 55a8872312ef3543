from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def undrawn() -> Iterator[None]:
    """Runs without pictures of their curves, which take longer to draw than tiny runs to train."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("glnet.training.following.follower.draw_curves", lambda *_: [])
        yield
