"""Building the page of `glnet view` while the package is built: what it takes from npm."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = Path("src", "glnet", "viewing", "page")
STEPS = (("ci", "--ignore-scripts", "--no-audit", "--no-fund"), ("run", "build"))


class PageHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs npm where the page has not been built; a source distribution carries it already."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the page, or say that it is missing: all but `glnet view` works without it."""
        page = Path(self.root) / PAGE
        built, locked = page / "vendor" / "openseadragon.min.js", page / "package-lock.json"
        if built.is_file() and built.stat().st_mtime >= locked.stat().st_mtime:
            return
        npm = shutil.which("npm")
        steps = [] if npm is None else [[npm, *words] for words in STEPS]
        done = [subprocess.run(step, cwd=page, check=False).returncode for step in steps]
        if not done or any(done):
            self.app.display_warning(
                "glnet view will have no page: npm (of Node.js) was missing or has failed; "
                "with it, install again"
            )
