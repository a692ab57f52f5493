"""Where a new import line goes: the sections and the order the file already has."""
from __future__ import annotations

import sys
from collections.abc import Sequence

import libcst as cst

from migrator.codemod.import_edits import Import, aliases_of, module_name, target

FUTURE, STANDARD, THIRD_PARTY, RELATIVE = range(4)


# Stands in a line whose statements are all gone, until `close_up` takes the line out.
GONE = cst.Pass()


def close_up(body: Sequence[cst.BaseStatement]) -> tuple[list[cst.BaseStatement], list[cst.EmptyLine]]:
  """Takes out the lines marked `GONE`; what stood above them goes above the next statement.

  Returns:
    the statements, and the lines that stood above the last ones taken out.
  """
  kept: list[cst.BaseStatement] = []
  carried: list[cst.EmptyLine] = []
  for statement in body:
    if is_gone(statement):
      carried = joined(carried, leading(statement))
      continue
    if carried:
      statement = statement.with_changes(leading_lines=joined(carried, leading(statement)))
      carried = []
    kept.append(statement)
  return kept, carried


def is_gone(statement: cst.BaseStatement) -> bool:
  """Whether the line is marked `GONE`."""
  return isinstance(statement, cst.SimpleStatementLine) and any(small is GONE for small in statement.body)


def leading(statement: cst.BaseStatement) -> Sequence[cst.EmptyLine]:
  """The empty and comment lines above a statement."""
  return getattr(statement, 'leading_lines', ())


def joined(first: Sequence[cst.EmptyLine], second: Sequence[cst.EmptyLine]) -> list[cst.EmptyLine]:
  """Puts two runs of empty and comment lines together; where they meet, the longer gap counts."""
  ending = _blanks(list(reversed(first)))
  return [*first[:len(first) - min(ending, _blanks(second))], *second]


def strip_blanks(lines: Sequence[cst.EmptyLine]) -> list[cst.EmptyLine]:
  """Returns the lines without the empty ones at the start."""
  return list(lines[_blanks(lines):])


def _blanks(lines: Sequence[cst.EmptyLine]) -> int:
  """Counts the empty lines before the first comment."""
  return next((place for place, line in enumerate(lines) if line.comment), len(lines))


def insert(module: cst.Module, line: cst.SimpleStatementLine) -> cst.Module:
  """Puts the import `line` at its place in the file."""
  body = list(module.body)
  statement = _import(line)
  assert statement is not None
  found = ((place, _import(item)) for place, item in enumerate(body[:_end(body)]))
  known = [(place, item) for place, item in found if item is not None]
  if not known:
    return _first(module, line)
  place, after = _place(known, statement)
  same = _rank(dict(known)[place]) == _rank(statement)
  return (_insert_after if after else _insert_before)(module, place, line, same)


def _import(statement: cst.BaseStatement) -> Import | None:
  """Returns the import of a line that is nothing but one import."""
  first = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
  return first if isinstance(first, (cst.Import, cst.ImportFrom)) else None


def _end(body: Sequence[cst.BaseStatement]) -> int:
  """The place of the first definition: imports further down stand there for a reason."""
  kinds = (cst.FunctionDef, cst.ClassDef)
  return next((place for place, item in enumerate(body) if isinstance(item, kinds)), len(body))


def _module(statement: Import) -> str:
  return module_name(statement) if isinstance(statement, cst.ImportFrom) else target(
    statement, aliases_of(statement)[0])


def _rank(statement: Import) -> int:
  module = _module(statement)
  if module.startswith('.'):
    return RELATIVE
  if module == '__future__':
    return FUTURE
  return STANDARD if module.partition('.')[0] in sys.stdlib_module_names else THIRD_PARTY


def _place(known: list[tuple[int, Import]], new: Import) -> tuple[int, bool]:
  """Returns the place of the import that `new` goes next to, and whether after it."""
  same = [(place, item) for place, item in known if _rank(item) == _rank(new)]
  if not same:
    lower = [place for place, item in known if _rank(item) < _rank(new)]
    return (lower[-1], True) if lower else (known[0][0], False)
  if not _mixed(known):
    alike = [(place, item) for place, item in same if type(item) is type(new)]
    if not alike:
      return (same[-1][0], True) if isinstance(new, cst.ImportFrom) else (same[0][0], False)
    same = alike
  before = [place for place, item in same if _module(item).casefold() <= _module(new).casefold()]
  if not _sorted(same):
    package = _module(new).partition('.')[0]
    before = [place for place, item in same if _module(item).partition('.')[0] == package] or [same[-1][0]]
  return (before[-1], True) if before else (same[0][0], False)


def _mixed(known: list[tuple[int, Import]]) -> bool:
  """Whether the file sorts by module alone; most have `import x` before `from x import y` in each section."""
  for rank in (STANDARD, THIRD_PARTY, RELATIVE):
    section = [(place, item) for place, item in known if _rank(item) == rank]
    kinds = [isinstance(item, cst.Import) for _, item in section]
    if _sorted(section) and (False, True) in zip(kinds, kinds[1:], strict=False):
      return True
  return False


def _sorted(known: list[tuple[int, Import]]) -> bool:
  names = [_module(item).casefold() for _, item in known]
  return names == sorted(names)


def _first(module: cst.Module, line: cst.SimpleStatementLine) -> cst.Module:
  """Puts the only import below the docstring, or on top."""
  body = list(module.body)
  place = 1 if module.get_docstring(clean=False) is not None else 0
  line = line.with_changes(leading_lines=[cst.EmptyLine(indent=False)] * place)
  if place < len(body):
    body[place] = body[place].with_changes(leading_lines=_at_least_one_blank(leading(body[place])))
  return module.with_changes(body=[*body[:place], line, *body[place:]])


def _at_least_one_blank(lines: Sequence[cst.EmptyLine]) -> list[cst.EmptyLine]:
  return list(lines) if lines and lines[0].comment is None else [cst.EmptyLine(indent=False), *lines]


def _insert_after(module: cst.Module, place: int, line: cst.SimpleStatementLine, same: bool) -> cst.Module:
  """Puts `line` after the statement at `place`; a new section gets empty lines around it."""
  body = list(module.body)
  following = body[place + 1] if place + 1 < len(body) else None
  if not same:
    line = line.with_changes(leading_lines=[cst.EmptyLine(indent=False)])
    if following is not None:
      body[place + 1] = following.with_changes(leading_lines=_at_least_one_blank(leading(following)))
  return module.with_changes(body=[*body[:place + 1], line, *body[place + 1:]])


def _insert_before(module: cst.Module, place: int, line: cst.SimpleStatementLine, same: bool) -> cst.Module:
  """Puts `line` before the statement at `place`: it takes over the empty lines above, comments stay below."""
  body = list(module.body)
  lines = list(leading(body[place]))
  blanks = _blanks(lines)
  rest = lines[blanks:] if same else _at_least_one_blank(lines[blanks:])
  body[place] = body[place].with_changes(leading_lines=rest)
  line = line.with_changes(leading_lines=lines[:blanks])
  return module.with_changes(body=[*body[:place], line, *body[place:]])
