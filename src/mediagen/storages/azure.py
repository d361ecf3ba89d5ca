"""Storage in a container of Azure Blob Storage."""

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from mediagen.settings import ENV_CONFIG, Address
from mediagen.storages.bucket import BucketStorage, client_options


class AzureSettings(BaseSettings):
    """Where the container is and who we are."""

    model_config = ENV_CONFIG

    azure_account: str = Field("", description="Storage account.")
    azure_key: SecretStr = Field(
        SecretStr(""), description="Its key; empty takes the machine's own identity."
    )
    azure_container: str = Field(
        "mediagen", min_length=3, max_length=63, description="Container; must be there."
    )
    azure_endpoint: Address = Field("", description="Address of the service; empty is Azure.")


class AzureStorage(BucketStorage):
    """Files in a container of Azure Blob Storage."""

    name = "azure"
    where = "AZURE_CONTAINER"
    keys = "AZURE_ACCOUNT and AZURE_KEY"

    def __init__(self, settings: AzureSettings, temp_dir: Path) -> None:
        super().__init__(settings.azure_container, temp_dir)
        self._settings = settings

    @property
    def setting(self) -> str:
        own = self._settings
        if own.azure_endpoint:
            return f"AZURE_ENDPOINT={own.azure_endpoint!r}"
        return f"AZURE_ACCOUNT={own.azure_account!r}"

    @property
    def has_keys(self) -> bool:
        return bool(self._settings.azure_key.get_secret_value())

    def describe(self) -> str:
        own = self._settings
        return f"container {self.bucket} of {own.azure_account} at {own.azure_endpoint or 'Azure'}"

    def open(self) -> Any:
        from obstore.store import AzureStore

        own = self._settings
        given: dict[str, Any] = {"account_name": own.azure_account} if own.azure_account else {}
        if key := own.azure_key.get_secret_value():
            given["account_key"] = key
        if own.azure_endpoint:
            given["endpoint"] = own.azure_endpoint.rstrip("/")
        options = client_options(plain_http=own.azure_endpoint.startswith("http:"))
        return AzureStore(self.bucket, **options, **given)
