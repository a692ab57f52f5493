"""The JSON of a check as a mapping, and small questions that every way of showing it asks."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Table = Mapping[str, Any]
SCHEMA = Path(__file__).with_name('schema.json')

# Exit code of a case -> what it means.
MEANINGS = {0: 'equal', 1: 'differs', 2: 'failed'}
EQUAL_PROOFS = ('same program', 'same after unrolling', 'same up to operand order', 'same real function')
PASSED_PARTS = ('bitwise', 'close')


def modules_that_differ(case: Table) -> list[tuple[Table, list[str]]]:
  """Returns each module that a proof names, once, with the modes that show it."""
  found: dict[tuple[str, ...], tuple[Table, list[str]]] = {}
  for proof in case['proofs']:
    for module in proof['modules']:
      key = tuple(module[name] for name in ('linen', 'nnx', 'place', 'cause'))
      found.setdefault(key, (module, []))[1].append(proof['mode'])
  return list(found.values())


def module_line(module: Table) -> str:
  """Returns 'Linen block_0/norm (zoo.py:3) | NNX blocks/0/norm (zoo.py:9): body: differs: 1e-06 ...'."""
  sides = (('Linen', module['linen'], module['linen_line']), ('NNX', module['nnx'], module['nnx_line']))
  places = [f'{side} {path or "(root)"}' + (f' ({line})' if line else '') for side, path, line in sides]
  return f'{" | ".join(places)}: {module["place"]}: {module["verdict"]}' + ending(module['cause'])


def ending(text: str) -> str:
  """Returns ': text', or nothing for no text."""
  return f': {" ".join(text.split())}' if text else ''


def not_equal(case: Table) -> Iterator[str]:
  """Yields one line for every proof or part that is not equal or could not be run."""
  for proof in case['proofs']:
    if proof['verdict'] not in (*EQUAL_PROOFS, 'not proved'):
      yield f'{proof["mode"]}: {proof["verdict"]}{ending(proof["reason"])}'
  for part in case['parts']:
    if part['verdict'] in ('differs', 'error'):
      yield f'{part["name"]}: {part["verdict"]}{ending(part["reason"])}'


def count(number: int, word: str) -> str:
  """Returns '1 array', '2 arrays'."""
  return f'{number} {word}{"s" * (number != 1)}'
