"""The mutants of media files, short: all are kept but for empty ones, and a file that is thrown away is seen."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from mediagen.artifacts import examine, media
from mediagen.artifacts.parts import Received
from mediagen.artifacts.service import ArtifactService
from mediagen.errors import InvalidMedia
from proof.media_damage import DAMAGES, mutant
from proof.media_files import valid_files
from proof.media_mutants import ingest, look
from tests.conformance.databases import DATABASES


@pytest.mark.parametrize("name", valid_files())
def test_a_valid_file_is_what_it_is(name: str, tmp_path: Path) -> None:
    data, kind = valid_files()[name]
    path = tmp_path / "file"
    path.write_bytes(data)
    assert media.sniff(data[: media.SNIFF_BYTES], path) == kind


def test_every_kind_that_is_known_has_a_file() -> None:
    known = {value for value in vars(media).values() if isinstance(value, media.MediaType)}
    assert {kind for _, kind in valid_files().values()} == known


@pytest.mark.parametrize("name", valid_files())
def test_a_valid_file_has_an_end_and_no_doubt(name: str, tmp_path: Path) -> None:
    data, _ = valid_files()[name]
    path = tmp_path / "file"
    path.write_bytes(data)
    found = examine.examine(Received(path=path, sha256="", size_bytes=len(data)))
    assert (found.doubt, found.looks_cut_off) == (None, False)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_each_kind_of_damage_changes_files(damage: object) -> None:
    data, _ = valid_files()["png"]
    chance = Random(1)
    changed = [bytearray(data) for _ in range(20)]
    for each in changed:
        damage(each, chance)  # type: ignore[operator]
    assert any(each != data for each in changed)


def test_the_same_seed_gives_the_same_mutants() -> None:
    data, _ = valid_files()["mp4"]
    first, second = ([mutant(data, chance) for _ in range(50)] for chance in (Random(5), Random(5)))
    assert first == second


def test_nothing_unforeseen_is_met_in_looking_at_mutants(tmp_path: Path) -> None:
    tally = look(2000, 11, tmp_path)
    assert (tally.faults, tally.mutants, tally.kept + tally.empty) == ([], 2000, 2000)


@pytest.mark.parametrize("kind", sorted(DATABASES))
def test_every_mutant_is_kept_but_for_empty_ones(kind: str, tmp_path: Path) -> None:
    tally = asyncio.run(ingest(kind, 64, 11, tmp_path))
    assert (tally.faults, tally.mutants, tally.kept + tally.empty) == ([], 64, 64)


def test_a_reader_that_raises_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: object) -> None:
        raise OverflowError("too far")

    monkeypatch.setattr(examine, "ending", raises)
    assert "unforeseen" in look(1, 11, tmp_path).faults[0]


def test_a_file_that_is_thrown_away_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses(*_: object) -> None:
        raise InvalidMedia("not nice")

    monkeypatch.setattr(ArtifactService, "ingest", refuses)
    tally = asyncio.run(ingest("sqlite", 4, 11, tmp_path))
    assert len(tally.faults) == 4
    assert "thrown away" in tally.faults[0]
