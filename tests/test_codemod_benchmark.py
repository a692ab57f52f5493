"""The benchmark of the codemod prints a line for each package, one for all, and where the time goes."""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCE = """import jax.numpy as jnp
from flax import linen as nn


class {name}(nn.Module):
  features: int

  @nn.compact
  def __call__(self, x):
    return jnp.tanh(nn.Dense(self.features)(x))
"""


def test_every_package_and_their_sum(tmp_path: Path) -> None:
  for name, files in (('one', 1), ('two', 2)):
    folder = tmp_path / name
    folder.mkdir()
    for number in range(files):
      (folder / f'model{number}.py').write_text(SOURCE.format(name=f'Model{number}'))
    (folder / 'other.py').write_text('LINES = 3\n')
  command = [sys.executable, '-m', 'benchmarks.codemod', '--only-linen', str(tmp_path / 'one'), str(tmp_path / 'two')]
  done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
  assert [rows[name][0] for name in ('one', 'two', 'all')] == ['1', '2', '3']
  for name in ('one', 'two', 'all'):
    parse, migrate, ratio, start, whole = (float(cell.rstrip('x')) for cell in rows[name][1:6])
    assert parse >= 0 and migrate > 0 and ratio > 0 and start > 0 and whole > ratio
  total = sum(float(rows[name][2]) for name in ('one', 'two'))
  assert abs(total - float(rows['all'][2])) < 0.02
  stages = re.findall(r'^  (\w[\w ]*?) +([\d.-]+) s', done.stdout, re.MULTILINE)
  assert [name for name, _ in stages] == ['reading', 'grouping', 'interpreting', 'planning', 'writing', 'the rest']
  assert float(dict(stages)['interpreting']) > 0
