"""`python -m mediagen` is `mediagen`."""

from mediagen.cli import app

app(prog_name="mediagen")
