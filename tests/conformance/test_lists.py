"""What every database must do for lists: a page stays a page, however large what was submitted is."""

from dataclasses import replace
from typing import Any

from mediagen.jobs import listing, repository
from mediagen.jobs.brief import brief
from mediagen.jobs.listing import JobFilter
from mediagen.jobs.model import Job
from tests.conformance.databases import Desk

LARGE = "data:image/png;base64," + "A" * 1_000_000


async def first(desk: Desk) -> tuple[Job, list[str]]:
    [(job, cut)] = await desk.run(listing.page, JobFilter(owner="local"), before=None, limit=10)
    return job, list(cut)


async def add(desk: Desk, **fields: Any) -> Job:
    both = {"parameters": {}, "metadata": {}, **fields}
    new = replace(desk.new(**fields), listed=brief(both))
    [job] = await desk.run(repository.insert_many, [new])
    return job


async def test_small_values_are_listed_whole(desk: Desk) -> None:
    made = await add(desk, parameters={"seed": 3, "sizes": [1, 2]}, metadata={"tag": "é"})
    job, cut = await first(desk)
    assert (job.parameters, job.metadata, cut) == ({"seed": 3, "sizes": [1, 2]}, {"tag": "é"}, [])
    assert (await desk.job(made.id)).listed is None


async def test_a_large_value_is_cut_in_lists_and_whole_by_itself(desk: Desk) -> None:
    parameters = {"image": LARGE, "seed": 3, "images": [LARGE, LARGE], "mask": {"data": LARGE}, "no": None}
    made = await add(desk, parameters=parameters)
    job, cut = await first(desk)
    assert (job.parameters["seed"], job.parameters["no"], cut) == (3, None, ["parameters"])
    assert job.parameters["image"].startswith("data:image/png;base64,AAA")
    assert job.parameters["image"].endswith("…")
    assert job.parameters["images"].startswith("2 items")
    assert job.parameters["mask"].startswith("1 fields")
    assert len(str(job.parameters)) < 1_000
    assert (await desk.job(made.id)).parameters == parameters


async def test_a_value_of_4_kb_is_cut_in_a_small_row_as_well(desk: Desk) -> None:
    await add(desk, metadata={"note": "n" * 5_000, "tag": "t"}, parameters={"seed": 3})
    job, cut = await first(desk)
    assert (job.metadata, job.parameters, cut) == (
        {"note": "n" * 200 + "…", "tag": "t"},
        {"seed": 3},
        ["metadata"],
    )


async def test_of_many_values_so_many_are_listed_as_fit(desk: Desk) -> None:
    await add(desk, parameters={f"name-{n}": n for n in range(50_000)})
    job, cut = await first(desk)
    assert cut == ["parameters"]
    assert 0 < len(job.parameters) < 50_000


async def test_jobs_of_before_lists_were_cut_are_listed_without_what_is_large(desk: Desk) -> None:
    await desk.run(repository.insert_many, [desk.new(parameters={"image": LARGE}, metadata={"tag": "t"})])
    job, cut = await first(desk)
    assert (job.parameters, job.metadata, cut) == ({}, {"tag": "t"}, ["parameters"])


async def test_large_and_small_jobs_are_inserted_together(desk: Desk) -> None:
    news = [desk.new(parameters={"image": LARGE} if n % 2 else {"seed": n}) for n in range(6)]
    made = await desk.run(repository.insert_many, news)
    for new, job in zip(news, made, strict=True):
        assert (await desk.job(job.id)).parameters == new.request.parameters
