"""A failure the user can mend: one clear line on stderr, exit code 2."""
from __future__ import annotations


class Failure(Exception):
  """Something the run cannot go on without; the message says what, where, and the next move."""
