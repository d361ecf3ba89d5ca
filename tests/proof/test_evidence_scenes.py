"""The scenes of evidence and finality: a judge that sees what it must, faults that exist, and two scenes played."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from proof.evidence import absence, acts, finality, odd_files
from proof.evidence.__main__ import play
from proof.evidence.rows import SCENES, SHORT
from proof.evidence.scene import Scene
from proof.evidence.verdict import Job, Sale, judge
from tests.fakes.replicate_data import Switches

SCENE = Scene(
    name="a", shows="", part="evidence", act=acts.straight, jobs=1, bound_s=1, fair=frozenset({"canceled"})
)


def job(status: str = "completed", code: str = "", *, right: bool | None = True) -> Job:
    return Job(prompt="x", status=status, code=code, right=right)


def sold(status: str = "succeeded", prompt: str = "x") -> Sale:
    return Sale(prompt=prompt, status=status)


def test_a_scene_without_harm_keeps_its_promise() -> None:
    found = judge(SCENE, [job()], [sold("failed"), sold()], 0)
    assert (found.kept_promise, found.jobs, found.sold) == (True, 1, 2)


@pytest.mark.parametrize(
    ("jobs", "sales", "figure"),
    [
        ([job()], [sold(), sold()], "extra"),
        ([job("processing", right=None)], [sold()], "open"),
        ([job(right=False)], [sold()], "wrong"),
        ([job()], [sold(prompt="another's")], "wrong"),
        ([job("failed", "prediction_gone", right=None)], [sold()], "lost"),
        ([job("completed", right=None)], [sold()], "lost"),
        ([job("failed", "outcome_unknown", right=None)], [sold()], "unknown"),
    ],
)
def test_the_judge_sees_each_harm(jobs: list[Job], sales: list[Sale], figure: str) -> None:
    found = judge(SCENE, jobs, sales, 0)
    harms = {name: getattr(found, name) for name in ("extra", "wrong", "lost", "open", "unknown")}
    assert harms == {**dict.fromkeys(harms, 0), figure: 1}
    assert not found.kept_promise


def test_the_judge_sees_an_audit_that_is_silent() -> None:
    assert not judge(SCENE, [job()], [sold()], 1).kept_promise


@pytest.mark.parametrize("code", ["outcome_unknown", "canceled"])
def test_ends_that_are_fair_in_a_scene_are_no_harm(code: str) -> None:
    scene = replace(SCENE, fair=frozenset({code}))
    assert judge(scene, [job("failed", code, right=None)], [sold()], 0).kept_promise


def test_a_file_that_was_kept_counts_even_if_the_job_failed() -> None:
    assert judge(SCENE, [job("failed", "prediction_failed")], [sold("failed")], 0).kept_promise


def test_every_scene_has_a_name_of_its_own_and_faults_that_the_fake_knows() -> None:
    assert len(SCENES) == len(absence.SCENES) + len(finality.SCENES)
    assert set(SHORT) <= set(SCENES)
    known = {each.name for each in fields(Switches)}
    assert {name for scene in SCENES.values() for name in scene.faults} <= known


@pytest.mark.parametrize(
    ("made", "begins", "ends"),
    [
        (odd_files.jpeg_without_end(), b"\xff\xd8", b"\xff\xd9"),
        (odd_files.gif_without_trailer(), b"GIF8", b";"),
        (odd_files.streamed_wav(), b"RIFF\xff\xff\xff\x7f", b"never"),
        (odd_files.huge_png(), b"\x89PNG", b"never"),
        (odd_files.mp4_with_unknown_box(), b"\0\0\0\x18ftypisom", b"never"),
        (odd_files.avif_with_huge_box(), b"\0\0\0\x18ftypavif", b"never"),
    ],
)
def test_odd_files_lack_what_they_should_lack(made: bytes, begins: bytes, ends: bytes) -> None:
    assert made.startswith(begins)
    assert not made.endswith(ends)


@pytest.mark.parametrize("name", ["file-dead-link", "list-others", "output-dict"])
async def test_a_scene_is_played_on_real_processes(tmp_path: Path, name: str) -> None:
    figures: Any = await play(replace(SCENES[name], jobs=3), tmp_path)
    assert (figures.jobs, figures.sold, figures.ends) == (3, 3, {"completed": 3})
    assert figures.kept_promise, figures
