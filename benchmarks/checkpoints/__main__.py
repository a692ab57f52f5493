"""Measures, and prints the table of figures with what each must reach."""
from __future__ import annotations

import argparse
import compileall
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.checkpoints import faults, state, table
from benchmarks.checkpoints.measure import Run, interleaved, median, remove

HERE = Path(__file__).parent
# What takes Orbax several times the checkpoint in memory.
LARGE = {'converter': ['converter'], 'transposes': ['transpose', 'transpose, encoded', 'restore + transpose + save']}


def main() -> int:
  """Returns 1 if a figure misses its goal."""
  parser = argparse.ArgumentParser(prog='python -m benchmarks.checkpoints', description=__doc__)
  parser.add_argument('--sizes', nargs='+', choices=list(state.SIZES), default=['2g'], help='needs 6 times as much disk')
  parser.add_argument('--layouts', nargs='+', choices=list(state.LAYOUTS), default=['ocdbt', 'directories', 'msgpack'])
  parser.add_argument('--repeats', type=int, default=3)
  parser.add_argument('--trials', type=int, default=100, help='flipped bits')
  parser.add_argument('--kills', type=int, default=50)
  parser.add_argument('--leave-out', nargs='+', default=[], choices=list(LARGE),
                      help='what takes Orbax three times the checkpoint in memory')
  parser.add_argument('--no-faults', action='store_true', help='flip no bits and kill nothing')
  parser.add_argument('--folder', type=Path, help='keeps the sources there for another run')
  given = parser.parse_args()
  with tempfile.TemporaryDirectory(prefix='checkpoints-') as temporary:
    figures = _measured(given, given.folder or Path(temporary))
  print(table.markdown(figures))
  return int(table.missed(figures))


def _measured(given: argparse.Namespace, folder: Path) -> list[table.Figure]:
  for name in ('migrator', 'rewrites'):
    compileall.compile_dir(HERE.parent.parent / name, quiet=1)
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'manifest.json').write_text(state.manifest().to_json())
  runs: dict[tuple[str, str], dict[str, list[Run]]] = {}
  for size in given.sizes:
    for layout in given.layouts:
      source = _source(folder, size, layout)
      left = [name for choice in given.leave_out for name in LARGE[choice]]
      commands = {name: words for name, words in _commands(source, folder, layout, layout == given.layouts[0]).items()
                  if name not in left}
      print(f'{size} {layout}', file=sys.stderr, flush=True)
      runs[size, layout] = interleaved(commands, source, folder / 'out', given.repeats)
      if layout == given.layouts[0]:
        # What takes a second each is measured more often.
        runs[size, layout] |= interleaved(_copies(source, folder), source, folder / 'out', 2 * given.repeats + 1)
        runs[size, layout] |= _checked(folder, source, 2 * given.repeats + 1)
  return [*table.figures(runs), *(() if given.no_faults else _faults(given, folder, runs))]


def _source(folder: Path, size: str, layout: str) -> Path:
  path = folder / f'{size}-{layout}'
  if not path.exists():
    part = folder / f'{size}-{layout}.part'
    remove(part)
    subprocess.run([sys.executable, HERE / 'state.py', size, layout, part], check=True, capture_output=True,
                   env={**os.environ, 'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(HERE.parent.parent)})
    part.rename(path)
  return path


def _convert(source: Path, folder: Path, *options: str) -> list[str]:
  return [sys.executable, '-m', 'migrator', 'convert', str(source), str(folder / 'out'), '--manifest',
          str(folder / 'manifest.json'), *options]


def _commands(source: Path, folder: Path, layout: str, first: bool) -> dict[str, list[str]]:
  """Returns what is measured on a source; transposes on the first layout only."""
  peer = [sys.executable, str(HERE / 'peers.py')]
  ends = [str(source), str(folder / 'out')]
  commands = {
    'rename': _convert(source, folder),
    'stack': _convert(source, folder, '--rule', 'stack layers/{} layers 0'),
    'restore + save': [*peer, 'restore-save', *ends],
    'converter': [*peer, 'converter', *ends],
  }
  if first:
    commands |= {
      'transpose': _convert(source, folder, *_every_matrix()),
      'transpose, encoded': _convert(source, folder, *_every_matrix(), '--reencode'),
      'restore + transpose + save': [*peer, 'transpose', *ends],
    }
  return commands


def _copies(source: Path, folder: Path) -> dict[str, list[str]]:
  return {'copy': _convert(source, folder, '--copy'), 'cp -r': ['cp', '-r', str(source), str(folder / 'out')]}


def _every_matrix() -> list[str]:
  rules = {'mlp/*/kernel': '1,0', 'attention/*/kernel': '2,1,0', 'embed/embedding': '1,0'}
  return [word for name, order in rules.items() for word in ('--rule', f'transpose {name} {order}')]


def _checked(folder: Path, source: Path, repeats: int) -> dict[str, list[Run]]:
  """Measures the deep check of a converted checkpoint against reading it, from the disk."""
  kept = folder / 'kept'
  remove(kept)
  words = _convert(source, folder, '--verify', 'deep', '--copy')
  words[words.index(str(folder / 'out'))] = str(kept)
  subprocess.run(words, check=True, capture_output=True)
  commands = {'verify': [sys.executable, '-m', 'migrator', 'verify', str(kept)],
              'read': [sys.executable, str(HERE / 'peers.py'), 'read', str(kept), '-']}
  found = interleaved(commands, kept, folder / 'nothing', repeats, cold=True)
  remove(kept)
  return found


def _faults(given: argparse.Namespace, folder: Path, runs: dict[tuple[str, str], dict[str, list[Run]]]) -> list[table.Figure]:
  small = _source(folder, 'tiny', 'ocdbt')
  faults.small_copy(_convert(small, folder, '--copy', '--verify', 'deep'), folder / 'out')
  found = faults.flips(folder / 'out', [sys.executable, '-m', 'migrator', 'verify', str(folder / 'out')], given.trials)
  remove(folder / 'out')
  size, layout = given.sizes[0], given.layouts[0]
  taken = runs[size, layout]
  source = folder / f'{size}-{layout}'
  commands = [(_convert(source, folder), median(taken['rename'], 'seconds')),
              (_convert(source, folder, '--copy'), median(taken['copy'], 'seconds'))]
  counts = faults.kills(commands, source, folder / 'out', given.kills)
  print(json.dumps(counts), file=sys.stderr)
  return [table.Figure(f'flipped bits found, of {given.trials}', f'{found}', f'{given.trials}', found == given.trials),
          table.Figure(f'kill -9 at {given.kills} moments: partial targets, changed sources, left behind',
                       f'{counts["partial"]}, {counts["changed sources"]}, {counts["left behind"]} '
                       f'(no target {counts["none"]}, whole {counts["whole"]})', '0, 0, 0',
                       not counts['partial'] and not counts['changed sources'] and not counts['left behind'])]


if __name__ == '__main__':
  sys.exit(main())
