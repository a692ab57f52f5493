"""Where values stand in a JSON text: what is not replaced stays as it is, to the byte."""
from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
Span: TypeAlias = tuple[int, int]

_SPACE = re.compile(r'[ \t\r\n]*')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_PLAIN = re.compile(r'[^\s,\]}]+')


def spans(text: str, wanted: str) -> Iterator[tuple[Path, Span]]:
  """Yields path and place of every value under a key `wanted` of an object, and of the items of its lists.

  The text must be JSON; it is not checked.
  """
  found: list[tuple[Path, Span]] = []
  _value(text, _skip(text, 0), (), wanted, found)
  yield from found


def _skip(text: str, place: int) -> int:
  match = _SPACE.match(text, place)
  return place if match is None else match.end()


def _value(text: str, place: int, path: Path, wanted: str, found: list[tuple[Path, Span]]) -> int:
  """Reads one value; returns the place behind it."""
  if text[place] == '{':
    end = _object(text, place, path, wanted, found)
  elif text[place] == '[':
    end = _list(text, place, path, wanted, found)
  else:
    match = (_STRING if text[place] == '"' else _PLAIN).match(text, place)
    assert match is not None
    end = match.end()
  if path and (path[-1] == wanted or len(path) > 1 and path[-2] == wanted):
    found.append((path, (place, end)))
  return end


def _object(text: str, place: int, path: Path, wanted: str, found: list[tuple[Path, Span]]) -> int:
  place = _skip(text, place + 1)
  while text[place] != '}':
    match = _STRING.match(text, place)
    assert match is not None
    key = json.loads(match.group())
    place = _skip(text, _skip(text, match.end()) + 1)
    place = _skip(text, _value(text, place, (*path, key), wanted, found))
    if text[place] == ',':
      place = _skip(text, place + 1)
  return place + 1


def _list(text: str, place: int, path: Path, wanted: str, found: list[tuple[Path, Span]]) -> int:
  place, number = _skip(text, place + 1), 0
  while text[place] != ']':
    place = _skip(text, _value(text, place, (*path, number), wanted, found))
    number += 1
    if text[place] == ',':
      place = _skip(text, place + 1)
  return place + 1


def replaced(text: str, changes: Sequence[tuple[Span, str]]) -> str:
  """Returns the text with other texts in some places."""
  for (start, end), new in sorted(changes, reverse=True):
    text = text[:start] + new + text[end:]
  return text


def lines_as_json(raw: str, items: Sequence[Span], lines: Sequence[str], text: str) -> str:
  """Returns a list of strings written as the list `raw` was.

  raw: the old list as it stands; items: places of its items in `text`, the whole; lines: the new strings.  Lines that
  were there before are written as they were.
  """
  ascii_only = text.isascii()
  known = {json.loads(text[start:end]): text[start:end] for start, end in items}
  texts = [known.get(line) or json.dumps(line, ensure_ascii=ascii_only) for line in lines]
  if not items:
    return '[' + ', '.join(texts) + ']'
  first = text.rindex(raw[0], 0, items[0][0])
  opening = text[first:items[0][0]]
  between = text[items[0][1]:items[1][0]] if len(items) > 1 else ',' + opening[1:]
  closing = raw[len(raw) - (first + len(raw) - items[-1][1]):]
  return opening + between.join(texts) + closing if texts else '[]'
