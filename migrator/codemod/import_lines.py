"""Applies an edit to every import statement of a file, and closes the gaps that it leaves."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import libcst as cst

from migrator.codemod.import_edits import Import, keep_comments
from migrator.codemod.import_order import GONE, close_up, is_gone, joined, leading, strip_blanks


class ImportLines(cst.CSTTransformer):
  """Edits every import statement; a line or block left empty closes up, its comments stay."""

  def __init__(self, edit: Callable[[Import], Import | None]):
    super().__init__()
    self._edit = edit

  def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> bool:
    return False

  def leave_SimpleStatementLine(self, original_node: cst.SimpleStatementLine,
                                updated_node: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
    body = self._small(original_node.body)
    if body is None:
      return original_node
    edited = original_node.with_changes(body=body or [GONE])
    if not body:
      edited = edited.with_changes(trailing_whitespace=cst.TrailingWhitespace())
    return keep_comments(original_node, edited)

  def leave_SimpleStatementSuite(self, original_node: cst.SimpleStatementSuite,
                                 updated_node: cst.SimpleStatementSuite) -> cst.SimpleStatementSuite:
    body = self._small(original_node.body)
    return original_node if body is None else original_node.with_changes(body=body or [cst.Pass()])

  def visit_SimpleStatementSuite(self, node: cst.SimpleStatementSuite) -> bool:
    return False

  def leave_IndentedBlock(self, original_node: cst.IndentedBlock,
                          updated_node: cst.IndentedBlock) -> cst.IndentedBlock:
    body, rest = close_up(updated_node.body)
    if not body:
      empty = cst.SimpleStatementLine([cst.Pass()], leading_lines=rest)
      return updated_node.with_changes(body=[empty])
    return updated_node.with_changes(body=body, footer=[*rest, *updated_node.footer])

  def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
    body, rest = close_up(updated_node.body)
    edited = updated_node.with_changes(body=body, footer=[*rest, *updated_node.footer])
    if not body or not is_gone(updated_node.body[0]):
      return edited
    # The gap between the comments on top and the first statement must not add up.
    above = joined(updated_node.header, leading(body[0]))[:-len(leading(body[0])) or None]
    lines = leading(body[0]) if above else strip_blanks(leading(body[0]))
    return edited.with_changes(header=above, body=[body[0].with_changes(leading_lines=lines), *body[1:]])

  def _small(self, statements: Sequence[cst.BaseSmallStatement]) -> list[cst.BaseSmallStatement] | None:
    """Returns the edited statements of a line; None when nothing changed."""
    body: list[cst.BaseSmallStatement] = []
    for statement in statements:
      edited = self._edit(statement) if isinstance(statement, (cst.Import, cst.ImportFrom)) else statement
      if edited is not None:
        body.append(edited)
    if len(body) == len(statements) and all(new is old for new, old in zip(body, statements, strict=True)):
      return None
    if body and len(body) < len(statements):
      body[-1] = body[-1].with_changes(semicolon=statements[-1].semicolon)
    return body
