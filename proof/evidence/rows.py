"""All scenes, and the short form: one scene for each way to conclude too much."""

from collections.abc import Mapping

from proof.evidence import absence, finality
from proof.evidence.scene import Scene

SCENES: Mapping[str, Scene] = {scene.name: scene for scene in (*absence.SCENES, *finality.SCENES)}

SHORT_JOBS = 4
SHORT = (
    "removed",
    "clock-behind",
    "clock-never",
    "date-two",
    "echo-default",
    "echo-default-unmarked",
    "answer-other",
    "answer-foreign-hidden",
    "others-never",
    "older-copy",
    "look-404-lag",
    "look-404-storing",
    "create-404-html",
    "cancel-500",
    "file-late",
    "file-gzip",
    "file-breaks",
    "file-jpeg-end",
    "file-at-port",
    "list-null",
    "list-nan",
    "look-deep",
    "partial-failed",
    "cog-503-cancel",
)
