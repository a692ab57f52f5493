"""Writes the column of the running versions into rewrites/compatibility.json."""
from __future__ import annotations

import json

from benchmarks.compatibility.judge import judge, samples, versions
from rewrites.compatibility import FILE, table


def main() -> None:
  known, column = dict(table()), versions()
  rows = {}
  for row, _, sample in samples():
    rows[row] = {**{name: found for name, found in known.get(row, {}).items() if name != column}, column: judge(sample)}
    print(f'{row}: {rows[row][column]}', flush=True)
  text = json.dumps({row: dict(sorted(found.items())) for row, found in rows.items()}, indent=1, ensure_ascii=False)
  FILE.write_text(text + '\n', encoding='utf-8')


if __name__ == '__main__':
  main()
