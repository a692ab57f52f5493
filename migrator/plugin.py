"""The pytest plugin; imported by every pytest run of every user, so nothing heavy is imported here."""
from __future__ import annotations
