"""Storage in a bucket of Google Cloud Storage."""

from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings

from mediagen.settings import ENV_CONFIG
from mediagen.storages.bucket import BucketStorage, client_options


class GcsSettings(BaseSettings):
    """Where the bucket is and who we are."""

    model_config = ENV_CONFIG

    gcs_bucket: str = Field("mediagen", min_length=3, max_length=63, description="Bucket; must be there.")
    gcs_service_account: Path | None = Field(
        None, description="File with the service account's key; empty takes the machine's own identity."
    )


class GcsStorage(BucketStorage):
    """Files in a bucket of Google Cloud Storage."""

    name = "gcs"
    where = "GCS_BUCKET"
    keys = "credentials (GCS_SERVICE_ACCOUNT)"

    def __init__(self, settings: GcsSettings, temp_dir: Path) -> None:
        super().__init__(settings.gcs_bucket, temp_dir)
        self._settings = settings

    @property
    def has_keys(self) -> bool:
        return self._settings.gcs_service_account is not None

    def describe(self) -> str:
        return f"bucket {self.bucket} at Google Cloud"

    def open(self) -> Any:
        from obstore.store import GCSStore

        account = self._settings.gcs_service_account
        given: dict[str, Any] = {"service_account": str(account)} if account else {}
        return GCSStore(self.bucket, **client_options(), **given)
