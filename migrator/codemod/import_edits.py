"""Edits of single import statements on the concrete syntax tree; comments and layout stay."""
from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeAlias

import libcst as cst
from libcst.helpers import get_full_name_for_node

Import: TypeAlias = cst.Import | cst.ImportFrom


def module_name(statement: cst.ImportFrom) -> str:
  """Returns the module of a from-import, with its leading dots."""
  name = get_full_name_for_node(statement.module) if statement.module is not None else None
  return '.' * len(statement.relative) + (name or '')


def aliases_of(statement: Import) -> Sequence[cst.ImportAlias]:
  """Returns the imported names; none for a star import."""
  return () if isinstance(statement.names, cst.ImportStar) else statement.names


def bound_name(statement: Import, alias: cst.ImportAlias) -> str:
  """Returns the local name: 'nn' of `import flax.linen as nn`, 'flax' of `import flax.linen`."""
  if alias.asname is not None:
    return get_full_name_for_node(alias.asname.name) or ''
  name = alias.evaluated_name
  return name if isinstance(statement, cst.ImportFrom) else name.partition('.')[0]


def target(statement: Import, alias: cst.ImportAlias) -> str:
  """Returns the dotted thing that is imported: 'flax.linen' of `from flax import linen as nn`."""
  if isinstance(statement, cst.Import):
    return alias.evaluated_name
  module = module_name(statement)
  return f'{module}{alias.evaluated_name}' if module.endswith('.') else f'{module}.{alias.evaluated_name}'


def without(statement: Import, unwanted: Callable[[cst.ImportAlias], bool]) -> Import | None:
  """Returns the statement without the unwanted names; None when none is left."""
  aliases = aliases_of(statement)
  kept = [alias for alias in aliases if not unwanted(alias)]
  if len(kept) == len(aliases):
    return statement
  if not kept:
    return None
  if kept[-1] is not aliases[-1]:
    kept[-1] = kept[-1].with_changes(comma=aliases[-1].comma)
  return statement.with_changes(names=kept)


def replaced(statement: cst.ImportFrom, old: cst.ImportAlias, new: cst.ImportAlias) -> cst.ImportFrom:
  """Returns the statement with one name exchanged."""
  names = [new.with_changes(comma=old.comma) if alias is old else alias for alias in aliases_of(statement)]
  return statement.with_changes(names=names)


def merged(statement: cst.ImportFrom, new: cst.ImportAlias) -> cst.ImportFrom:
  """Returns the statement with one more name, at its place if the names are sorted, else at the end."""
  aliases = list(aliases_of(statement))
  place = _place([alias.evaluated_name for alias in aliases], new.evaluated_name)
  between = _separator(statement, aliases)
  if place < len(aliases):
    aliases.insert(place, new.with_changes(comma=between))
  else:
    last = aliases[-1]
    aliases[-1] = last.with_changes(comma=_with_comment_of(between, last.comma))
    aliases.append(new.with_changes(comma=_without_comment(last.comma)))
  return statement.with_changes(names=aliases)


def _place(names: list[str], name: str) -> int:
  for key in (str, str.casefold):
    keys = [key(item) for item in names]
    if keys == sorted(keys):
      return bisect.bisect(keys, key(name))
  return len(names)


def _separator(statement: cst.ImportFrom, aliases: list[cst.ImportAlias]) -> cst.Comma | cst.MaybeSentinel:
  """The comma and space that stand between two names of the statement, without comments."""
  if len(aliases) > 1 and isinstance(aliases[0].comma, cst.Comma):
    return _without_comment(aliases[0].comma)
  if statement.lpar is not None and isinstance(statement.lpar.whitespace_after, cst.ParenthesizedWhitespace):
    return _without_comment(cst.Comma(whitespace_after=statement.lpar.whitespace_after))
  return cst.Comma(whitespace_after=cst.SimpleWhitespace(' '))


def _without_comment(comma: cst.Comma | cst.MaybeSentinel) -> cst.Comma | cst.MaybeSentinel:
  if not isinstance(comma, cst.Comma) or not isinstance(comma.whitespace_after, cst.ParenthesizedWhitespace):
    return comma
  space = comma.whitespace_after
  first = space.first_line.with_changes(comment=None, whitespace=cst.SimpleWhitespace(''))
  lines = [line for line in space.empty_lines if line.comment is None]
  return comma.with_changes(whitespace_after=space.with_changes(first_line=first, empty_lines=lines))


def _with_comment_of(comma: cst.Comma | cst.MaybeSentinel,
                     other: cst.Comma | cst.MaybeSentinel) -> cst.Comma | cst.MaybeSentinel:
  """Returns `comma` with the end-of-line comment that stands after `other`."""
  if not isinstance(comma, cst.Comma) or not isinstance(other, cst.Comma):
    return comma
  mine, its = comma.whitespace_after, other.whitespace_after
  if isinstance(mine, cst.ParenthesizedWhitespace) and isinstance(its, cst.ParenthesizedWhitespace):
    return comma.with_changes(whitespace_after=mine.with_changes(first_line=its.first_line))
  return comma


def comments(node: cst.CSTNode) -> Counter[str]:
  """Counts the comments in `node`."""
  found: Counter[str] = Counter()
  stack = [node]
  while stack:
    item = stack.pop()
    if isinstance(item, cst.Comment):
      found[item.value] += 1
    stack.extend(item.children)
  return found


def keep_comments(before: cst.SimpleStatementLine, after: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
  """Returns `after` with the comments that only `before` has put on lines of their own above it."""
  lost = comments(before) - comments(after)
  lines = [cst.EmptyLine(comment=cst.Comment(text)) for text in lost.elements()]
  return after.with_changes(leading_lines=[*after.leading_lines, *lines]) if lines else after
