"""The folder tree is the architecture: a module imports only from folders above its own."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "glnet"

ORDER = (
    "errors",
    "closing",
    "wording",
    "markup",
    "geometry",
    "raster",
    "vector",
    "data",
    "viewing",
    "baselines",
    "model",
    "inference",
    "cluster",
    "evaluation",
    "training",
    "reporting",
    "reproduction",
    "demo",
    "cli",
)

FORBIDDEN = {
    "geometry": {"torch", "rasterio", "PIL", "matplotlib"},
    "raster": {"torch", "matplotlib"},
    "vector": {"torch", "PIL", "matplotlib"},
    "data": {"torch", "rasterio", "PIL", "matplotlib"},
    "viewing": {"torch", "rasterio", "lightning", "matplotlib"},
    "baselines": {"lightning", "rasterio", "PIL", "matplotlib"},
    "model": {"lightning", "rasterio", "PIL", "matplotlib"},
    "inference": {"lightning", "rasterio", "PIL", "matplotlib"},
    "cluster": {"lightning", "rasterio", "PIL", "matplotlib"},
    "evaluation": {"lightning", "rasterio", "matplotlib"},
    "training": {"rasterio", "PIL"},
    "reporting": {"lightning", "rasterio", "torch"},
    "reproduction": {"lightning", "rasterio"},
    "cli": {"torch", "rasterio", "PIL", "numpy", "matplotlib"},
}
"""Libraries that would carry one folder's matter into another."""

MODULES = sorted(SOURCE.rglob("*.py"))


def test_there_are_modules_in_every_folder() -> None:
    rooms = {_room(path) for path in MODULES}

    assert rooms - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    room = _room(path)
    if room == "__init__":
        return
    above = {name.split(".")[1] for name in _imports(path) if name.startswith("glnet.")}

    assert above <= set(ORDER[: ORDER.index(room) + 1])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    libraries = {name.split(".")[0] for name in _imports(path)}

    assert not libraries & FORBIDDEN.get(_room(path), set())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_raster_folder_reads_slides(path: Path) -> None:
    # Where it is asked for by name, so that a program without it still starts.
    uses_them = any(f'"{library}"' in path.read_text() for library in ("openslide", "tifffile"))
    libraries = {name.split(".")[0] for name in _imports(path)}

    assert not libraries & {"openslide", "tifffile"}
    assert not uses_them or _room(path) == "raster"


def test_compared_networks_know_nothing_of_the_rest() -> None:
    paths = [path for path in MODULES if _room(path) == "baselines"]

    assert paths
    for path in paths:
        ours = {name.split(".")[1] for name in _imports(path) if name.startswith("glnet.")}
        assert ours <= {"errors", "baselines"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_a_compared_network_asks_for_its_library(path: Path) -> None:
    # Within a function, so that all others run without it.
    library = "segmentation_models_pytorch"
    at_the_top = {name for line in ast.parse(path.read_text()).body for name in _named(line)}

    assert not any(name.startswith(library) for name in at_the_top)
    assert library not in path.read_text() or _room(path) == "baselines"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_cluster_asks_for_ray(path: Path) -> None:
    # Within a function, so that all others run without it.
    at_the_top = {name for line in ast.parse(path.read_text()).body for name in _named(line)}
    anywhere = {name.split(".")[0] for name in _imports(path)}

    assert "ray" not in {name.split(".")[0] for name in at_the_top}
    assert "ray" not in anywhere or path.name == "ray_cluster.py"


def test_importing_the_network_needs_no_training_library() -> None:
    checked = ("baselines", "model", "inference")
    rooms = {room: [p for p in MODULES if _room(p) == room] for room in checked}

    for paths in rooms.values():
        assert paths
        for path in paths:
            assert not {"lightning", "ray"} & {name.split(".")[0] for name in _imports(path)}


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    return {name for node in ast.walk(ast.parse(path.read_text())) for name in _named(node)}


def _named(node: ast.AST) -> set[str]:
    """What one statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0
        return {f"{node.module}.{alias.name}" for alias in node.names}
    return set()
