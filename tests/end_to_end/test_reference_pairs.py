"""The pairs written by hand: the migration gives classes the same constructor and the same members."""
from __future__ import annotations

import ast

import pytest

from tests.end_to_end.programs import all_programs, changed_files

PAIRS = [program for program in all_programs() if (program.folder / 'nnx_reference.py').is_file()]


def outline(text):
  """Class name -> (constructor parameters in order, names of the attributes it sets) of every NNX class."""
  found = {}
  for node in ast.walk(ast.parse(text)):
    if isinstance(node, ast.ClassDef) and [ast.unparse(base) for base in node.bases] == ['nnx.Module']:
      init = next(item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == '__init__')
      for argument in init.args.kwonlyargs:
        argument.annotation = None  # how a shape is annotated is a matter of taste
      found[node.name] = ast.unparse(init.args), _attributes(init)
  return found


def _attributes(function):
  stored = (node for node in ast.walk(function) if isinstance(node, ast.Attribute))
  return sorted({node.attr for node in stored
                 if isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == 'self'})


def test_there_are_four_pairs():
  names = [program.name for program in PAIRS]
  assert names == ['example_mlp', 'example_resnet', 'example_training', 'example_vit']


@pytest.mark.parametrize('program', PAIRS, ids=lambda program: program.name)
def test_constructors_and_members_are_those_written_by_hand(program, migration):
  root, result = migration(program)
  wanted = outline((program.folder / 'nnx_reference.py').read_text())
  assert wanted
  assert outline(changed_files(result, root)[f'{program.name}.py'].decode()) == wanted
