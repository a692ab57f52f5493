"""A real Chromium, driven over its debugging pipe: no driver, no library, no network."""
from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
         '--disable-background-networking', '--disable-component-update', '--remote-debugging-pipe')


class Chromium:
  """One page; a context manager."""

  def __init__(self, profile: Path):
    assert PROGRAM is not None
    to_browser, self._write = os.pipe()
    self._read, from_browser = os.pipe()

    def take_pipes() -> None:
      # Moved out of the way first: either may already be number 3 or 4.
      one, other = os.dup(to_browser), os.dup(from_browser)
      os.dup2(one, 3)
      os.dup2(other, 4)

    self._process = subprocess.Popen(
      [PROGRAM, *FLAGS, f'--user-data-dir={profile}', 'about:blank'], preexec_fn=take_pipes, close_fds=False,
      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(to_browser)
    os.close(from_browser)
    self._numbers, self._rest, self.events = itertools.count(1), b'', []
    self._session: str | None = None

  def __enter__(self) -> Chromium:
    target = self.ask('Target.createTarget', url='about:blank')['targetId']
    self._session = self.ask('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
    for domain in ('Page', 'Runtime', 'Network', 'Log'):
      self.ask(f'{domain}.enable')
    return self

  def __exit__(self, *error: object) -> None:
    self._session = None
    try:
      self.ask('Browser.close')
      self._process.wait(10)
    except (OSError, subprocess.TimeoutExpired):
      self._process.kill()
      self._process.wait()
    finally:
      os.close(self._write)
      os.close(self._read)

  def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
    """Sends one command and returns its result; events that come before it are kept."""
    number = next(self._numbers)
    message = {'id': number, 'method': method, 'params': parameters}
    if self._session:
      message['sessionId'] = self._session
    os.write(self._write, json.dumps(message).encode() + b'\0')
    while True:
      answer = self._next()
      if answer.get('id') == number:
        assert 'error' not in answer, (method, answer)
        return answer['result']
      self.events.append(answer)

  def open(self, file: Path) -> None:
    """Loads a file and waits until it is there."""
    self.ask('Page.navigate', url=file.as_uri())
    while not any(event.get('method') == 'Page.loadEventFired' for event in self.events):
      self.events.append(self._next())

  def value(self, expression: str) -> Any:
    """Returns the value of a JavaScript expression in the page."""
    result = self.ask('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
    assert 'exceptionDetails' not in result, result
    return result['result'].get('value')

  def press(self, *keys: str) -> None:
    """Presses keys as a person would: 'a', '/', 'Tab', 'Enter', ' '."""
    codes = {'Tab': 9, 'Enter': 13, ' ': 32, 'Escape': 27, 'Backspace': 8}
    for key in keys:
      text = {'Enter': '\r'}.get(key, key if len(key) == 1 else '')
      code = codes.get(key, ord(key.upper()) if key.isalnum() and len(key) == 1 else 0)
      for kind in ('keyDown', 'keyUp'):
        self.ask('Input.dispatchKeyEvent', type=kind, key=key, text=text if kind == 'keyDown' else '',
                 windowsVirtualKeyCode=code)

  def _next(self) -> dict[str, Any]:
    while b'\0' not in self._rest:
      data = os.read(self._read, 1 << 16)
      assert data, 'Chromium ended'
      self._rest += data
    text, _, self._rest = self._rest.partition(b'\0')
    message: dict[str, Any] = json.loads(text)
    return message
