"""The table of published names agrees with the installed Flax."""
from __future__ import annotations

import ast
import inspect
import pathlib

from migrator.source.flax_names import LINEN_EXPORTS, MODULE_CLASSES, canonical


def test_every_published_name_is_in_the_table():
  import flax.linen as nn

  tree = ast.parse(pathlib.Path(nn.__file__).read_text())
  published = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
               for alias in node.names}
  assert published <= LINEN_EXPORTS
  assert all(hasattr(nn, name) for name in LINEN_EXPORTS - {'partitioning', 'kw_only_dataclasses'})


def test_each_name_is_the_same_thing_under_both_spellings():
  import flax.linen as nn

  for name in vars(nn):
    thing = getattr(nn, name)
    home = getattr(thing, '__module__', '') or ''
    if home.startswith('flax.linen.') and getattr(thing, '__name__', None) == name:
      assert canonical(f'{home}.{name}') == f'flax.linen.{name}'


def test_the_module_classes_are_exactly_the_modules():
  import flax.linen as nn

  modules = {f'flax.linen.{name}' for name, thing in vars(nn).items()
             if inspect.isclass(thing) and issubclass(thing, nn.Module)}
  assert modules == MODULE_CLASSES


def test_other_names_are_left_alone():
  for name in ('jax.numpy.sum', 'flax.linen.dtypes.promote_dtype', 'flax.training.train_state.TrainState',
               'flax.linen.initializers.normal', 'flax', 'flaxmodels.linen.linear.Dense'):
    assert canonical(name) == name
