"""What every database must find: jobs with all words, in any case and form of every script, newest first."""

import pytest

from mediagen.jobs import listing, repository, search, wishes
from mediagen.jobs.listing import JobFilter
from mediagen.jobs.states import JobState, JobStatus
from tests.conformance.databases import Desk


async def index(desk: Desk) -> int:
    steps = 1
    while await desk.run(search.index_step):
        steps += 1
    return steps


async def found(desk: Desk, text: str, **more: JobStatus | str) -> list[str]:
    """Return the prompts, from pages of two."""
    where = JobFilter(owner="local", text=text, **more)  # type: ignore[arg-type]
    seen: list[str] = []
    prompts: list[str] = []
    while page := await desk.run(listing.page, where, before=seen[-1] if seen else None, limit=2):
        seen += [job.id for job, _ in page]
        prompts += [job.prompt for job, _ in page]
    assert len(seen) == len(set(seen))
    return prompts


PROMPTS = {
    "A red fox in the SNOW": ["fox", "FOX", "snow red", "  Snow\tfox ", "ox"],
    "Zürich bei Nacht, Straße": ["zürich", "ZÜRICH", "STRASSE", "straße nacht", "Zu\u0308rich"],
    "ΣΊΣΥΦΟΣ pushes": ["σίσυφος", "ΣΊΣΥΦΟΣ"],
    "ﬁne ａｂｃ ①": ["fine", "FINE", "abc", "1 fine"],
    "雪の中の赤い狐": ["狐", "赤い", "雪の中", "狐 雪"],
    "красная Лиса": ["ЛИСА красная", "лис"],
    "at 100% of a_b \\ \"quoted\" it's 'x' (y) AND NOT z*": [
        "100%",
        "a_b",
        "\\",
        '"quoted"',
        "it's",
        "(y)",
        "and not",
        "z*",
        "NOT",
    ],
}


@pytest.mark.parametrize("indexed", [False, True], ids=["not indexed yet", "indexed"])
async def test_words_are_found_in_any_case_and_form_and_mean_nothing_but_themselves(
    desk: Desk, indexed: bool
) -> None:
    for prompt in PROMPTS:
        await desk.add(prompt)
    if indexed:
        await index(desk)
    for prompt, queries in PROMPTS.items():
        for query in queries:
            assert await found(desk, query) == [prompt], query
    for query in ("owl", "fox owl", "axb", "1000", "%%%", "___", '"fox', "job_words", "1%"):
        assert await found(desk, query) == [], query


async def test_all_words_must_be_there_in_whatever_field(desk: Desk) -> None:
    await desk.add("a fox", model="acme/painter")
    wanted = await desk.add("an owl", model="acme/Painter-XL")
    await index(desk)
    assert await found(desk, "painter-xl OWL") == ["an owl"]
    assert await found(desk, wanted.id[-12:]) == ["an owl"]
    assert await found(desk, "acme") == ["an owl", "a fox"]


async def test_a_job_is_found_by_the_error_that_it_ended_with(desk: Desk) -> None:
    await desk.add("a fox")
    failed = await desk.job_in(JobState.FAILED, prompt="a heron")
    await index(desk)
    code = (await desk.job(failed.id)).error_code or ""
    assert await found(desk, code) == ["a heron"]


async def test_the_newest_come_first_whether_the_index_has_seen_them_or_not(desk: Desk) -> None:
    for number in range(5):
        await desk.add(f"fox {number}")
        desk.clock.advance(1)
    await index(desk)
    for number in range(5, 8):
        await desk.add(f"fox {number}")
        desk.clock.advance(1)
    assert await found(desk, "fox") == [f"fox {number}" for number in range(7, -1, -1)]
    assert await found(desk, "ox") == [f"fox {number}" for number in range(7, -1, -1)]


async def test_words_and_filters_narrow_each_other(desk: Desk) -> None:
    await desk.add("a fox", model="a/b")
    await desk.add("another fox", model="a/c")
    await desk.job_in(JobState.FAILED, prompt="a lost fox", model="a/b")
    await index(desk)
    assert await found(desk, "fox", model="a/b", status=JobStatus.PENDING) == ["a fox"]
    assert await found(desk, "fox", status=JobStatus.FAILED) == ["a lost fox"]


async def test_what_is_deleted_is_not_found_and_leaves_no_words(desk: Desk) -> None:
    job = await desk.job_in(JobState.FAILED, prompt="a secret fox")
    await index(desk)
    assert await desk.run(wishes.delete_finished, job.id)
    assert await found(desk, "secret") == []
    assert (await desk.everything())["job_texts"] == []
    await index(desk)
    assert (await desk.everything())["job_texts"] == []


async def test_the_index_is_filled_in_steps_and_goes_on_where_it_was(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "STEP", 3)
    for number in range(10):
        await desk.add(f"fox {number}")
    assert not await desk.run(search.is_current)
    assert await index(desk) == 4
    assert await desk.run(search.is_current)
    await desk.add("fox 10")
    assert not await desk.run(search.is_current)
    assert await index(desk) == 1
    assert len(await found(desk, "fox")) == 11


@pytest.mark.parametrize("indexed", [False, True], ids=["not indexed yet", "indexed"])
async def test_pages_show_each_job_though_ids_come_in_another_order_than_jobs(
    desk: Desk, indexed: bool
) -> None:
    a, b, c = (desk.new(f"fox {name}") for name in "abc")
    for new in (b, a, c):
        await desk.run(repository.insert_many, [new])
    if indexed:
        await index(desk)
    assert sorted(await found(desk, "fox")) == ["fox a", "fox b", "fox c"]
