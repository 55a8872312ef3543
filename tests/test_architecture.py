"""The folder tree is the architecture: a module imports only from folders above its own."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "glnet"

ORDER = (
    "errors",
    "closing",
    "geometry",
    "raster",
    "vector",
    "data",
    "model",
    "inference",
    "evaluation",
    "training",
    "reproduction",
    "demo",
    "cli",
)

FORBIDDEN = {
    "geometry": {"torch", "rasterio", "PIL", "matplotlib"},
    "raster": {"torch", "matplotlib"},
    "vector": {"torch", "PIL", "matplotlib"},
    "data": {"torch", "rasterio", "PIL", "matplotlib"},
    "model": {"lightning", "rasterio", "PIL", "matplotlib"},
    "inference": {"lightning", "rasterio", "PIL", "matplotlib"},
    "evaluation": {"lightning", "rasterio", "matplotlib"},
    "training": {"rasterio", "PIL"},
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


def test_importing_the_network_needs_no_training_library() -> None:
    rooms = {room: [p for p in MODULES if _room(p) == room] for room in ("model", "inference")}

    for paths in rooms.values():
        assert paths
        for path in paths:
            assert not {"lightning", "ray"} & {name.split(".")[0] for name in _imports(path)}


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names
