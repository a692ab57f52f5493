"""The case file: TOML, one table per case, in a stable order."""
from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from migrator.failure import Failure

HEADER = '# Cases for `linen2nnx check`, written by `linen2nnx record`.'
_BARE = re.compile(r'[A-Za-z0-9_-]+')


def case_file(cases: Iterable[Mapping[str, Any]]) -> str:
  """Returns the text of a case file."""
  parts = [f'{HEADER}\n']
  for case in cases:
    lines = [f'{_key(key)} = {_value(value)}\n' for key, value in case.items()]
    parts.append(''.join(['[[cases]]\n', *lines]))
  return '\n'.join(parts)


def _key(key: str) -> str:
  return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
  if isinstance(value, str):
    return _text(value)
  if isinstance(value, Mapping):
    inner = ', '.join(f'{_key(key)} = {_value(item)}' for key, item in value.items())
    return f'{{ {inner} }}' if inner else '{}'
  if isinstance(value, list | tuple):
    return f'[{", ".join(map(_value, value))}]'
  return json.dumps(value)


def _text(value: str) -> str:
  # Both languages escape alike, but for this character, which TOML does not take as it is.
  return json.dumps(value, ensure_ascii=False).replace('\x7f', '\\u007f')


def read_recorded(file: Path) -> list[dict[str, Any]]:
  """Returns the cases of an earlier case file; none if there is no file.

  Raises:
    Failure: the file was written by hand or by something else, or is no TOML.
  """
  if not file.exists():
    return []
  text = file.read_text(encoding='utf-8')
  if not text.startswith(HEADER):
    raise Failure(f'{file}: exists and was not written by `record`; give --output another name')
  try:
    return list(tomllib.loads(text).get('cases', []))
  except tomllib.TOMLDecodeError as error:
    raise Failure(f'{file}: not readable as TOML ({error}); mend it or remove it') from error
