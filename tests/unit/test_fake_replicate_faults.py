"""The fake Replicate can do all that a provider was seen to do to those who must not pay twice or lose a picture."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from tests.fakes.cog_faults import CogFaults
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_customer import HEADERS, Client
from tests.fakes.replicate_views import HUGE_CHARACTERS


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as server:
        yield server


@pytest.fixture
async def client(fake: FakeReplicate) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(headers=HEADERS, auto_decompress=False) as session:
        yield Client(fake, session)


def ahead_s(text: str) -> float:
    return (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()


# --- what is shown


@pytest.mark.parametrize(
    ("echo", "shown"),
    [
        ("default", {"prompt": "x ", "steps": 4, "image": "data:,a", "go_fast": True}),
        ("link", {"prompt": "x ", "steps": 4, "image": "https://replicate.delivery/xezq/abc/input.png"}),
        ("text", {"prompt": "x ", "steps": "4", "image": "data:,a"}),
        ("strip,default", {"prompt": "x", "steps": 4, "image": "data:,a", "go_fast": True}),
        ("order", {"prompt": "x ", "steps": 4, "image": "data:,a"}),
        ("removed", {}),
    ],
)
async def test_the_input_is_shown_changed(client: Client, echo: str, shown: dict[str, Any]) -> None:
    client.fake.switches.echo = echo
    client.fake.switches.shown_model = "a/other-name"
    _, said = await client.create("x ", steps=4, image="data:,a")
    assert (said["input"], said["model"]) == (shown, "a/other-name")
    assert (next(iter(said["input"]), "") == "image") is (echo == "order")


async def test_inputs_are_removed_some_time_after_the_end(client: Client) -> None:
    client.fake.switches.removed_after_s = 60
    ref = await client.made()
    assert (await client.get(ref))[1]["input"] == {"prompt": "x"}
    client.fake.kept[ref].ended_at = time.monotonic() - 61
    _, view = await client.get(ref)
    assert (view["input"], view["output"], view["data_removed"]) == ({}, None, True)


async def test_a_list_can_hide_the_webhooks_that_a_look_shows(client: Client) -> None:
    client.fake.switches.list_webhook = False
    _, said = await client.create(webhook="http://127.0.0.1:1/h")
    [listed] = (await client.list())["results"]
    assert ("webhook" in listed, "webhook" in (await client.get(said["id"]))[1]) == (False, True)


@pytest.mark.parametrize("where", ["odd", "output"])
async def test_predictions_can_be_hard_to_read(client: Client, where: str) -> None:
    refs = [await client.made(kind, fake={where: kind, "latency_s": 0}) for kind in ("nan", "deep", "huge")]
    texts = []
    for ref in refs:
        async with client.session.get(f"{client.fake.url}/v1/predictions/{ref}") as answer:
            texts.append(await answer.text())
    nan, deep, huge = texts
    assert "NaN" in nan
    assert "[" * 150 in deep.replace(" ", "")
    assert len(huge) > HUGE_CHARACTERS


async def test_a_failed_one_can_show_what_it_made(client: Client) -> None:
    ref = await client.made(fake={"fail": "boom", "partial": True})
    other = await client.made(fake={"canceled": True, "partial": True})
    views = [(await client.get(each))[1] for each in (ref, other)]
    assert [(view["status"], len(view["output"])) for view in views] == [("failed", 1), ("canceled", 1)]


async def test_a_cold_start_comes_long_after_the_create(client: Client) -> None:
    client.fake.switches.cold_s = 60
    _, said = await client.create()
    assert (await client.get(said["id"]))[1]["status"] == "starting"
    client.fake.finish(said["id"])
    await client.fake.ended(said["id"])


# --- the clock


async def test_it_has_a_clock_of_its_own(client: Client) -> None:
    client.fake.switches.clock_offset_s = -120
    client.fake.switches.clock_step_s, client.fake.switches.clock_step_after = 1000, 2
    before, after = (await client.create())[1], (await client.create())[1]
    assert -130 < ahead_s(before["created_at"]) < -110
    assert 870 < ahead_s(after["created_at"]) < 890
    _, _, answer = await client.ask("GET", "/v1/predictions")
    date = parsedate_to_datetime(answer.headers["Date"])
    assert 870 < (date - datetime.now(UTC)).total_seconds() < 890


async def test_its_date_can_be_true_missing_or_of_two_minds(client: Client) -> None:
    client.fake.switches.clock_offset_s = 500
    dates = {}
    for kind in ("true", "none", "two", "two "):
        client.fake.switches.date = kind.strip()
        _, _, answer = await client.ask("GET", "/v1/predictions")
        dates[kind] = answer.headers.get("Date")
    assert dates.pop("none") is None
    true, one, two = (parsedate_to_datetime(str(date)) for date in dates.values())
    assert abs((true - datetime.now(UTC)).total_seconds()) < 5
    assert 85 < abs((one - two).total_seconds()) < 95


# --- answers in place of the truth


async def test_a_create_can_break_before_anything_is_bought(client: Client) -> None:
    client.fake.switches.lost_times = 1
    with pytest.raises(aiohttp.ClientError):
        await client.create()
    assert client.fake.kept == {}
    assert (await client.create())[0] == 201


@pytest.mark.parametrize("shows", [True, False])
async def test_a_create_can_be_answered_with_somebody_elses_prediction(client: Client, shows: bool) -> None:
    hook = "http://127.0.0.1:1/h"
    first = (await client.create("first", webhook=hook))[1]
    client.fake.switches.answer_webhook = shows
    client.fake.switches.after_accept = "other"
    other = (await client.create("second", webhook=hook))[1]
    client.fake.switches.after_accept = "foreign"
    foreign = (await client.create("third", webhook=hook))[1]
    assert (other["id"], other["input"]["prompt"]) == (first["id"], "first")
    assert [("webhook" in said) for said in (other, foreign)] == [shows, shows]
    assert foreign["id"] not in {each["id"] for each in (await client.list())["results"]}
    assert (await client.get(foreign["id"]))[0] == 200
    assert client.fake.stats()["created"] == 3


async def test_looks_are_told_404_for_some_times_and_then_the_truth(client: Client) -> None:
    ref = await client.made(fake={"look_says": "404", "look_passes": 1, "look_times": 2})
    assert [(await client.get(ref))[0] for _ in range(4)] == [200, 404, 404, 200]


async def test_looks_are_told_404_for_some_time(client: Client) -> None:
    ref = await client.made(fake={"look_says": "404", "look_for_s": 60})
    assert (await client.get(ref))[0] == 404
    client.fake.kept[ref].made_at -= 61
    assert (await client.get(ref))[0] == 200


@pytest.mark.parametrize("says", ["html404", "html403", "html502"])
async def test_a_gateway_answers_with_pages_of_its_own(client: Client, says: str) -> None:
    ref = await client.made(fake={"look_says": says, "cancel_says": says})
    client.fake.switches.list_says, client.fake.switches.list_times = says, 1
    client.fake.switches.after_accept = says
    answers = [(await client.get(ref)), (await client.cancel(ref)), (await client.create("y"))]
    answers.append((await client.ask("GET", "/v1/predictions"))[:2])
    assert {status for status, _ in answers} == {int(says[-3:])}
    assert all(body.startswith(b"<html>") for _, body in answers)
    assert len((await client.list())["results"]) == 2
    client.fake.switches.refuse, client.fake.switches.refuse_html = 404, True
    assert str((await client.create("z"))[1]).startswith("b'<html>")


@pytest.mark.parametrize(("says", "status"), [("404", 404), ("500", 500), ("ignored", 200)])
async def test_a_cancel_can_fail_and_the_prediction_goes_on(client: Client, says: str, status: int) -> None:
    _, said = await client.create(fake={"latency_s": -1, "cancel_says": says, "cancel_times": 1})
    assert (await client.cancel(said["id"]))[0] == status
    assert client.fake.kept[said["id"]].status == "processing"
    await client.cancel(said["id"])
    assert client.fake.kept[said["id"]].status == "canceled"


async def test_a_cancel_can_hang_or_stop_it_late(client: Client) -> None:
    _, late = await client.create(fake={"latency_s": -1, "cancel_says": "late", "cancel_late_s": 0.05})
    _, hung = await client.create(fake={"latency_s": -1, "cancel_says": "hang"})
    assert (await client.cancel(late["id"]))[1]["status"] == "processing"
    await client.fake.ended(late["id"])
    asking = asyncio.create_task(client.cancel(hung["id"]))
    await client.fake.until(lambda: client.fake.kept[hung["id"]].cancels == 1)
    assert not asking.done()
    asking.cancel()


@pytest.mark.parametrize(("status", "names"), [(422, True), (400, False)])
async def test_a_webhook_that_can_not_be_called_can_be_refused(
    client: Client, status: int, names: bool
) -> None:
    client.fake.switches.refuse_webhook = status
    refused, said = await client.create(webhook="https://mediagen.invalid/hooks/replicate/t/c")
    assert (refused, "webhook" in said["detail"]) == (status, names)
    assert (await client.create(webhook="http://127.0.0.1:1/h"))[0] == 201


async def test_it_does_not_ask_for_names_that_can_not_be(client: Client) -> None:
    hook = "https://mediagen.invalid/hooks/replicate/t/c"
    await client.create(webhook=hook)
    await client.fake.until(lambda: client.fake.unheard == [hook])


# --- the list


@pytest.mark.parametrize(
    ("adds", "is_there"),
    [
        ("null", lambda entries: entries[0] is None),
        ("string", lambda entries: entries[0] == "prediction"),
        ("empty", lambda entries: entries[0] == {}),
        ("nan", lambda entries: entries[0]["metrics"]["predict_time"] != 0),
        ("deep", lambda entries: "[" * 150 in str(entries[0]["metrics"])),
        ("huge", lambda entries: len(entries[0]["logs"]) == HUGE_CHARACTERS),
        ("others", lambda entries: "webhook" not in entries[0]),
        ("hooked", lambda entries: "elsewhere" in entries[0]["webhook"]),
        ("repeated", lambda entries: entries[:3] == entries[3:]),
        ("shuffled", lambda entries: [e["input"]["prompt"] for e in entries] == ["2", "0", "1"]),
    ],
)
async def test_the_list_holds_odd_entries(client: Client, adds: str, is_there: Any) -> None:
    for number in range(3):
        await client.made(str(number))
    client.fake.switches.list_adds = adds
    assert is_there((await client.list())["results"])


async def test_pages_repeat_themselves_are_empty_or_end_early(client: Client) -> None:
    client.fake.page_size = 2
    for number in range(3):
        await client.made(str(number))
    walks = {}
    for kind in ("", "empty", "cut", "repeats"):
        client.fake.switches.list_pages = kind
        query, prompts = "", []
        for _ in range(4):
            page = await client.list(query)
            prompts.append("".join(each["input"]["prompt"] for each in page["results"]))
            if page["next"] is None:
                break
            query = "?" + page["next"].partition("?")[2]
        walks[kind] = prompts
    assert walks.pop("repeats")[1:] == ["10", "10", "10"]
    assert walks == {"": ["21", "0"], "empty": ["21", "", "0"], "cut": ["21"]}


# --- others


async def test_others_buy_with_the_same_account(client: Client) -> None:
    switches = replace(client.fake.switches, others_each=1, others_prompt="same")
    switches.others_webhook = "https://elsewhere.example/hooks/{id}"
    client.fake.switches = switches
    await client.create()
    ours, theirs = (await client.list())["results"]
    assert (theirs["input"], theirs["model"]) == (ours["input"], ours["model"])
    assert theirs["webhook"].startswith("https://elsewhere.example/hooks/")
    assert client.fake.stats()["created"] == 1


async def test_others_buy_by_themselves(client: Client) -> None:
    client.fake.switches.others_per_s = 200
    await client.create()
    await client.fake.until(lambda: len(client.fake.kept) > 3)
    assert client.fake.stats()["by_prompt"] == {"x": 1}


async def test_a_webhook_can_come_late(client: Client) -> None:
    client.fake.switches.ring_after_s = 60
    await client.made(webhook="http://127.0.0.1:1/h")
    assert client.fake.unheard == []


async def test_a_cog_server_can_fail_for_ever_or_answer_for_another() -> None:
    async with CogFaults() as cog, aiohttp.ClientSession() as session:
        cog.fails(503)
        for _ in range(2):
            async with session.put(f"{cog.url}/predictions/mine", json={"input": {}}) as answer:
                assert (answer.status, answer.content_type) == (503, "text/html")
        cog.answers_for_another()
        async with session.put(f"{cog.url}/predictions/mine", json={"input": {}}) as answer:
            assert (await answer.json())["id"] != "mine"
