from tests.cli.conftest import model, output, scene

__all__ = ["model", "output", "scene"]
