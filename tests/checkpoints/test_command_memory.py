"""A conversion that computes no array imports no jax, flax or orbax, and stays small."""
from __future__ import annotations

import importlib.util
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from trees import save

from migrator.manifest import ClassMap, Leaf, Loop, Manifest, Submodule

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = r"""
import json, pathlib, re, sys
from migrator.cli import main
try:
  main(sys.argv[1:])
except SystemExit as done:
  code = done.code
heavy = sorted({'jax', 'flax', 'orbax', 'optax', 'libcst', 'numpy', 'tensorstore', 'ml_dtypes'} & set(sys.modules))
# Not getrusage: its peak is that of the process before exec, too.
peak = int(re.search(r'VmHWM:\s*(\d+)', pathlib.Path('/proc/self/status').read_text())[1])
print(json.dumps([code, heavy, peak // 1024]))
"""


def manifest():
  """Equal blocks in a list, with one kernel each."""
  entry = lambda name, members: ClassMap(name, 'm.py', 1, 'native', (), (), (), (), members)
  block = entry('m:Block', (Leaf('kernel', 'params', ('kernel',)),))
  body = Submodule(('layers_{}',), None, ('layers', '*'), 'm:Block')
  return Manifest({'m:Block': block, 'm:Root': entry('m:Root', (Loop((body,)),))})


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  folder = tmp_path_factory.mktemp('large')
  kernel = np.random.default_rng(0).normal(size=(1200, 1000)).astype(np.float32)
  tree = {f'layers_{number}': {'kernel': kernel + number} for number in range(10)}
  save(folder / 'in', {'params': {'params': tree}, 'step': np.int32(3), 'opt_state': {'mu': {'params': tree}}})
  (folder / 'manifest.json').write_text(manifest().to_json())
  return folder


@pytest.mark.parametrize('options, megabytes', [
  ([], 120), (['--rule', 'stack layers/{} layers 0'], 120), (['--dry-run'], 120), (['--copy'], 120), (['--verify', 'deep'], 120),
  # 3 times the largest array, and 150 MB.
  (['--rule', 'transpose layers/*/kernel 1,0', '--reencode', '--budget', '16'], 150 + 3 * 5)])
def test_a_hundred_megabytes_in_little_memory(files, options, megabytes, tmp_path):
  words = ['convert', files / 'in', tmp_path / 'out', '--manifest', files / 'manifest.json', *options]
  done = subprocess.run([sys.executable, '-c', PROGRAM, *map(str, words)], cwd=ROOT, capture_output=True, text=True,
                        check=False)
  assert done.returncode == 0, done.stderr
  code, heavy, peak = json.loads(done.stdout.splitlines()[-1])
  # Computing takes NumPy; the deep check reads the index through TensorStore too, and so does all where Zstandard is not there.
  computes = {'numpy', 'ml_dtypes', 'tensorstore'}
  allowed = computes if 'deep' in options or importlib.util.find_spec('zstandard') is None else (
    computes - {'tensorstore'} if '--reencode' in options else set())
  assert code == 0 and set(heavy) <= allowed, done.stderr
  assert peak < megabytes
