"""Finding the call whose answer was lost in Replicate's list of predictions, and what can't be told from it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from mediagen.errors import ProviderError, Unreadable
from mediagen.providers import replicate as replicate_module
from mediagen.providers.base import Call, Unknown
from mediagen.providers.replicate import FIND_PAGES, ReplicateProvider
from tests.fakes.rawhttp import app_server, hang_up, raw_server
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import a_call, bought, create, provider_at
from tests.fakes.replicate_data import VERSION, Kept, iso

LIST = "GET /v1/predictions"


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as server:
        yield server


@pytest.fixture
async def replicate(fake: FakeReplicate) -> AsyncIterator[ReplicateProvider]:
    async with provider_at(fake.url) as provider:
        provider.dated_by_its_clock = True  # as an answer to a create has told
        yield provider


async def lost(replicate: ReplicateProvider, fake: FakeReplicate, call: Call) -> Kept:
    """Buy the call and lose the answer; return what the fake keeps of it."""
    fake.switches.after_accept = "drop"
    assert isinstance(await create(replicate, call), Unknown)
    fake.switches.after_accept = ""
    return list(fake.kept.values())[-1]


async def found(replicate: ReplicateProvider, call: Call) -> dict[str, Any]:
    """Return what the list shows of the call, without what is empty."""
    findings = await replicate.find(call)
    shown = {
        "ours": findings.ours.ref if findings.ours else None,
        "alike": [each.ref for each in findings.alike],
        "doubtful": list(findings.doubtful),
        "siblings": [each.ref for each in findings.siblings],
        "not whole": "" if findings.whole else findings.seen,
    }
    return {name: value for name, value in shown.items() if value}


# --- whose prediction is it


async def test_the_marker_proves_which_prediction_is_ours(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    for _ in range(3):
        await bought(replicate, a_call(hook=True))
    call = a_call(hook=True)
    kept = await lost(replicate, fake, call)
    assert await found(replicate, call) == {"ours": kept.id}


async def test_the_marker_proves_it_whatever_else_differs(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    call = a_call(hook=True)
    kept = await lost(replicate, fake, call)
    kept.input, kept.model, kept.created_ms = {}, "x/y", kept.created_ms + 500_000
    assert await found(replicate, call) == {"ours": kept.id}


async def test_where_no_marker_is_shown_the_same_input_is_alike(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.switches.echo_webhook = False
    call = a_call(hook=True, width=512, guidance=3.0)
    kept = await lost(replicate, fake, call)
    kept.input = {"guidance": 3, "prompt": "a pond", "width": "512", "go_fast": True}
    assert await found(replicate, call) == {"alike": [kept.id]}


async def test_another_calls_prediction_with_the_same_input_is_not_ours(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    await bought(replicate, a_call(hook=True))
    assert await found(replicate, a_call(hook=True)) == {}


async def test_another_call_of_the_same_job_is_told_apart(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    call = a_call(hook=True)
    assert call.marker is not None
    other = await bought(replicate, a_call(hook=True, job=call.marker.job))
    assert await found(replicate, call) == {"siblings": [other.ref]}


@pytest.mark.parametrize("learn", ["find", "follow", "sold"])
async def test_once_the_list_has_shown_markers_an_unmarked_one_is_anothers(
    fake: FakeReplicate, replicate: ReplicateProvider, learn: str
) -> None:
    strangers = await lost(replicate, fake, a_call())
    strangers.input = {}  # says nothing of whose it is
    marked = a_call("another", hook=True)
    marked = replace(marked, ref=(await bought(replicate, marked)).ref)
    fake.kept[marked.ref or ""].hidden_until = float("inf")
    assert await found(replicate, a_call(hook=True)) == {"doubtful": [strangers.id]}
    fake.reveal()
    if learn == "find":
        await replicate.find(a_call("another"))
    elif learn == "follow":
        await replicate.follow([marked])
    else:
        await replicate.sold(0)
    assert await found(replicate, a_call(hook=True)) == {}
    # Sent without a marker, it would show none.
    assert await found(replicate, a_call()) == {"doubtful": [strangers.id]}


async def test_markers_that_are_not_shown_any_more_prove_nothing_about_later_calls(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    await bought(replicate, a_call("before", hook=True))
    fake.switches.echo_webhook = False
    call = a_call(hook=True)
    kept = await lost(replicate, fake, call)
    assert await found(replicate, call) == {"alike": [kept.id]}
    kept.input = {}
    assert await found(replicate, call) == {"doubtful": [kept.id]}


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.input.update(width=513),
        lambda kept: kept.input.pop("width"),
        lambda kept: kept.input.update(prompt=None),
        lambda kept: setattr(kept, "model", "acme/other"),
        lambda kept: setattr(kept.switches, "data_removed", True),
    ],
    ids=["other value", "less input", "no prompt", "other model", "input removed"],
)
async def test_what_differs_beside_the_prompt_is_a_doubt(
    fake: FakeReplicate, replicate: ReplicateProvider, change: Callable[[Kept], Any]
) -> None:
    call = a_call(width=512)
    kept = await lost(replicate, fake, call)
    await fake.ended(kept.id)
    assert await found(replicate, call) == {"alike": [kept.id]}
    change(kept)
    assert await found(replicate, call) == {"doubtful": [kept.id]}


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.input.update(prompt="a lake"),
        lambda kept: setattr(kept, "created_ms", kept.created_ms - 3_700_000),
        lambda kept: setattr(kept, "created_ms", kept.created_ms + 3_800_000),
        lambda kept: setattr(kept, "webhook", "https://app.example/done"),
    ],
    ids=["other prompt", "too early", "too late", "rings elsewhere"],
)
async def test_what_says_that_it_is_another_one_is_nothing(
    fake: FakeReplicate, replicate: ReplicateProvider, change: Callable[[Kept], Any]
) -> None:
    call = a_call(width=512)
    kept = await lost(replicate, fake, call)
    change(kept)
    assert await found(replicate, call) == {}


@pytest.mark.parametrize("off_ms", [-3_600_000, -16_000, 121_000, 3_600_000])
async def test_what_was_dated_by_a_clock_that_was_wrong_for_a_while_is_a_doubt(
    fake: FakeReplicate, replicate: ReplicateProvider, off_ms: int
) -> None:
    call = a_call(width=512)
    kept = await lost(replicate, fake, call)
    kept.created_ms += off_ms
    assert await found(replicate, call) == {"doubtful": [kept.id]}


@pytest.mark.parametrize("model", [VERSION, f"acme/model:{VERSION}"])
async def test_a_version_is_found_by_its_id(
    fake: FakeReplicate, replicate: ReplicateProvider, model: str
) -> None:
    call = a_call(model=model)
    kept = await lost(replicate, fake, call)
    assert await found(replicate, call) == {"alike": [kept.id]}
    kept.version = "f" * 64
    assert await found(replicate, call) == {"doubtful": [kept.id]}


async def test_what_was_never_bought_is_not_found(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    fake.switches.refuse = 500
    call = a_call(hook=True)
    assert isinstance(await create(replicate, call), Unknown)
    assert await found(replicate, call) == {}


async def test_a_prediction_that_the_list_shows_late_is_found_then(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.switches.list_lag_s = -1
    call = a_call(hook=True)
    kept = await lost(replicate, fake, call)
    assert await found(replicate, call) == {}
    fake.reveal()
    assert await found(replicate, call) == {"ours": kept.id}


async def test_a_lost_call_is_found_and_its_outputs_are_had_for_one_purchase(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    call = a_call(hook=True)
    kept = await lost(replicate, fake, call)
    await fake.ended(kept.id)
    prediction = (await replicate.find(call)).ours
    assert prediction is not None
    async with replicate.open(prediction.outputs[0]) as download:
        assert b"".join([chunk async for chunk in download.chunks]).startswith(b"\x89PNG")
    assert fake.stats()["by_marker"] == {call.webhook_url: 1}


# --- the whole list, or it is said why not


async def test_the_search_goes_back_to_the_time_of_the_call_by_the_providers_clock(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.page_size = 2
    call = a_call(hook=True)
    for i in range(4):
        (await lost(replicate, fake, a_call(f"old {i}"))).created_ms -= 7_200_000
    kept = await lost(replicate, fake, call)
    for i in range(5):
        await bought(replicate, a_call(f"new {i}"))
    assert await found(replicate, call) == {"ours": kept.id}
    assert fake.asked[LIST] == 4  # 3 pages of now, and one that reaches into the past


@pytest.mark.parametrize("hook", [True, False])
async def test_more_than_can_be_read_of_the_hour_before_the_call_matters_only_without_markers(
    fake: FakeReplicate, replicate: ReplicateProvider, monkeypatch: pytest.MonkeyPatch, hook: bool
) -> None:
    monkeypatch.setattr(replicate_module, "FIND_PAGES", 3)
    fake.page_size = 2
    for i in range(6):
        (await lost(replicate, fake, a_call(f"old {i}"))).created_ms -= 1_800_000
    await bought(replicate, a_call("marked", hook=True))
    fake.switches.refuse = 500
    call = a_call(hook=hook)
    assert isinstance(await create(replicate, call), Unknown)
    assert ("not whole" in await found(replicate, call)) is not hook


async def test_where_a_clock_was_set_since_the_call_the_search_goes_to_the_end(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.page_size = 2
    call = a_call(hook=True)
    for i in range(4):
        (await lost(replicate, fake, a_call(f"old {i}"))).created_ms -= 7_200_000
    kept = await lost(replicate, fake, call)
    assert await found(replicate, replace(call, created_at_ms=call.created_at_ms - 20_000)) == {
        "ours": kept.id
    }
    assert fake.asked[LIST] == 3


async def test_without_the_providers_clock_the_search_goes_to_the_end(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.page_size = 2
    call = replace(a_call(hook=True), asked_at_ms=None)
    kept = await lost(replicate, fake, call)
    kept.created_ms -= 3_600_000
    for i in range(4):
        (await lost(replicate, fake, a_call(f"old {i}"))).created_ms -= 7_200_000
    assert await found(replicate, call) == {"ours": kept.id}
    assert fake.asked[LIST] == 3


class Pages:
    """A list that goes on as told."""

    def __init__(self, following: Any, results: Any = ()) -> None:
        self.following = following
        self.results = results
        self.cursors: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        assert request.path == "/v1/predictions"
        self.cursors.append(request.query.get("cursor", ""))
        following = self.following if len(self.cursors) == 1 else None
        return web.json_response({"results": list(self.results), "next": following})


@pytest.mark.parametrize("prefix", ["", "{url}", "https://elsewhere.invalid", "//elsewhere.invalid"])
async def test_the_next_page_is_asked_for_at_our_own_address_only(prefix: str) -> None:
    pages = Pages(None)
    async with app_server(pages.handle) as url, provider_at(url) as provider:
        pages.following = f"{prefix.format(url=url)}/v1/predictions?cursor=abc%3D"
        assert await found(provider, a_call()) == {}
    assert pages.cursors == ["", "abc="]


async def test_a_next_page_at_another_host_gets_no_connection() -> None:
    async with raw_server(hang_up) as evil:
        pages = Pages(f"{evil.url}/v1/predictions?cursor=abc")
        async with app_server(pages.handle) as url, provider_at(url) as provider:
            await provider.find(a_call())
        assert evil.connections == 0


@pytest.mark.parametrize("following", ["/v1/predictions", "nowhere", "http://[::1", 7, {}, True])
async def test_a_list_that_goes_on_nowhere_is_not_whole(following: Any) -> None:
    async with app_server(Pages(following).handle) as url, provider_at(url) as provider:
        assert "goes on nowhere" in (await found(provider, a_call()))["not whole"]


@pytest.mark.parametrize(
    ("cursor", "why", "pages"), [("again", "leads back", 2), ("{n}", "longer", FIND_PAGES)]
)
async def test_a_list_without_end_is_not_whole_and_no_absence(cursor: str, why: str, pages: int) -> None:
    asked = 0

    async def endless(request: web.Request) -> web.Response:
        nonlocal asked
        asked += request.path.endswith("/predictions")
        following = f"/v1/predictions?cursor={cursor.format(n=asked)}"
        return web.json_response({"results": [], "next": following})

    async with app_server(endless) as url, provider_at(url) as provider:
        assert why in (await found(provider, a_call()))["not whole"]
    assert asked == pages


@pytest.mark.parametrize("entry", [None, 7, [], {}, {"id": "../x"}, {"status": "succeeded"}])
async def test_an_entry_that_can_not_be_read_is_a_doubt_and_hides_no_other(entry: Any) -> None:
    call = a_call(hook=True)
    ours = {"id": "ours", "webhook": call.webhook_url}
    async with app_server(Pages(None, [entry, ours]).handle) as url, provider_at(url) as provider:
        assert await found(provider, call) == {"ours": "ours", "doubtful": [""]}


async def test_a_number_that_is_none_and_deep_nesting_hide_no_entry() -> None:
    call = a_call(hook=True)
    text = '{"results": [{"id": "a", "output": [NaN, %s]}, {"id": "ours", "webhook": "%s"}], "next": null}'
    body = text % ("[" * 150 + "]" * 150, call.webhook_url)

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    async with app_server(answer) as url, provider_at(url) as provider:
        assert (await found(provider, call))["ours"] == "ours"


async def test_an_answer_that_is_no_list_is_unreadable() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="<html>maintenance</html>")

    async with app_server(answer) as url, provider_at(url) as provider:
        with pytest.raises(Unreadable) as raised:
            await provider.find(a_call())
    assert raised.value.raw == "<html>maintenance</html>"


async def test_entries_without_a_time_do_not_end_the_search() -> None:
    pages = Pages("/v1/predictions?cursor=2", [{"id": "a"}, {"id": "b", "created_at": "once"}])
    async with app_server(pages.handle) as url, provider_at(url) as provider:
        await provider.find(a_call())
    assert len(pages.cursors) == 2


async def test_a_prediction_that_hides_its_model_is_alike_by_its_input() -> None:
    call = a_call()
    entry = {"id": "a", "created_at": iso(call.created_at_ms), "input": call.input}
    async with app_server(Pages(None, [entry]).handle) as url, provider_at(url) as provider:
        assert await found(provider, call) == {"alike": ["a"]}


async def test_a_rate_limited_search_tells_how_long_to_wait() -> None:
    async def limited(_request: web.Request) -> web.Response:
        return web.json_response({"detail": "resets in ~9s"}, status=429)

    async with app_server(limited) as url, provider_at(url) as provider:
        with pytest.raises(ProviderError) as raised:
            await provider.find(a_call())
    assert raised.value.retry_after_s == 9
