"""Settings: every name is read, every bad value is named with what it may be, and no secret is shown."""

import base64
from pathlib import Path

import pytest

from mediagen.errors import SettingsError
from mediagen.settings import Settings, load_settings

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
HOOK = "s3cret" + "0123456789abcdef" * 2

READ = {
    "PROJECT_NAME": ("pictures", "pictures"),
    "DEBUG": ("true", True),
    "START_WAIT_S": ("60", 60.0),
    "DATA_DIR": ("/srv/media", Path("/srv/media")),
    "HOST": ("0.0.0.0", "0.0.0.0"),
    "PORT": ("9000", 9000),
    "API_V1_PREFIX": ("/media/v1", "/media/v1"),
    "PUBLIC_URL": ("https://media.example.com/gw", "https://media.example.com/gw"),
    "ALLOWED_HOSTS": ("a.example, b.example ,", ("a.example", "b.example")),
    "ALLOW_UNAUTHENTICATED": ("1", True),
    "MAX_BODY_BYTES": ("2048", 2048),
    "DATABASE_URL": ("sqlite:////srv/jobs.db", "sqlite:////srv/jobs.db"),
    "REDIS_URL": ("redis://cache", "redis://cache"),
    "CELERY_BROKER_URL": ("amqp://host", "amqp://host"),
    "CELERY_QUEUE": ("mine", "mine"),
    "STORAGE_TYPE": ("s3", "s3"),
    "STORAGE_PATH": ("/srv/files", Path("/srv/files")),
    "MAX_OUTPUT_BYTES": ("4096", 4096),
    "MIN_FREE_BYTES": ("0", 0),
    "DEFAULT_MODEL": ("acme/painter", "acme/painter"),
    "MAX_RETRIES": ("7", 7),
    "MAX_RETRY_ATTEMPTS": ("4", 4),
    "RETRY_BACKOFF_BASE": ("0.5", 0.5),
    "JOB_TIMEOUT": ("12.5", 12.5),
    "JOB_EXPIRY": ("3600", 3600.0),
    "EVENT_RETENTION": ("86400", 86_400.0),
    "MODEL_TIMEOUTS": ("a/b=900, c/d:1=60.5", ("a/b=900", "c/d:1=60.5")),
    "RECONCILE_GRACE": ("1", 1.0),
    "DOUBT_S": ("60", 60.0),
    "GONE_AFTER": ("60", 60.0),
    "CANCEL_WITHIN": ("2", 2.0),
    "MARK_CALLS": ("no", False),
    "PROVIDER_CREATES_PER_S": ("0.2", 0.2),
    "WEBHOOK_SECRET": (SECRET, SECRET),
    "HOOK_SECRET": (HOOK, HOOK),
    "WEBHOOK_ALLOW_PRIVATE": ("yes", True),
    "WORKER_CONCURRENCY": ("8", 8),
    "WORKER_POLL_INTERVAL": ("0.25", 0.25),
    "LEASE_S": ("5", 5.0),
}

BAD = [
    ("DEBUG", "maybe", "boolean"),
    ("PORT", "http", "integer"),
    ("PORT", "-1", "greater than or equal to 0"),
    ("PORT", "65536", "less than or equal to 65535"),
    ("API_V1_PREFIX", "api", r"/[A-Za-z0-9._-]+"),
    ("PUBLIC_URL", "media.example.com", "https://host"),
    ("PUBLIC_URL", "ftp://host", "https://host"),
    ("PUBLIC_URL", "https://", "https://host"),
    ("PUBLIC_URL", "https://host?x=1", "https://host"),
    ("PUBLIC_URL", "http://[bad", "https://host"),
    ("PUBLIC_URL", "http://host:99999", "https://host"),
    ("PUBLIC_URL", "https://ann:s3cret@host", "without a user name"),
    ("MAX_BODY_BYTES", "5", "1024"),
    ("STORAGE_TYPE", "ftp", "'local', 's3', 'gcs' or 'azure'"),
    ("MAX_OUTPUT_BYTES", "0", "1024"),
    ("MIN_FREE_BYTES", "-1", "greater than or equal to 0"),
    ("MAX_RETRIES", "21", "less than or equal to 20"),
    ("MAX_RETRY_ATTEMPTS", "-1", "greater than or equal to 0"),
    ("RETRY_BACKOFF_BASE", "nan", "less than or equal to 600"),
    ("JOB_TIMEOUT", "0", "greater than 0"),
    ("JOB_EXPIRY", "inf", "less than or equal to 31536000"),
    ("MODEL_TIMEOUTS", "a/b", "owner/name=seconds"),
    ("MODEL_TIMEOUTS", "a/b=0", "owner/name=seconds"),
    ("DOUBT_S", "-1", "greater than or equal to 0"),
    ("GONE_AFTER", "inf", "less than or equal to 86400"),
    ("CANCEL_WITHIN", "3601", "less than or equal to 3600"),
    ("MARK_CALLS", "2", "boolean"),
    ("RECONCILE_GRACE", "inf", "less than or equal to 86400"),
    ("PROVIDER_CREATES_PER_S", "0", "greater than or equal to 0.001"),
    ("PROVIDER_CREATES_PER_S", "inf", "less than or equal to 10000"),
    ("WEBHOOK_SECRET", "hunter2", "whsec_ and 24 to 64 random bytes in base64"),
    ("WEBHOOK_SECRET", "whsec_!!!!", "whsec_ and 24 to 64 random bytes in base64"),
    ("WEBHOOK_SECRET", "whsec_c2hvcnQ=", "whsec_ and 24 to 64 random bytes in base64"),
    ("START_WAIT_S", "-1", "greater than or equal to 0"),
    ("HOOK_SECRET", HOOK[:31], "32 random characters or more"),
    ("WEBHOOK_ALLOW_PRIVATE", "2", "boolean"),
    ("WORKER_CONCURRENCY", "0", "greater than or equal to 1"),
    ("WORKER_POLL_INTERVAL", "61", "less than or equal to 60"),
    ("LEASE_S", "0.5", "greater than or equal to 1"),
]


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in READ:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def refused(**overrides: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(**overrides)
    return str(caught.value)


# ---------------------------------------------------------------------------------------------- names


def test_this_test_knows_every_setting() -> None:
    assert {name.lower() for name in READ} == set(Settings.model_fields)


@pytest.mark.parametrize("name", READ)
def test_every_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text, value = READ[name]
    assert getattr(load_settings(), name.lower()) != value
    monkeypatch.setenv(name, text)
    assert getattr(load_settings(), name.lower()) == value


def test_names_are_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("job_Timeout", "12")
    assert load_settings().job_timeout == 12


def test_a_file_of_settings_is_read_and_the_environment_overrides_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nHOST=10.0.0.1\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("PORT", "9002")
    settings = load_settings()
    assert (settings.host, settings.port) == ("10.0.0.1", 9002)


@pytest.mark.parametrize(
    "line", ['REPLICATE_API_TOKEN="r8_x', "REPLICATE API TOKEN=r8_x", "MOCK_LATENCY: 3", "=x"]
)
def test_a_line_that_can_not_be_read_is_named_and_its_content_is_not(line: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"PORT=9001\n# a comment\n\nexport HOST=10.0.0.1\n{line}\n")
    with pytest.raises(SettingsError, match="line 5") as refused:
        load_settings()
    assert "r8_x" not in str(refused.value)


def test_an_empty_value_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    assert load_settings().port == 8000


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_settings_can_not_be_changed_later() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1


# ---------------------------------------------------------------------------------------------- other names


def test_max_retry_attempts_is_another_name_of_max_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_RETRY_ATTEMPTS", "9")
    assert load_settings().max_retries == 9


def test_both_names_may_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_RETRY_ATTEMPTS", "9")
    monkeypatch.setenv("MAX_RETRIES", "9")
    assert load_settings().max_retries == 9


def test_two_names_that_disagree_are_refused_with_both_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_RETRY_ATTEMPTS", "9")
    monkeypatch.setenv("MAX_RETRIES", "3")
    assert "MAX_RETRIES=3 and MAX_RETRY_ATTEMPTS=9 differ" in refused()


@pytest.mark.parametrize("name", ["minio", "MinIO"])
def test_minio_is_another_name_of_s3(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("STORAGE_TYPE", name)
    assert load_settings().storage_type == "s3"


# ---------------------------------------------------------------------------------------------- bad values


@pytest.mark.parametrize(("name", "value", "allowed"), BAD)
def test_a_bad_value_is_refused_with_its_name_and_what_it_may_be(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)
    message = refused()
    assert message.startswith(f"{name}: ")
    assert allowed in message


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("LEASE_S", "0")
    assert [part.partition(":")[0] for part in refused().split("; ")] == ["PORT", "LEASE_S"]


@pytest.mark.parametrize("name", ["WEBHOOK_SECRET", "HOOK_SECRET", "PUBLIC_URL", "PORT"])
def test_a_refused_value_that_may_hold_a_secret_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "https://ann:s3cret@host")
    assert "s3cret" not in refused()


def test_settings_show_no_secret_when_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("HOOK_SECRET", HOOK)
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:s3cret@db/jobs")
    monkeypatch.setenv("REDIS_URL", "redis://:s3cret@cache")
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://ann:s3cret@queue")
    shown = f"{load_settings()!r} {load_settings()!s}"
    assert SECRET not in shown
    assert "s3cret" not in shown


# ---------------------------------------------------------------------------------------------- what follows


def test_files_lie_in_the_data_folder_unless_they_are_set_on_their_own() -> None:
    settings = load_settings(data_dir=Path("/srv"))
    assert settings.artifacts_dir == Path("/srv/artifacts")
    assert load_settings(storage_path=Path("/files")).artifacts_dir == Path("/files")


def test_a_server_that_listens_everywhere_is_reached_on_loopback() -> None:
    assert load_settings(host="0.0.0.0", port=1).own_url == "http://127.0.0.1:1"
    assert load_settings(host="::", port=1).own_url == "http://[::1]:1"


def test_hosts_are_lower_case_and_include_the_public_one() -> None:
    settings = load_settings(allowed_hosts=("A.example",), public_url="https://Media.Example.com:8443/x")
    assert settings.hosts == {"a.example", "media.example.com"}
    assert load_settings().hosts == {"localhost", "127.0.0.1", "[::1]"}
