"""The table of nodes answers as walking the tree does."""
from __future__ import annotations

import ast
from pathlib import Path

import pytest

from migrator.source.nodes import Nodes

MARKS = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
FILES = sorted((Path(__file__).parents[2] / 'migrator' / 'source').glob('*.py'))


def walked(node: ast.AST) -> list[ast.AST]:
  return [child for child in ast.walk(node) if not isinstance(child, MARKS)]


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_walk_finds_the_same_nodes(file: Path) -> None:
  tree = ast.parse(file.read_text())
  nodes = Nodes(tree)
  for node in walked(tree):
    found = nodes.walk(node)
    assert found[0] is node
    assert {id(child) for child in found} == {id(child) for child in walked(node)}
    assert len(found) == len(walked(node))


def test_text_order_parents_and_inside() -> None:
  tree = ast.parse('a = f(b, c)\nd = e\n')
  nodes = Nodes(tree)
  names = [node.id for node in nodes.order if isinstance(node, ast.Name)]
  assert names == ['a', 'f', 'b', 'c', 'd', 'e']
  first, second = tree.body
  call = first.value  # type: ignore[attr-defined]
  inner = call.args[0]
  assert nodes.around(inner) == (call, first, tree)
  assert nodes.inside(inner, first) and nodes.inside(first, first)
  assert not nodes.inside(inner, second) and not nodes.inside(first, inner)
  assert nodes.parent(tree) is None


def test_nodes_of_other_trees() -> None:
  nodes, other = Nodes(ast.parse('a')), ast.parse('b + c')
  name = other.body[0].value.left  # type: ignore[attr-defined]
  assert name not in nodes and nodes.parent(name) is None
  assert name in nodes.walk(other)
  assert nodes.inside(name, other)
  assert not nodes.inside(name, nodes.order[0])
