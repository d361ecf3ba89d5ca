"""What the Cog provider is before a job comes: its settings, its model, whom it trusts."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from mediagen.clock import SystemClock
from mediagen.errors import SettingsError
from mediagen.providers.base import Dedupe, ProviderContext
from mediagen.providers.cog import CogProvider, CogSettings
from mediagen.safefetch import Fetcher
from mediagen.settings import load, load_settings
from tests.fakes.cog_faults import CogFaults


@pytest.fixture
async def faults() -> AsyncIterator[CogFaults]:
    async with CogFaults() as server:
        yield server


@pytest.fixture
async def context() -> AsyncIterator[ProviderContext]:
    fetcher = Fetcher(max_bytes=4096)
    yield ProviderContext(settings=load_settings(), clock=SystemClock(), fetcher=fetcher)
    await fetcher.close()


@pytest.fixture
async def cog(faults: CogFaults, context: ProviderContext) -> AsyncIterator[CogProvider]:
    provider = CogProvider(context, load(CogSettings, cog_url=faults.url))
    yield provider
    await provider.close()


# --- the model and its schema


async def test_the_model_is_on_offer_although_cog_is_silent(cog: CogProvider) -> None:
    (model,) = await cog.models()
    assert (model.id, model.provider, model.input_schema) == ("cog/predictor", "cog", {})
    assert cog.schema_of("cog/predictor") is None


async def test_references_in_the_schema_are_replaced(faults: CogFaults, cog: CogProvider) -> None:
    faults.schema = schema(style={"allOf": [{"$ref": "#/components/schemas/style"}], "default": "discs"})
    (model,) = await cog.models()
    assert model.input_schema["properties"]["style"] == {"allOf": [{"enum": ["discs"]}], "default": "discs"}
    assert cog.schema_of("cog/predictor") == model.input_schema


@pytest.mark.parametrize("reference", ["#/components/schemas/Input", "#/components/schemas/none", "else"])
async def test_a_reference_that_leads_nowhere_accepts_all(
    faults: CogFaults, cog: CogProvider, reference: str
) -> None:
    faults.schema = schema(odd={"items": {"$ref": reference}})
    (model,) = await cog.models()
    odd = model.input_schema["properties"]["odd"]["items"]
    assert odd.get("properties", {"odd": {"items": {}}}) == {"odd": {"items": {}}}


@pytest.mark.parametrize("document", [[], {"components": []}, {"components": {"schemas": {"Input": 1}}}])
async def test_an_odd_schema_is_none(faults: CogFaults, cog: CogProvider, document: Any) -> None:
    faults.schema = document
    await cog.models()
    assert cog.schema_of("cog/predictor") is None


@pytest.mark.parametrize("has_schema", [True, False])
async def test_the_schema_is_looked_up_once_in_a_while(
    faults: CogFaults, cog: CogProvider, has_schema: bool
) -> None:
    faults.schema = schema() if has_schema else None
    for _ in range(3):
        await cog.models()
    assert faults.schema_looks == 1


def schema(**properties: Any) -> dict[str, Any]:
    inputs = {"type": "object", "properties": properties}
    return {"components": {"schemas": {"Input": inputs, "style": {"enum": ["discs"]}}}}


# --- settings


def test_without_an_address_there_is_no_provider(
    context: ProviderContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COG_URL", raising=False)
    assert CogProvider.from_env(context) is None


async def test_the_environment_configures_it(
    context: ProviderContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COG_URL", "http://gpu.example:5000/")
    monkeypatch.setenv("COG_MODEL", "me/painter")
    monkeypatch.setenv("COG_CONCURRENCY", "4")
    cog = CogProvider.from_env(context)
    assert cog is not None
    assert cog.default_model == "me/painter"
    assert cog.capabilities.max_in_flight == 4
    await cog.close()


@pytest.mark.parametrize(
    "url",
    [
        "gpu:5000",
        "ftp://gpu",
        "http://",
        "http://gpu:0",
        "http://gpu:x",
        "http://gpu?a=1",
        "http://g#a",
        "http://[gpu",
        "http://a b",
    ],
)
def test_a_bad_address_is_refused_by_name(url: str) -> None:
    with pytest.raises(SettingsError, match="COG_URL"):
        load(CogSettings, cog_url=url)


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError, match="COG_URL") as caught:
        load(CogSettings, cog_url="http://me:hunter2@gpu:5000")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "accepted"),
    [
        ("me/painter", True),
        ("cog/any", True),
        ("cog/", False),
        ("cog/a/b", False),
        ("me/other", False),
        ("", False),
    ],
)
async def test_it_accepts_its_own_model(context: ProviderContext, model: str, accepted: bool) -> None:
    cog = CogProvider(context, load(CogSettings, cog_url="http://gpu", cog_model="me/painter"))
    assert cog.accepts(model) is accepted


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("http://gpu/files/1.png", True),
        ("http://gpu:80/1.png", True),
        ("http://gpu:81/1.png", False),
        ("https://gpu/1.png", False),
        ("http://gpu.evil/1.png", False),
        ("1.png", False),
        ("http://[", False),
    ],
)
async def test_only_its_own_origin_is_trusted(context: ProviderContext, url: str, trusted: bool) -> None:
    assert CogProvider(context, load(CogSettings, cog_url="http://gpu/base")).trusts(url) is trusted


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("http://files.lan/1.png", True),
        ("http://10.0.0.7:9000/1.png", True),
        ("http://10.0.0.7/1.png", False),
        ("http://gpu:5001/1.png", False),
    ],
)
async def test_hosts_of_ones_own_that_are_named_are_trusted(
    context: ProviderContext, url: str, trusted: bool
) -> None:
    hosts = ("files.lan", "10.0.0.7:9000")
    settings = load(CogSettings, cog_url="http://gpu:5000", cog_output_hosts=hosts)
    assert CogProvider(context, settings).trusts(url) is trusted


def test_a_bad_host_is_refused_by_the_settings_name() -> None:
    with pytest.raises(SettingsError, match="COG_OUTPUT_HOSTS"):
        load(CogSettings, cog_url="http://gpu", cog_output_hosts=("http://files.lan",))


async def test_a_second_run_costs_no_money_and_its_id_is_its_key(cog: CogProvider) -> None:
    assert cog.capabilities.dedupe is Dedupe.KEY
    assert not cog.capabilities.billed
