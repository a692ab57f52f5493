"""The error of a worker that is the user's to mend."""
from __future__ import annotations


class RequestError(Exception):
  """A request cannot be served; the message is meant for the user, without a traceback."""
