"""Loaded by every Python process of a recorded command, before its own code."""
import importlib.machinery
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _start() -> None:
  import linen2nnx_recorder  # type: ignore[import-not-found]

  linen2nnx_recorder.start(os.environ['LINEN2NNX_RECORD'], os.environ['LINEN2NNX_RECORD_ROOT'])


def _go_on() -> None:
  """Runs the sitecustomize that would have been loaded without this one."""
  sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or '.') != _HERE]
  spec = importlib.machinery.PathFinder.find_spec('sitecustomize', sys.path)
  if spec is not None and spec.loader is not None:
    spec.loader.exec_module(sys.modules[__name__])


if 'LINEN2NNX_RECORD' in os.environ:
  _start()
_go_on()
