"""Imports go one way, and nothing heavy is imported before it is needed."""
from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Layer -> the layers it may import besides itself.  A module belongs to the first layer that matches.
SHARED = {'migrator.failure', 'migrator'}
LOWER = {'migrator.source', 'migrator.shapes', 'migrator.manifest', 'rewrites'} | SHARED
MAY_IMPORT = {
  'migrator.commands': {'migrator.config', 'migrator.roots', 'migrator.codemod', 'migrator.weights',
                        'migrator.checkpoints', 'migrator.equivalence', 'migrator.record', 'migrator.report'} | LOWER,
  'migrator.cli': {'migrator.commands', 'migrator.config', 'migrator.report'} | LOWER,
  'migrator.__main__': {'migrator.cli'},
  'migrator.plugin': {'migrator.config', 'migrator.roots', 'migrator.equivalence', 'migrator.report'} | LOWER,
  'migrator.codemod': {'migrator.report'} | LOWER,
  'migrator.weights': {'migrator.checkpoints'} | LOWER - {'migrator.source', 'migrator.shapes'},
  'migrator.checkpoints': {'migrator.weights.errors'} | SHARED,
  'migrator.equivalence': {'migrator.weights', 'migrator.report'} | LOWER,
  'migrator.report': LOWER,
  'migrator.record': set(SHARED),
  # Facts about the source are told as findings, which are data: only that file of `report` is below.
  'migrator.source': {'migrator.report.findings', 'rewrites'} | SHARED,
  'migrator.shapes': {'migrator.source', 'migrator.report.findings', 'rewrites'} | SHARED,
  'migrator.manifest': set(SHARED),
  'migrator.config': set(SHARED),
  'migrator.roots': set(SHARED),
  'migrator.failure': set(),
  'rewrites': set(),
  'migrator': set(),
}
NEVER = {
  'rewrites': {'jax', 'flax', 'libcst', 'orbax', 'optax'},
  'migrator.source': {'jax', 'flax', 'orbax', 'libcst', 'optax'},
  'migrator.shapes': {'jax', 'flax', 'orbax', 'libcst', 'optax'},
  'migrator.codemod': {'jax', 'flax', 'orbax', 'optax'},
  'migrator.report': {'jax', 'flax', 'orbax', 'optax', 'libcst'},
  'migrator.weights': {'libcst'},
  'migrator.checkpoints': {'libcst', 'flax', 'optax'},
  'migrator.equivalence': {'libcst'},
  'migrator.record': {'flax', 'orbax', 'optax', 'libcst'},
}
# The one module that asks JAX about shapes.
EXCEPTIONS = {('migrator.shapes.dims', 'jax')}


def modules():
  for package in ('migrator', 'rewrites'):
    for file in sorted((ROOT / package).rglob('*.py')):
      parts = file.relative_to(ROOT).with_suffix('').parts
      yield '.'.join(parts[:-1] if parts[-1] == '__init__' else parts), file


MODULES = dict(modules())


def is_under(module, layer):
  return module == layer or module.startswith(layer + '.')


def layer_of(module):
  if module == 'migrator':
    return 'migrator'
  return next((layer for layer in MAY_IMPORT if layer != 'migrator' and is_under(module, layer)), None)


def imports(module, file):
  """(imported dotted name, line) of every import, inside functions and TYPE_CHECKING blocks too."""
  package = module if file.name == '__init__.py' else module.rpartition('.')[0]
  for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
    if isinstance(node, ast.Import):
      yield from ((alias.name, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      parents = package.split('.')[:len(package.split('.')) - node.level + 1] if node.level else []
      base = '.'.join([*parents, *filter(None, [node.module])])
      for alias in node.names:
        full = f'{base}.{alias.name}'
        yield (full if full in MODULES else base), node.lineno


def is_allowed(module, imported):
  layer = layer_of(module)
  is_ours = imported.split('.')[0] in ('migrator', 'rewrites')
  if not is_ours or is_under(imported, layer) and layer != 'migrator':
    return True
  exact = imported in MAY_IMPORT[layer]
  return exact or any(is_under(imported, below) for below in MAY_IMPORT[layer] - {'migrator'})


def test_every_module_belongs_to_a_layer():
  assert [name for name in MODULES if layer_of(name) is None] == []


def test_imports_follow_the_arrows():
  wrong = [f'{file.relative_to(ROOT)}:{line} imports {imported}'
           for module, file in MODULES.items() for imported, line in imports(module, file)
           if not is_allowed(module, imported)]
  assert wrong == []


def test_no_layer_imports_what_it_must_not_know():
  # Anywhere in the file, lazily too; `rewrites` modules hold their Flax code in texts and samples.
  wrong = [f'{file.relative_to(ROOT)}:{line} imports {imported}'
           for module, file in MODULES.items() for imported, line in imports(module, file)
           if (top := imported.split('.')[0]) in NEVER.get(layer_of(module), ())
           and (module, top) not in EXCEPTIONS]
  assert wrong == []


@pytest.mark.parametrize('importer, imported', [
    ('migrator.source.files', 'migrator.codemod'), ('rewrites.record', 'migrator.failure'),
    ('migrator.weights', 'migrator.codemod.write'), ('migrator.manifest', 'migrator.source'),
    ('migrator.report.terminal', 'migrator.codemod'), ('migrator.codemod', 'migrator.commands.migrate'),
])
def test_the_rule_itself_refuses(importer, imported):
  assert not is_allowed(importer, imported)


def loaded_after(statement, watched):
  """Which of the watched top-level packages a fresh interpreter has loaded after a statement."""
  code = f'import sys\n{statement}\nprint(*sorted({set(watched)!r} & set(sys.modules)))'
  done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  return done.stdout.split()


HEAVY = ('jax', 'flax', 'libcst', 'orbax', 'optax', 'tensorstore')


@pytest.mark.parametrize('statement, unwanted', [
    ('import rewrites.registry; rewrites.registry.layers()', ('jax', 'flax', 'orbax', 'libcst')),
    # The process that compares; only its two workers need JAX.
    ('import migrator.equivalence.certified', ('jax', 'flax', 'orbax', 'libcst', 'optax')),
    ('import migrator.source', ('jax', 'flax', 'orbax', 'libcst')),
    ('import migrator.codemod', ('jax', 'flax', 'orbax')),
    ('import migrator.weights', ('libcst',)),
    ('import migrator.weights.convert, migrator.checkpoints.verify', ('jax', 'flax', 'orbax', 'libcst', 'optax')),
    ('import migrator.equivalence', ('libcst',)),
    ('import migrator.cli', HEAVY),
    ('import migrator.plugin', HEAVY),
    ('import migrator.manifest', HEAVY),
])
def test_importing_loads_nothing_heavy(statement, unwanted):
  assert loaded_after(statement, unwanted) == []


def test_the_probe_sees_what_is_loaded():
  assert loaded_after('import libcst', HEAVY) == ['libcst']
