"""Lines that are IPython and not Python: `%time`, `!pip`, `name?`.  They stand aside while the rest is migrated."""
from __future__ import annotations

import ast
import io
import json
import re
import tokenize

# Cell magics whose body is Python of the notebook.
_PYTHON_CELLS = frozenset({'time', 'timeit', 'capture', 'prun', 'memit', 'mprun', 'lprun'})
# Line magics whose rest is Python of the notebook.
_PYTHON_LINES = re.compile(r'%(?:time|timeit|prun|memit|lprun)(?:[ \t]+-\w+(?:[ \t]+\d+)?)*[ \t]+')
_MAGIC = re.compile(r'[ \t]*(?:%|!|\?)')
_ASSIGNED = re.compile(r'([ \t]*[\w.,\[\] \t]+=[ \t]*)(?=[%!])')
_HELP = re.compile(r'[ \t]*[\w.]+\?{1,2}[ \t]*$')
_STOOD_IN = re.compile(r'__linen2nnx_magic__\((?P<text>"(?:[^"\\]|\\.)*")\)(?P<more>; )?')


def without_magics(source: str) -> str | None:
  """Returns the text of a cell as Python, each magic as a call that holds it; None if it is no Python at all."""
  if _parses(source):
    return source
  lines = source.splitlines(keepends=True)
  first = next((number for number, line in enumerate(lines) if line.strip()), 0)
  found: list[str] = []
  if lines and lines[first].startswith('%%'):
    if lines[first].split()[0].removeprefix('%%') not in _PYTHON_CELLS:
      return None
    found, lines = [*lines[:first], _call(lines[first])], lines[first + 1:]
  number = 0
  while number < len(lines):
    line = lines[number]
    number += 1
    if _begins_statement(found):
      while _is_magic(line) and line.rstrip('\r\n').endswith('\\') and number < len(lines):
        line += lines[number]
        number += 1
      line = _aside(line)
    found.append(line)
  text = ''.join(found)
  return text if _parses(text) else None


def with_magics(source: str) -> str:
  """Returns the text of a cell with its magics as they were."""
  return _STOOD_IN.sub(lambda match: json.loads(match['text']), source)


def opaque(source: str) -> str:
  """Returns a whole cell as one call that holds it."""
  return f'__linen2nnx_magic__({json.dumps(source)})'


def _parses(source: str) -> bool:
  try:
    ast.parse(source)
  except (SyntaxError, ValueError, RecursionError, MemoryError):
    return False
  return True


def _is_magic(line: str) -> bool:
  return bool(_MAGIC.match(line) or _HELP.match(line.rstrip('\r\n')) or _ASSIGNED.match(line))


def _aside(line: str) -> str:
  if not _is_magic(line):
    return line
  body, end = line.rstrip('\r\n'), line[len(line.rstrip('\r\n')):]
  assigned = _ASSIGNED.match(body)
  kept = assigned.group() if assigned else body[:len(body) - len(body.lstrip())]
  rest = body[len(kept):]
  python = _PYTHON_LINES.match(rest)
  if python and not assigned and rest[python.end():].strip():
    return f'{kept}__linen2nnx_magic__({json.dumps(python.group())}); {rest[python.end():]}{end}'
  return f'{kept}__linen2nnx_magic__({json.dumps(rest)}){end}'


def _call(line: str) -> str:
  body = line.rstrip('\r\n')
  return f'__linen2nnx_magic__({json.dumps(body)}){line[len(body):]}'


def _begins_statement(lines: list[str]) -> bool:
  """Tells whether no bracket, string or backslash is open behind some lines."""
  if lines and lines[-1].rstrip('\r\n').endswith('\\'):
    return False
  try:
    for _ in tokenize.generate_tokens(io.StringIO(''.join(lines)).readline):
      pass
  except tokenize.TokenError:
    return False
  except IndentationError:
    return True
  return True
