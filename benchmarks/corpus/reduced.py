"""A folder that holds the models of some cases and only what they need to be imported."""
from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.corpus.closure import Closure, needed
from migrator.equivalence import Case

STAND_IN = '''"""In the place of a library that is not installed: it can be imported, and not be used."""
from abc import ABCMeta


class _Absent(ABCMeta):

  def __getattr__(cls, name):
    if name.startswith('_'):
      raise AttributeError(name)
    return _Absent(name, (), {'__module__': __name__})

  def __call__(cls, *args, **keywords):
    if cls.__dict__.get('__module__') == __name__:
      raise ImportError(f'{__name__}.{cls.__name__} is called, but {__name__} is not installed')
    return super().__call__(*args, **keywords)

  def __getitem__(cls, key):
    return cls


def __getattr__(name):
  if name.startswith('__'):
    raise AttributeError(name)
  return _Absent(name, (), {'__module__': __name__})
'''
REFUSES_CALLS = "      raise ImportError(f'{__name__}.{cls.__name__} is called, but {__name__} is not installed')\n"
_DOTTED = re.compile(r'[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+')


def write_reduced(source: Path, cases: Sequence[Case], target: Path, stand_ins: Path) -> list[str]:
  """Writes the sources the cases need to `target`, and stand-ins for what is not installed.

  Args:
    source: folder of the unpacked package.
    cases: their models and the modules their expressions name are what must be importable.
    target: gets the copies; model code is never changed, only `__init__.py` files are cut down.
    stand_ins: gets one module for every library that a copied file imports and that is not installed.

  Returns:
    the dotted names of the libraries that are stood in for.
  """
  closure = needed(source, sorted({name for case in cases for name in _modules(source, case)}))
  for name in sorted(closure.modules):
    place = _place(target, name).with_suffix('.py')
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(closure.file(name), place)
  for package, lines in sorted(closure.exports.items()):
    place = _place(target, package) / '__init__.py'
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(_init_text(lines), encoding='utf-8')
  absent = sorted(name for name in closure.foreign if importlib.util.find_spec(name.split('.')[0]) is None)
  for name in absent:
    stand_in(stand_ins, name)
  return absent


def _modules(source: Path, case: Case) -> set[str]:
  texts = [*case.arguments.values(), *case.nnx_arguments.values(), *case.inputs, *case.keywords.values()]
  found = {case.model.partition(':')[0]}
  closure = Closure(source)
  for text in texts:
    for name in _DOTTED.findall(text) if isinstance(text, str) else ():
      parts = name.split('.')
      prefixes = ['.'.join(parts[:size]) for size in range(len(parts), 0, -1)]
      found |= set([prefix for prefix in prefixes if closure.holds(prefix)][:1])
  return found


def _init_text(lines: Mapping[str, bool]) -> str:
  always = [line for line, needed in lines.items() if needed]
  # What only an import inside of an `if` or a `try` asks for may need a library that is not there.
  perhaps = [f'try:\n  {line}\nexcept ImportError:\n  pass' for line, needed in lines.items() if not needed]
  return ''.join(f'{text}\n' for text in [*always, *perhaps])


def _place(folder: Path, name: str) -> Path:
  return folder.joinpath(*name.split('.'))


def stand_in(folder: Path, name: str, callable_too: bool = False) -> None:
  """Writes a module, and the packages it is in, that can be imported and not be used.

  callable_too: what it holds may be called and gives nothing real: enough for imports, never for numbers.
  """
  text = STAND_IN.replace(REFUSES_CALLS, '      return cls\n') if callable_too else STAND_IN
  parts = name.split('.')
  for size in range(1, len(parts) + 1):
    place = folder.joinpath(*parts[:size])
    place.mkdir(parents=True, exist_ok=True)
    (place / '__init__.py').write_text(text, encoding='utf-8')
