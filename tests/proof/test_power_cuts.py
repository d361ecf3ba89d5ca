"""The power cuts, short: nothing acknowledged is lost with the product's settings, and much without them."""

import random
from pathlib import Path

import pytest

from proof.power_cuts import prove
from proof.power_database import Disk, Entry, Op, cut_many, record
from proof.power_files import Deed, Do
from proof.power_files import Disk as FileDisk

LINES = (
    "database, as the product sets it",
    "database, synchronous=NORMAL",
    "database, synchronous=OFF",
    "artifacts, as the product stores them",
    "artifacts, files not synced",
    "artifacts, folders not synced",
)


def test_cuts_do_harm_only_where_less_is_synced_than_the_product_does() -> None:
    harm = {line.name: line.harm > 0 for line in prove(cuts=100, seed=5)}
    assert harm == {name: "as the product" not in name for name in LINES}


def test_a_log_that_was_not_brought_into_the_database_yet_survives_every_cut(tmp_path: Path) -> None:
    used, left = tmp_path / "used", tmp_path / "left"
    used.mkdir()
    left.mkdir()
    log = record(used.resolve(), 9, commits=20, checkpoint_pages=1000, instead={})
    assert {"journal_mode=WAL", "synchronous=FULL"} <= log.pragmas
    tally = cut_many(log, left, 60, random.Random(9))
    assert (tally.cuts, tally.cuts_that_lost, tally.corrupt) == (60, 0, 0)


# --- the disk of databases


def images(entries: list[Entry]) -> set[bytes | None]:
    """Return all that 200 cuts after these entries leave of one file."""
    disk = Disk()
    for entry in entries:
        disk.apply(entry)
    return {disk.cut(random.Random(seed)).get("f") for seed in range(200)}


NEW = [Entry(Op.CREATE, "f"), Entry(Op.SYNC, "f", syncs_folder=True)]


def test_what_was_synced_is_there() -> None:
    assert images([*NEW, Entry(Op.WRITE, "f", 0, b"ab"), Entry(Op.SYNC, "f")]) == {b"ab"}


def test_what_was_not_synced_may_be_missing() -> None:
    assert images([*NEW, Entry(Op.WRITE, "f", 0, b"ab")]) == {b"", b"ab"}


def test_writes_that_were_not_synced_may_be_reordered_and_torn() -> None:
    first, second = b"1" * 512, b"2" * 1024
    found = images([*NEW, Entry(Op.WRITE, "f", 0, first), Entry(Op.WRITE, "f", 512, second)])
    assert {first, bytes(512) + second, first + second[:512]} <= found


def test_a_new_file_may_be_missing_until_its_folder_was_synced() -> None:
    entries = [Entry(Op.CREATE, "f"), Entry(Op.WRITE, "f", 0, b"ab"), Entry(Op.SYNC, "f")]
    assert images(entries) == {None, b"ab"}


@pytest.mark.parametrize(("synced", "found"), [(True, {None}), (False, {None, b"ab"})])
def test_a_deleted_file_may_be_back_until_its_folder_was_synced(
    synced: bool, found: set[bytes | None]
) -> None:
    written = [*NEW, Entry(Op.WRITE, "f", 0, b"ab"), Entry(Op.SYNC, "f")]
    assert images([*written, Entry(Op.DELETE, "f", syncs_folder=synced)]) == found


# --- the disk of artifacts


def found_files(deeds: list[Deed]) -> set[bytes | None]:
    """Return all that 200 cuts after these deeds leave of /r/f."""
    disk = FileDisk("/r")
    for deed in deeds:
        disk.apply(deed)
    return {disk.cut(random.Random(seed)).get("/r/f") for seed in range(200)}


MADE = [Deed(Do.MAKE, "/r/t", data=b"ab")]
NAMED = Deed(Do.NAME, "/r/f", source="/r/t", data=b"ab")


def test_a_name_given_to_a_file_that_was_synced_shows_it_whole_or_not_at_all() -> None:
    assert found_files([*MADE, Deed(Do.SYNC, "/r/t", data=b"ab"), NAMED]) == {None, b"ab"}


def test_a_name_given_to_a_file_that_was_not_synced_may_show_less() -> None:
    assert {b"", b"a", b"\0\0"} <= found_files([*MADE, NAMED, Deed(Do.SYNC_FOLDER, "/r")])


def test_a_synced_name_of_a_synced_file_stays() -> None:
    synced = [*MADE, Deed(Do.SYNC, "/r/t", data=b"ab"), NAMED, Deed(Do.SYNC_FOLDER, "/r")]
    assert found_files(synced) == {b"ab"}


def test_a_file_in_a_folder_whose_own_name_was_not_synced_may_be_out_of_reach() -> None:
    disk = FileDisk("/r")
    for deed in (
        Deed(Do.MAKE_FOLDER, "/r/d"),
        Deed(Do.MAKE, "/r/d/f", data=b"ab"),
        Deed(Do.SYNC, "/r/d/f", data=b"ab"),
        Deed(Do.SYNC_FOLDER, "/r/d"),
    ):
        disk.apply(deed)
    assert {"/r/d/f" in disk.cut(random.Random(seed)) for seed in range(50)} == {True, False}
