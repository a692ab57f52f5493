"""One Linen layer creation as an NNX constructor call, from its record."""

from __future__ import annotations

import ast
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from migrator.shapes.values import Array, External, Late, Opaque, Unknown, Value
from rewrites.record import REQUIRED, Facts, Helper, Layer, NotDerivable
from rewrites.record import Unknown as UnknownArgument

from .sizes import NotStatic, alone

_SPREAD = ('*args', '**kwargs')


class Refused(Exception):
  """A creation cannot be written natively; the message is the reason."""


@dataclasses.dataclass
class Written:
  """A constructor call: its arguments, what moves to the call, the helpers it needs."""

  arguments: list[str]
  on_call: dict[str, ast.expr]
  helpers: list[Helper]


@dataclasses.dataclass
class Given:
  """One argument the source gives: its expression, position if positional, and whether a partial gives it."""

  node: ast.expr
  positional: bool
  in_partial: bool = False


def bound_arguments(record: Layer, call: ast.Call, partials: list[ast.Call]) -> dict[str, Given]:
  """Returns the arguments of a creation by Linen name, in source order; partials first.

  Raises:
    Refused: `*args` or `**kwargs` hide which arguments are given.
  """
  names = [argument.linen for argument in record.arguments]
  given: dict[str, Given] = {}
  position = 0
  for node, skip, in_partial in [*((partial, 1, True) for partial in partials), (call, 0, False)]:
    for item in node.args[skip:]:
      if isinstance(item, ast.Starred):
        raise Refused(f'{ast.unparse(node.func)}({ast.unparse(item)}) hides which arguments are given')
      if position >= len(names):
        raise Refused(f'too many positional arguments for {record.linen[0]}')
      given[names[position]] = Given(item, True, in_partial)
      position += 1
    for keyword in node.keywords:
      if keyword.arg is None:
        raise Refused(
          f'{ast.unparse(node.func)}(**{ast.unparse(keyword.value)}) hides which arguments are given'
        )
      if keyword.arg not in ('name', 'parent'):
        given[keyword.arg] = Given(keyword.value, False, in_partial)
  return given


def facts(
  record: Layer,
  given: dict[str, Given],
  values: Callable[[ast.expr], Value],
  uses: list[Any],
  arguments: dict[str, Value] | None = None,
) -> list[Facts]:
  """Returns the facts of a creation, one per use (one without shapes if it is never called)."""
  literal = {name: _literal(item.node, values) for name, item in given.items()}
  for name, value in (arguments or {}).items():
    if name not in literal and name not in ('name', 'parent') and _plain(value):
      literal[name] = value
  if not uses:
    return [Facts(literal, {})]
  return [Facts(literal, shapes(record, use)) for use in uses if use.method == '__call__'] or [
    Facts(literal, {})
  ]


def _plain(value: Value) -> bool:
  if isinstance(value, (tuple, list)):
    return all(_plain(item) for item in value)
  return isinstance(value, (int, float, str, bool))


def shapes(record: Layer, use: Any) -> dict[str, tuple[Any, ...]]:
  """Returns the shapes of the arrays one use gives, by Linen call argument."""
  names = [argument.linen for argument in record.call if argument.linen not in _SPREAD]
  found = dict(zip(names, use.args))
  found.update(use.kwargs)
  return {name: value.shape for name, value in found.items() if isinstance(value, Array)}


def _literal(node: ast.expr, values: Callable[[ast.expr], Value]) -> Any:
  try:
    return ast.literal_eval(node)
  except (ValueError, TypeError, SyntaxError):
    pass
  value = values(node)
  if isinstance(value, External):
    return UnknownArgument(value.name)
  if isinstance(value, (bool, int, float, str, tuple)) and _plain(value):
    return value
  return UnknownArgument(ast.unparse(node))


def sizes(record: Layer, found: list[Facts], unseen: Facts | None = None) -> list[tuple[str, Any, bool]]:
  """Returns (NNX argument, size, keyword only) for every size of the record.

  unseen: facts with stand-ins for shapes that are not known, used where the others do not tell.

  Raises:
    Refused: a size cannot be derived, with the reason.
  """
  result = []
  for size in record.sizes:
    candidates: list[Any] = []
    for fact in [*found, *([unseen] if unseen is not None else [])]:
      if fact is unseen and candidates:
        break
      try:
        candidates.append(size.of(fact))
      except NotDerivable as error:
        reason = str(error)
        continue
      except Exception as error:  # a record may not know every oddity of user code
        reason = f'{size.nnx}: {type(error).__name__}: {error}'
    if not candidates:
      raise Refused(reason)
    value = candidates[0]
    if value is not None:
      result.append((size.nnx, value, size.keyword))
  return result


def write(
  record: Layer,
  given: dict[str, Given],
  found: list[Facts],
  text: Callable[[ast.expr], str],
  values: Callable[[ast.expr], Value],
  size_text: Callable[[str, Any], str],
  exact: bool,
  passed: set[str],
  flags_at_calls: Callable[[str], bool],
  unseen: Facts | None = None,
) -> Written:
  """Returns the NNX constructor call.

  text: writes an expression in the constructor; size_text: writes a size, after the NNX argument it is for.
  passed: Linen call arguments that every use gives explicitly.
  flags_at_calls: tells whether every use gives the NNX call argument (so that a default need not be written).
  unseen: see `sizes`.

  Raises:
    Refused, NotStatic: it cannot be written.
  """
  reason = record.refuse(found[0]) if record.refuse is not None else None
  if reason:
    raise Refused(reason)
  written = Written([], {}, [])
  in_partial = any(item.in_partial and item.positional for item in given.values())
  for name, value, keyword in sizes(record, found, unseen):
    body = _size_value(value, functools.partial(size_text, name))
    written.arguments.append(f'{name}={body}' if keyword or in_partial or record.reorder else body)
  positional_ok = not record.reorder
  for argument in record.arguments:
    item = given.get(argument.linen)
    if item is not None and argument.on_call and _is_late(values(item.node)):
      written.on_call[argument.on_call] = item.node
  for name, item in given.items():
    if item.in_partial or name in _moved(record, written, given):
      continue
    found_row = next((row for row in record.arguments if row.linen == name), None)
    if found_row is None:
      raise Refused(f'{record.linen[0].rsplit(".", 1)[-1]} has no argument {name}')
    _one(record, found_row, item, text, written, positional_ok)
  _defaults(record, given, written, flags_at_calls)
  _finish(record, found, written, exact)
  return written


def _moved(record: Layer, written: Written, given: dict[str, Given]) -> set[str]:
  return {
    row.linen
    for row in record.arguments
    if row.linen in given and row.on_call and written.on_call.get(row.on_call) is given[row.linen].node
  }


def _one(
  record: Layer,
  argument: Any,
  item: Given,
  text: Callable[[ast.expr], str],
  written: Written,
  positional_ok: bool,
) -> None:
  if record.star_argument == argument.linen:
    written.arguments += _spread(item.node, text)
    return
  same = _is_default(item.node, argument.linen_default)
  if argument.nnx is None:
    if same or argument.unsupported is None:
      return
    raise Refused(f'{argument.linen}={ast.unparse(item.node)}: {argument.unsupported}')
  if argument.wrap is not None and not same:
    written.helpers.append(argument.wrap)
    written.arguments.append(f'{argument.nnx}={argument.wrap.name}({text(item.node)})')
    return
  if argument.unsupported is not None and not same:
    raise Refused(f'{argument.linen}={ast.unparse(item.node)}: {argument.unsupported}')
  body = text(item.node)
  if argument.wrap is not None and same:
    return
  plain = (
    item.positional
    and positional_ok
    and not argument.keyword
    and not any('=' in part.split('(')[0] for part in written.arguments)
  )
  written.arguments.append(body if plain else f'{argument.nnx}={body}')


def _spread(node: ast.expr, text: Callable[[ast.expr], str]) -> list[str]:
  if isinstance(node, (ast.List, ast.Tuple)):
    return [text(item) if not isinstance(item, ast.Starred) else f'*{text(item.value)}' for item in node.elts]
  return [f'*{text(node)}']


def _is_default(node: ast.expr, default: Any) -> bool:
  if default is REQUIRED:
    return False
  try:
    return bool(ast.literal_eval(node) == default)
  except (ValueError, TypeError, SyntaxError):
    return False


def _defaults(
  record: Layer, given: dict[str, Given], written: Written, flags_at_calls: Callable[[str], bool]
) -> None:
  """Writes Linen's default where NNX has another one."""
  for argument in record.arguments:
    if argument.linen in given or argument.nnx is None or argument.nnx in record.added:
      continue
    if argument.linen_default is REQUIRED or argument.nnx_default is REQUIRED:
      continue
    if argument.linen_default == argument.nnx_default or not isinstance(
      argument.linen_default, (bool, int, float, str, tuple, type(None))
    ):
      continue
    if argument.on_call and flags_at_calls(argument.on_call):
      continue
    written.arguments.append(f'{argument.nnx}={argument.linen_default!r}')


def _finish(record: Layer, found: list[Facts], written: Written, exact: bool) -> None:
  named = {part.split('=')[0] for part in written.arguments if '=' in part.split('(')[0]}
  for name, value in record.added.items():
    if name not in named and name not in written.on_call:
      written.arguments.append(f'{name}={value}')
  if record.helper is not None:
    written.helpers.append(record.helper)
  if exact and record.exact_helper and (record.exact_when is None or record.exact_when(found[0])):
    for name, helper in record.exact_helper.items():
      only = getattr(record, 'exact_each', {}).get(name)
      if only is None or only(found[0]):
        written.arguments.append(f'{name}={helper.name}')
        written.helpers.append(helper)
  needs = record.rngs(found[0]) if callable(record.rngs) else record.rngs
  if needs:
    written.arguments.append('rngs=rngs')


def _size_value(value: Any, size_text: Callable[[Any], str]) -> str:
  if isinstance(value, tuple):
    items = [alone(size_text(item)) for item in value]
    return f'({", ".join(items)}{"," if len(items) == 1 else ""})'
  if isinstance(value, dict):
    return '{' + ', '.join(f'{key}: {alone(size_text(item))}' for key, item in value.items()) + '}'
  return alone(size_text(value))


def _is_late(value: Value) -> bool:
  return isinstance(value, Late)


def call_arguments(
  record: Layer, call: ast.Call, text: Callable[[ast.expr], str], extra: dict[str, str]
) -> list[str]:
  """Returns the arguments of a call of the layer, renamed for NNX.

  text: writes an expression in the method; extra: NNX call arguments that moved here from the constructor.

  Raises:
    Refused: an argument has no counterpart.
  """
  if any(row.linen in _SPREAD for row in record.call):
    return [text(item) for item in call.args] + [_keyword(keyword, text) for keyword in call.keywords]
  written: list[str] = []
  keyword_only = False
  for position, item in enumerate(call.args):
    if isinstance(item, ast.Starred):
      written.append(text(item))
      continue
    row = record.call[position] if position < len(record.call) else None
    if row is None:
      raise Refused(f'too many arguments in a call of {record.linen[0]}')
    keyword_only |= _append(row, item, text, written, keyword_only)
  for keyword in call.keywords:
    row = next((row for row in record.call if row.linen == keyword.arg), None)
    if keyword.arg is None or row is None:
      if keyword.arg is None:
        written.append(f'**{text(keyword.value)}')
        continue
      raise Refused(f'{record.linen[0]} is called with {keyword.arg}')
    if row.nnx is None:
      _dropped(record, row, keyword.value)
      continue
    written.append(f'{row.nnx}={text(keyword.value)}')
  written += [f'{name}={value}' for name, value in extra.items()]
  return written


def _keyword(keyword: ast.keyword, text: Callable[[ast.expr], str]) -> str:
  return f'**{text(keyword.value)}' if keyword.arg is None else f'{keyword.arg}={text(keyword.value)}'


def _append(
  row: Any, item: ast.expr, text: Callable[[ast.expr], str], written: list[str], keyword_only: bool
) -> bool:
  if row.nnx is None:
    if isinstance(item, ast.Constant) and item.value is None:
      return True
    raise Refused(f'the call argument {row.linen} has no counterpart in NNX')
  by_keyword = row.keyword or keyword_only
  written.append(f'{row.nnx}={text(item)}' if by_keyword else text(item))
  return by_keyword


def _dropped(record: Layer, row: Any, node: ast.expr) -> None:
  if not (isinstance(node, ast.Constant) and node.value is None):
    raise Refused(
      f'the call argument {row.linen} of {record.linen[0].rsplit(".", 1)[-1]} has no counterpart in NNX'
    )


__all__ = [
  'Given',
  'NotStatic',
  'Opaque',
  'Refused',
  'Unknown',
  'Written',
  'bound_arguments',
  'call_arguments',
  'facts',
  'shapes',
  'sizes',
  'write',
]
