"""`linen2nnx rules`: what is known of each Linen layer and function, from the records."""
from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from migrator.failure import Failure

if TYPE_CHECKING:
  from rewrites.record import Layer

EPILOG = """\b
Examples:
  linen2nnx rules                  every layer and function, one line each
  linen2nnx rules Dense            one in full, with before and after
  linen2nnx rules --json           all of it for a program
"""


@click.command('rules', epilog=EPILOG)
@click.argument('name', required=False)
@click.option('--json', 'as_json', is_flag=True, help='Print JSON.')
def command(name: str | None, as_json: bool) -> int:
  """List what Linen names become; with NAME (Dense, nn.Dense, flax.linen.Dense) one of them in full."""
  from rewrites import registry

  rows = [_layer(layer) for layer in registry.layers()]
  rows += [_function(old, new) for old, new in registry.functions().items()]
  rows.sort(key=lambda row: row['linen'][0])
  if name is not None:
    rows = _matching(rows, name)
  if as_json:
    click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
  elif name is None:
    _print_table(rows)
  else:
    for row in rows:
      _print_full(row)
  return 0


def _layer(layer: Layer) -> dict[str, Any]:
  return {
    'kind': 'layer',
    'linen': list(layer.linen),
    'nnx': layer.nnx,
    'helper': layer.helper is not None,
    'numerics': layer.numerics,
    'flax': layer.flax,
    'notes': layer.notes,
    'arguments': {argument.linen: argument.nnx for argument in layer.arguments},
    'unsupported': {row.linen: row.unsupported for row in layer.arguments if row.unsupported},
    'examples': [{'before': example.before, 'after': example.after} for example in layer.examples],
  }


def _function(old: str, new: str) -> dict[str, Any]:
  return {'kind': 'function', 'linen': [old], 'nnx': new}


def _matching(rows: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
  """Rows whose qualified or short name is `name`; a name without a rewrite answers with its reason."""
  from rewrites import registry

  full = name.replace('nn.', 'flax.linen.', 1) if name.startswith('nn.') else name
  found = [row for row in rows if any(full in (known, known.rpartition('.')[2]) for known in row['linen'])]
  if found:
    return found
  for candidate in (full, f'flax.linen.{full}'):
    reason = registry.manual_reason(candidate)
    if reason is not None:
      return [{'kind': 'manual', 'linen': [candidate], 'nnx': None, 'notes': reason}]
  short = sorted({known.rpartition('.')[2] for row in rows for known in row['linen']})
  near = difflib.get_close_matches(full.rpartition('.')[2], short, n=3)
  hint = f'did you mean {", ".join(near)}?' if near else 'see `linen2nnx rules`'
  raise Failure(f'no rule for {name}; {hint}')


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
  width = max((len(row['linen'][0]) for row in rows), default=0)
  for row in rows:
    marks = ' (helper)' if row.get('helper') else ''
    marks += ' (other rounding)' if row.get('numerics') == 'rounding' else ''
    click.echo(f'{row["linen"][0]:<{width}}  {row["nnx"]}{marks}')


def _print_full(row: dict[str, Any]) -> None:
  click.echo(f'{", ".join(row["linen"])} -> {row["nnx"] or "no rewrite"}')
  if row.get('notes'):
    click.echo(f'\n{row["notes"]}')
  for name, reason in row.get('unsupported', {}).items():
    click.echo(f'\nNot written natively: {name}: {reason}')
  for example in row.get('examples', ()):
    click.echo(f'\nbefore\n{_indented(example["before"])}')
    click.echo(f'\nafter\n{_indented(example["after"] or "(unchanged)")}')


def _indented(text: str) -> str:
  return '\n'.join(f'    {line}' if line else '' for line in text.strip('\n').split('\n'))
