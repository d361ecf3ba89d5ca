"""All scenes."""

from collections.abc import Mapping

from proof.evidence import absence, finality
from proof.evidence.scene import Scene

SCENES: Mapping[str, Scene] = {scene.name: scene for scene in (*absence.SCENES, *finality.SCENES)}
