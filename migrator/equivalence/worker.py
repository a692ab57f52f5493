"""The worker process: `python -m migrator.equivalence.worker linen|nnx ROOT`; it answers messages."""
from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from migrator.equivalence.errors import RequestError
from migrator.equivalence.protocol import Message, receive, send

TRACE_LINES = 12
LONGEST = 600


def main() -> None:
  side, root = sys.argv[1], Path(sys.argv[2])
  requests, answers = _private_streams()
  sys.path.insert(0, str(root))
  serve = _handler(side, root)
  while (message := receive(requests)) is not None:
    send(answers, _answer(serve, message, root))


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
  """Keeps the two pipes for messages: what user code prints goes to stderr, what it reads is empty."""
  requests, answers = os.fdopen(os.dup(0), 'rb'), os.fdopen(os.dup(1), 'wb')
  nothing = os.open(os.devnull, os.O_RDONLY)
  os.dup2(nothing, 0)
  os.close(nothing)
  os.dup2(2, 1)
  return requests, answers


def _handler(side: str, root: Path) -> Callable[[Message], Message]:
  model_side: Any
  if side == 'linen':
    from migrator.equivalence.linen_side import LinenSide
    model_side = LinenSide(root)
  else:
    from migrator.equivalence.nnx_side import NnxSide
    model_side = NnxSide(root)
  actions = {'versions': _versions, 'forget': lambda message: _forget(root), 'prepare': model_side.prepare,
             'forward': model_side.forward, 'gradient': model_side.gradient, 'describe': model_side.describe, 'trace': model_side.trace,
             'fingerprint': model_side.fingerprint, 'steps': model_side.steps}
  return lambda message: actions[message.body['do']](message)


def _versions(message: Message) -> Message:
  import platform

  import flax
  import jax
  return Message({'python': platform.python_version(), 'flax': flax.__version__, 'jax': jax.__version__})


def _forget(root: Path) -> Message:
  """Drops the modules under the root, so that they are imported from their source again."""
  import importlib

  own = [name for name, module in sys.modules.items() if name != '__main__'
         and Path(getattr(module, '__file__', None) or '/').resolve().is_relative_to(root.resolve())]
  for name in own:
    del sys.modules[name]
  importlib.invalidate_caches()
  return Message({'forgotten': len(own)})


def _answer(serve: Callable[[Message], Message], message: Message, root: Path) -> Message:
  try:
    return serve(message)
  except RequestError as error:
    return Message({'error': str(error)})
  except KeyboardInterrupt:
    raise
  # User code runs below: a SystemExit or an assertion in it must not end the worker.
  except BaseException as error:
    traceback.print_exc()
    text = ' '.join(str(error).split())[:LONGEST]
    return Message({'error': f'{type(error).__name__}: {text}', 'trace': _user_frames(error, root)})


def _user_frames(error: BaseException, root: Path) -> str:
  """Returns the calls inside the user's source, innermost last; the whole traceback is in the log."""
  frames = [(Path(frame.filename).resolve(), frame) for frame in traceback.extract_tb(error.__traceback__)]
  own = [f'  {file.relative_to(root.resolve()).as_posix()}:{frame.lineno} in {frame.name}: {frame.line}'
         for file, frame in frames if file.is_relative_to(root.resolve())]
  return '\n'.join(own[-TRACE_LINES:])


if __name__ == '__main__':
  main()
