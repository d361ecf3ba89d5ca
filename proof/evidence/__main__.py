"""Let a provider say what proves nothing, and count what is concluded from it.

    python -m proof.evidence [--scenes NAME ... | --short | --long] [--part evidence|finality] [--jobs N] [--list]

Each scene is a real `mediagen serve` with waits made short, and a provider with one fault: it has another clock,
shows inputs changed, answers for somebody else, says 404 by mistake, lists what is no prediction, and so on.
Counted are, from the provider's own book and from the API: predictions bought beyond one for each job (extra),
jobs that show another's picture (wrong), that ended without the output they should have (lost), that did not end
(open), that ended as outcome_unknown, and sales that `mediagen audit` did not name.

The exit code is 0 when every scene kept its promise, else 1.
"""

import argparse
import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from proof.command import finish, new_file, whole
from proof.evidence.rows import SCENES, SHORT, SHORT_JOBS
from proof.evidence.scene import Scene
from proof.evidence.verdict import Figures, judge
from proof.evidence.world import world
from proof.table import Moves, progress, save, show
from tests.fakes import kept

_COUNTS = ("jobs", "sold", "extra", "wrong", "lost", "open", "unknown", "audit")


async def play(scene: Scene, folder: Path) -> Figures:
    """Play one scene in an empty folder and judge it."""
    async with world(scene, folder) as stage:
        await scene.act(stage)
        if scene.audits and await stage.audit() is None:
            stage.unnamed = 1
        return judge(scene, await stage.jobs(), stage.sales(), stage.unnamed)


async def play_all(scenes: Sequence[Scene], at_once: int, folder: Path, moves: Moves) -> list[Figures]:
    """Play the scenes, so many at a time."""
    places, done = asyncio.Semaphore(at_once), 0

    async def one(scene: Scene) -> Figures:
        nonlocal done
        async with places:
            own = folder / scene.name
            await asyncio.to_thread(own.mkdir)
            figures = await play(scene, own)
        done += 1
        moves(done, len(scenes))
        return figures

    async with asyncio.TaskGroup() as together:
        tasks = [together.create_task(one(scene)) for scene in scenes]
    return [task.result() for task in tasks]


def main() -> int:
    """Run what the command line says."""
    given = _parser().parse_args()
    if given.list:
        rows = [(scene.name, scene.part, scene.shows) for scene in SCENES.values()]
        show("Scenes", ("scene", "part", "what happens"), rows, [])
        return 0
    scenes = _chosen(given)
    folder = Path(tempfile.mkdtemp(prefix="evidence-", dir=kept.lasting() if given.keep else None)).resolve()
    try:
        with progress("Scenes") as moves:
            found = asyncio.run(play_all(scenes, given.at_once, folder, moves))
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    _show(found, [f"Everything is kept in {folder}."] if given.keep else [])
    save(given.json, [asdict(figures) for figures in found])
    return 1 if any(_is_broken(figures) for figures in found) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="name the scenes")
    parser.add_argument("--scenes", nargs="+", metavar="NAME", choices=SCENES, help="play these only")
    parser.add_argument("--short", action="store_true", help="one scene of each kind, with few jobs")
    parser.add_argument("--part", choices=("evidence", "finality"), help="play one part only")
    parser.add_argument("--jobs", type=whole(2), help="jobs in each scene")
    parser.add_argument("--long", action="store_true", help="play those, too, that take minutes")
    parser.add_argument("--at-once", type=whole(1), default=3, help="scenes at a time")
    parser.add_argument("--json", type=new_file, help="write the figures there, too")
    parser.add_argument("--keep", action="store_true", help="keep databases, files and logs")
    return parser


def _chosen(given: argparse.Namespace) -> list[Scene]:
    names = given.scenes or (SHORT if given.short else SCENES)
    scenes = [SCENES[name] for name in names]
    if not given.scenes and not given.long:
        scenes = [scene for scene in scenes if not scene.takes_long]
    if given.part:
        scenes = [scene for scene in scenes if scene.part == given.part]
    jobs = given.jobs or (SHORT_JOBS if given.short else None)
    return [replace(scene, jobs=jobs) for scene in scenes] if jobs else scenes


def _show(found: Sequence[Figures], lines: Sequence[str]) -> None:
    rows = []
    for figures in found:
        counts = [getattr(figures, name) for name in _COUNTS]
        rows.append((figures.scene, *counts, _word(figures)))
    broken = sum(_is_broken(figures) for figures in found)
    said = [f"{each.scene}: {_ends(each)}. {each.said}" for each in found if not each.kept_promise]
    summary = f"{len(found)} scenes, {broken} of them broke their promise."
    show("Evidence and finality", ("scene", *_COUNTS, "promise"), rows, [*said, summary, *lines])


def _ends(figures: Figures) -> str:
    return ", ".join(f"{count} {how}" for how, count in figures.ends.items())


def _word(figures: Figures) -> str:
    if figures.kept_promise:
        return "kept"
    return "none made" if SCENES[figures.scene].beyond else "BROKEN"


def _is_broken(figures: Figures) -> bool:
    return not figures.kept_promise and not SCENES[figures.scene].beyond


if __name__ == "__main__":
    finish(main)
