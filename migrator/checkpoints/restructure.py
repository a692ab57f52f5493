"""Rules that change the structure of a target: layers to a stack and back, joined and split arrays, other axes.

A rule is a line of words.  A pattern is names with `/` between them; it may stand anywhere in a path, so that
one rule serves the weights and each statistic of an optimizer.  `*` is any one name, `{}` a number, and
`{a,b}` these names in this order.

  stack layers/{} layers 0              unstack layers layers/{} 0
  concatenate gru/{ir,iz}/kernel gru/i/kernel -1
  split gru/i/kernel gru/{ir,iz}/kernel -1 [sizes: 8,8]
  transpose mlp/*/kernel 1,0            reshape attention/out/kernel 64,32
"""
from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import (
  Expression,
  concatenate,
  described,
  expression,
  reshape,
  slice_axis,
  stack,
  take,
  transpose,
)

Names = tuple[str, ...]
Content = dict[Names, Expression]
_FORMS = {
  'stack': 'stack layers/{} layers 0', 'unstack': 'unstack layers layers/{} 0',
  'concatenate': 'concatenate gru/{ir,iz}/kernel gru/i/kernel -1',
  'split': 'split gru/i/kernel gru/{ir,iz}/kernel -1', 'transpose': 'transpose mlp/*/kernel 1,0',
  'reshape': 'reshape attention/out/kernel 64,32',
}


@dataclasses.dataclass(frozen=True)
class Place:
  """Where a pattern was found: what is before and after it, and what its `{}` and `*` stood for."""

  before: Names
  after: Names
  free: Names
  choice: str


def restructured(content: Mapping[Names, object], rules: Iterable[str]) -> Content:
  """Returns the leaves of a target after all rules, in their order.

  Raises:
    CheckpointError: a rule that is none, fits nothing, or whose arrays do not go together.
  """
  made = {path: expression(value) for path, value in content.items()}
  for rule in rules:
    words = rule.split()
    apply = _RULES.get(words[0]) if words else None
    if apply is None:
      raise CheckpointError(f'{rule!r} is no rule; the rules are: {"; ".join(_FORMS.values())}')
    try:
      changed = apply(made, words[1:])
    except (ValueError, IndexError) as error:
      raise CheckpointError(f'{rule!r} is no rule ({error}); write it like: {_FORMS[words[0]]}') from error
    if changed is None:
      raise CheckpointError(f'{rule!r} fits no array; the first of {len(made)} is {"/".join(next(iter(made)))}')
    made = changed
  return made


def _stack(content: Content, words: Sequence[str]) -> Content | None:
  old, new, axis = words[0], words[1], int(words[2]) if len(words) > 2 else 0
  groups, rest = _grouped(content, old)
  if not groups:
    return None
  for (before, after, free), found in groups.items():
    path = (*before, *_filled(new, free), *after)
    numbers = sorted(found, key=int)
    if [int(number) for number in numbers] != list(range(len(numbers))):
      raise CheckpointError(f'{"/".join(path)}: layers {", ".join(numbers)} are there; a stack needs all from 0 on')
    _add(rest, path, stack([found[number] for number in numbers], min(axis, found[numbers[0]].ndim)))
  return rest


def _unstack(content: Content, words: Sequence[str]) -> Content | None:
  old, new, axis = words[0], words[1], int(words[2]) if len(words) > 2 else 0
  made: Content = {}
  fits = False
  for path, value in content.items():
    place = _found(path, old)
    if place is None:
      _add(made, path, value)
      continue
    fits = True
    if not value.ndim:
      raise CheckpointError(f'{"/".join(path)}: {described(value)} has no axis to take layers from')
    place_axis = min(axis, value.ndim - 1)
    for number in range(value.shape[place_axis]):
      _add(made, (*place.before, *_filled(new, (*place.free, str(number))), *place.after), take(value, place_axis, number))
  return made if fits else None


def _concatenate(content: Content, words: Sequence[str]) -> Content | None:
  old, new, axis = words[0], words[1], int(words[2])
  groups, rest = _grouped(content, old)
  if not groups:
    return None
  for (before, after, free), found in groups.items():
    path = (*before, *_filled(new, free), *after)
    missing = [name for name in _choices(old) if name not in found]
    if missing:
      raise CheckpointError(f'{"/".join(path)}: {", ".join(missing)} are not there')
    _add(rest, path, concatenate([found[name] for name in _choices(old)], axis))
  return rest


def _split(content: Content, words: Sequence[str]) -> Content | None:
  old, new, axis = words[0], words[1], int(words[2])
  names = _choices(new)
  made: Content = {}
  fits = False
  for path, value in content.items():
    place = _found(path, old)
    if place is None:
      _add(made, path, value)
      continue
    fits = True
    size = value.shape[axis]
    sizes = _numbers(words[3]) if len(words) > 3 else [size // len(names)] * len(names)
    if sum(sizes) != size or len(sizes) != len(names):
      raise CheckpointError(f'{"/".join(path)}: {described(value)} is not {sizes} on axis {axis}; name the sizes')
    start = 0
    for name, part in zip(names, sizes):
      target = (*place.before, *_filled(new.replace('{' + ','.join(names) + '}', name), place.free), *place.after)
      _add(made, target, slice_axis(value, axis, start, start + part))
      start += part
  return made if fits else None


def _each(change: Callable[[Expression, list[int]], Expression]) -> Callable[[Content, Sequence[str]], Content | None]:
  def apply(content: Content, words: Sequence[str]) -> Content | None:
    old, numbers = words[0], _numbers(words[1])
    fitting = {path for path in content if _found(path, old)}
    made = {path: change(value, numbers) if path in fitting else value for path, value in content.items()}
    return made if fitting else None
  return apply


_RULES = {'stack': _stack, 'unstack': _unstack, 'concatenate': _concatenate, 'split': _split,
          'transpose': _each(transpose), 'reshape': _each(reshape)}


def _grouped(content: Content, old: str) -> tuple[dict[tuple[Names, Names, Names], dict[str, Expression]], Content]:
  """Returns {(before, after, free): {number or name: value}} of what fits, and the rest."""
  groups: dict[tuple[Names, Names, Names], dict[str, Expression]] = {}
  rest: Content = {}
  for path, value in content.items():
    place = _found(path, old)
    if place is None:
      rest[path] = value
    else:
      groups.setdefault((place.before, place.after, place.free), {})[place.choice] = value
  return groups, rest


def _found(path: Names, pattern: str) -> Place | None:
  """Returns the first place of a pattern in a path."""
  parts = [_matcher(part) for part in pattern.split('/')]
  for start in range(len(path) - len(parts) + 1):
    found = [matcher.fullmatch(name) for matcher, name in zip(parts, path[start:])]
    if all(found):
      groups = [(name, text) for match in found if match for name, text in match.groupdict().items()]
      choice = ''.join(text for name, text in groups if name == 'choice')
      return Place(path[:start], path[start + len(parts):], tuple(text for name, text in groups if name == 'free'), choice)
  return None


def _matcher(part: str) -> re.Pattern[str]:
  if part == '*':
    return re.compile('(?P<free>.*)')
  text = ''.join('(?P<choice>[0-9]+)' if piece == '{}' else
                 f'(?P<choice>{"|".join(map(re.escape, piece[1:-1].split(",")))})' if piece.startswith('{') else re.escape(piece)
                 for piece in re.split(r'(\{[^{}]*\})', part))
  return re.compile(text)


def _choices(pattern: str) -> list[str]:
  found = re.search(r'\{([^{}]+)\}', pattern)
  if found is None:
    raise ValueError('names such as {a,b} are missing')
  return found[1].split(',')


def _filled(pattern: str, free: Names) -> Names:
  """Returns the names of a pattern with `*` and `{}` filled in, in their order."""
  left = list(free)
  made = tuple(re.sub(r'\{\}|\*', lambda _: left.pop(0), part) for part in pattern.split('/'))
  if left:
    raise ValueError(f'{pattern} has no place for {left[0]!r}')
  return made


def _numbers(text: str) -> list[int]:
  return [int(number) for number in text.split(',')]


def _add(content: Content, path: Names, value: Expression) -> None:
  if path in content:
    raise CheckpointError(f'{"/".join(path)}: is there already; give the result another name')
  content[path] = value
