"""Alembic asks for this file; mediagen configures its migrations in `mediagen.db.migrate`."""
