"""One worker process: starting it, asking it, and telling clearly how it died."""
from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from migrator.equivalence.protocol import Message, ProtocolError, receive, send

PACKAGES = Path(__file__).resolve().parents[2]
TAIL_LINES = 25


class WorkerError(Exception):
  """A worker could not answer.  dead: it crashed, hung or never started.  trace: the end of what it wrote."""

  def __init__(self, message: str, trace: str = '', dead: bool = False):
    super().__init__(message)
    self.trace = trace
    self.dead = dead


class WorkerProcess:
  """A process that serves one side; a context manager.

  side: 'linen' or 'nnx'.  root: folder that module names are relative to.
  """

  def __init__(self, side: str, root: Path):
    self.side = side
    self._log = tempfile.TemporaryFile()
    self._answers: queue.Queue[Message | Exception | None] = queue.Queue()
    command = [sys.executable, '-P', '-B', '-m', 'migrator.equivalence.worker', side, str(root)]
    # A session of its own: Ctrl-C reaches the runner only, which then ends its workers in order.
    self._process = subprocess.Popen(
      command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, cwd=root,
      env=_environment(), start_new_session=True)
    threading.Thread(target=self._read, daemon=True).start()

  def __enter__(self) -> WorkerProcess:
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def post(self, message: Message) -> None:
    """Sends a message without waiting; `wait` fetches the answer.

    Raises:
      WorkerError: the process has ended.
    """
    assert self._process.stdin is not None
    try:
      send(self._process.stdin, message)
    except OSError as error:
      raise self._died() from error

  def wait(self, timeout: float) -> Message:
    """Returns the next answer.

    Raises:
      WorkerError: the process has ended, did not answer in `timeout` seconds (it is then ended),
        or answers that the request failed.
    """
    try:
      answer = self._answers.get(timeout=timeout)
    except queue.Empty:
      self.close(wait=0)
      message = f'the {self.side} process gave no answer within {timeout:g} seconds'
      raise WorkerError(message, self.tail(), dead=True) from None
    if isinstance(answer, Exception):
      raise WorkerError(f'the {self.side} process: {answer}', self.tail(), dead=True)
    if answer is None:
      raise self._died()
    if 'error' in answer.body:
      raise WorkerError(answer.body['error'], answer.body.get('trace', ''))
    return answer

  def outcome(self, timeout: float) -> Message | WorkerError:
    """Returns the next answer, or what `wait` would raise."""
    try:
      return self.wait(timeout)
    except WorkerError as error:
      return error

  def ask(self, message: Message, timeout: float) -> Message:
    """Sends a message and returns its answer; raises as `post` and `wait` do."""
    self.post(message)
    return self.wait(timeout)

  @property
  def alive(self) -> bool:
    return self._process.poll() is None

  def tail(self) -> str:
    """Returns the last lines the process wrote, user prints included."""
    # Position-independent read: the process shares the file offset.
    size = os.fstat(self._log.fileno()).st_size
    start = max(0, size - 16384)
    text = os.pread(self._log.fileno(), size - start, start).decode(errors='replace')
    return '\n'.join(text.splitlines()[-TAIL_LINES:])

  def close(self, wait: float = 5) -> None:
    """Ends the process: politely by closing its input, then by force."""
    if self._process.stdin is not None:
      try:
        self._process.stdin.close()
      except OSError:
        pass
    try:
      self._process.wait(wait)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()

  def _read(self) -> None:
    assert self._process.stdout is not None
    try:
      while (message := receive(self._process.stdout)) is not None:
        self._answers.put(message)
      self._answers.put(None)
    except (ProtocolError, OSError, ValueError) as error:
      self._answers.put(error)

  def _died(self) -> WorkerError:
    try:
      code = self._process.wait(5)
    except subprocess.TimeoutExpired:
      self._process.kill()
      code = self._process.wait()
    how = f'was ended by signal {-code}' if code < 0 else f'ended with exit code {code}'
    return WorkerError(f'the {self.side} process {how}', self.tail(), dead=True)


def _environment() -> dict[str, str]:
  paths = [str(PACKAGES), os.environ.get('PYTHONPATH', '')]
  environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, paths))}
  # Both sides on the processor: other devices do not promise the same bits twice.
  environment.setdefault('JAX_PLATFORMS', 'cpu')
  return environment
