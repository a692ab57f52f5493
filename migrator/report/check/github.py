"""The report of a check as GitHub workflow commands: annotations at the lines of the NNX source."""
from __future__ import annotations

from collections.abc import Iterator

from migrator.report.check.document import Table, module_line, modules_that_differ, not_equal

_DATA = {'%': '%25', '\r': '%0D', '\n': '%0A'}
_PROPERTY = {**_DATA, ':': '%3A', ',': '%2C'}


def workflow_commands(document: Table, prefix: str = '') -> Iterator[str]:
  """Yields one workflow command for every module that differs, and for what no module explains.

  Args:
    document: the JSON of a check.
    prefix: leads from the repository to the folder of the NNX source, such as 'src/'.
  """
  if document['failure']:
    yield command('error', 'linen2nnx check', document['failure'])
  for case in document['cases']:
    if case['exit_code'] == 0:
      continue
    for module, modes in modules_that_differ(case):
      file, _, line = module['nnx_line'].rpartition(':')
      text = f'{module_line(module)} [{", ".join(modes)}]'
      yield command('error', f'{case["name"]}: {module["nnx"] or "the model"}', text,
                    prefix + file if file else '', line)
    text = '\n'.join([*filter(None, [case['failure']]), *not_equal(case)]) or 'nothing could be compared'
    yield command('error', f'{case["name"]} is not equal', text)


def command(level: str, title: str, text: str, file: str = '', line: str = '') -> str:
  """Returns '::error file=...,line=...,title=...::text' with everything escaped."""
  pairs = [('file', file), ('line', line), ('title', title)]
  given = ','.join(f'{name}={_escaped(value, _PROPERTY)}' for name, value in pairs if value)
  return f'::{level} {given}::{_escaped(text, _DATA)}'


def _escaped(text: str, table: dict[str, str]) -> str:
  return ''.join(table.get(character, character) for character in text)
