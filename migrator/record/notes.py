"""Notes of calls become cases: calls of one model with one set of shapes are one case."""
from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_SOWN = ('params', 'intermediates', 'perturbations')
# Flags that say whether a call trains, and their value then.
_TRAINING = {'train': True, 'training': True, 'is_training': True, 'deterministic': False, 'use_running_average': False,
             'eval': False, 'evaluate': False}


class Notes(NamedTuple):
  """What a run left.

  calls: the notes of calls; skipped: those that no case can hold, as (model, reason), each once.
  """

  calls: list[dict[str, Any]]
  skipped: list[tuple[str, str]]


def read_notes(folder: Path) -> Notes:
  """Reads the notes of all processes of a run; half a line at the end of a killed one is left out."""
  calls: dict[str, dict[str, Any]] = {}
  skipped: set[tuple[str, str]] = set()
  for file in sorted(folder.glob('*.jsonl')):
    for line in file.read_text(encoding='utf-8').splitlines():
      try:
        note = json.loads(line)
      except ValueError:
        continue
      if 'skipped' in note:
        skipped.add((note['skipped'], note['why']))
      else:
        calls[line] = note
  return Notes([calls[line] for line in sorted(calls)], sorted(skipped))


def cases_of(calls: Iterable[Mapping[str, Any]], limit: int = 3) -> list[dict[str, Any]]:
  """Returns the cases of some calls, as tables, in a stable order.

  limit: how many cases are kept that differ in numbers alone.
  Calls that differ in flags, streams and changed collections, in the size of the first axis alone (the smallest of at
  least 2 is taken) or in the range of whole numbers are one case; `init` only counts for models that no `apply` calls.
  """
  calls = list(calls)
  applied = {_model_key(call) for call in calls if call['kind'] == 'apply'}
  groups: dict[str, list[Mapping[str, Any]]] = {}
  for call in calls:
    if call['kind'] == 'apply' or _model_key(call) not in applied:
      groups.setdefault(_key(call), []).append(call)
  return few([_case(groups[key]) for key in sorted(groups)], limit)


def _model_key(call: Mapping[str, Any]) -> str:
  return json.dumps([call['model'], call['fields']], sort_keys=True)


def _key(call: Mapping[str, Any]) -> str:
  inputs = [_shapeless(value) for value in call['inputs']]
  keywords = {name: _shapeless(value) for name, value in call['keywords'].items()}
  return json.dumps([call['model'], call['fields'], call['method'], inputs, keywords], sort_keys=True)


def _shapeless(value: Mapping[str, Any]) -> Any:
  """Returns an input without what may differ inside one case."""
  return [value['array'], len(value['shape']), value['shape'][1:]] if 'array' in value else value['text']


def _case(calls: list[Mapping[str, Any]]) -> dict[str, Any]:
  first = min(calls, key=_size)
  train = [call for call in calls if _is_training(call)]
  evaluation = [call for call in calls if not _is_training(call)]
  bounds = _bounds(calls)
  case: dict[str, Any] = {'name': '', 'model': first['model']}
  if first['fields']:
    case['arguments'] = first['fields']
  case['inputs'] = [_spec(value, bounds.get(str(k))) for k, value in enumerate(first['inputs'])]
  if first['keywords']:
    case['keywords'] = {name: _spec(value, bounds.get(name)) for name, value in sorted(first['keywords'].items())}
  case['eval'] = evaluation[0]['flags'] if evaluation else False
  if train:
    case['train'] = train[0]['flags']
  streams = sorted({name for call in calls for name in call['rngs'] if name != 'params'})
  mutable = {name for call in train for name in call['mutable']} - set(_SOWN)
  eval_mutable = {name for call in evaluation for name in call['mutable']} - set(_SOWN)
  for key, names in (('rngs', streams), ('mutable', sorted(mutable)), ('eval_mutable', sorted(eval_mutable))):
    if names:
      case[key] = list(names)
  if first['method'] != '__call__':
    case['method'] = first['method']
  return case


def _size(call: Mapping[str, Any]) -> tuple[bool, list[int], str]:
  """Orders calls by the size of their first axis; 1 comes last, since it hides what happens along it."""
  firsts = [value['shape'][0] for value in (*call['inputs'], *call['keywords'].values())
            if value.get('shape')]
  return any(size < 2 for size in firsts), firsts, json.dumps(call, sort_keys=True)


def _is_training(call: Mapping[str, Any]) -> bool:
  for name, value in call['flags'].items():
    if name in _TRAINING:
      return bool(value is _TRAINING[name])
  return 'batch_stats' in call['mutable'] or call['kind'] == 'apply' and 'dropout' in call['rngs']


def _bounds(calls: Iterable[Mapping[str, Any]]) -> dict[str, int]:
  """Returns the widest range of whole numbers of every input."""
  found: dict[str, int] = {}
  for call in calls:
    for name, value in (*((str(k), item) for k, item in enumerate(call['inputs'])), *call['keywords'].items()):
      if 'bound' in value:
        found[name] = max(found.get(name, 2), value['bound'])
  return found


def _spec(value: Mapping[str, Any], bound: int | None) -> str:
  if 'text' in value:
    return f'={value["text"]}'
  text = f'{value["array"]}[{",".join(map(str, value["shape"]))}]'
  return text if bound is None else f'{text} < {bound}'


def _named(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
  """Names the cases after their classes, with numbers where there are several."""
  stems = [_stem(case) for case in cases]
  counts: dict[str, int] = {}
  for case, stem in zip(cases, stems):
    counts[stem] = counts.get(stem, 0) + 1
    case['name'] = stem if stems.count(stem) == 1 else f'{stem} {counts[stem]}'
  return cases


def _stem(case: Mapping[str, Any]) -> str:
  name = case['model'].rpartition(':')[2].replace('.', ' ')
  words = re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', ' ', name).lower()
  return words if 'method' not in case else f'{words} {case["method"]}'


def merged(old: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """Returns the old cases, with what the new ones add to them, and the new ones that are other cases.

  Names of old cases stay.
  """
  found = {_case_key(case): dict(case) for case in old}
  names = {case['name'] for case in found.values()}
  for case in new:
    key = _case_key(case)
    if key in found:
      found[key] = _both(found[key], case)
      continue
    stem, name, number = re.sub(r' \d+$', '', case['name']), case['name'], 1
    while name in names:
      number += 1
      name = f'{stem} {number}'
    names.add(name)
    found[key] = {**case, 'name': name}
  return list(found.values())


def _case_key(case: Mapping[str, Any]) -> str:
  """Returns what two cases share that are one: all but name, flags, collections, first axes and ranges."""
  def shape(text: str) -> str:
    return text if text.startswith('=') else re.sub(r'\[\d+', '[', text).partition(' <')[0]

  inputs = [shape(text) for text in case.get('inputs', ())]
  keywords = {name: shape(text) for name, text in case.get('keywords', {}).items()}
  return json.dumps([case['model'], case.get('arguments', {}), case.get('method'), inputs, keywords], sort_keys=True)


def _both(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the old case with the flags, streams and collections that only the new one has."""
  found = dict(old)
  for flags in ('eval', 'train'):
    if found.get(flags, False) is False and new.get(flags, False) is not False:
      found[flags] = new[flags]
  for names in ('rngs', 'mutable', 'eval_mutable'):
    if new.get(names):
      found[names] = sorted({*found.get(names, ()), *new[names]})
  order = ('name', 'model', 'arguments', 'inputs', 'keywords', 'eval', 'train', 'rngs', 'mutable', 'eval_mutable')
  return {key: found[key] for key in (*order, *(key for key in found if key not in order)) if key in found}


def few(cases: Iterable[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
  """Returns at most `limit` of the cases that differ in numbers alone, those with the smallest inputs."""
  groups: dict[str, list[dict[str, Any]]] = {}
  for case in cases:
    groups.setdefault(_kind(case), []).append(case)
  kept = [case for group in groups.values() for case in sorted(group, key=_weight)[:limit]]
  return _named(sorted(kept, key=lambda case: json.dumps(_nameless(case), sort_keys=True)))


def _kind(case: Mapping[str, Any]) -> str:
  """Returns a case without the sizes of arrays and the numbers among the fields."""
  def plain(value: Any) -> Any:
    return type(value).__name__ if isinstance(value, int | float) and not isinstance(value, bool) else value

  bare = {**case, 'name': '', 'arguments': {key: plain(value) for key, value in case.get('arguments', {}).items()}}
  bare['inputs'] = [_rank(text) for text in case.get('inputs', ())]
  bare['keywords'] = {key: _rank(text) for key, text in case.get('keywords', {}).items()}
  return json.dumps(bare, sort_keys=True)


def _rank(text: str) -> str:
  return text if text.startswith('=') else re.sub(r'\d+', 'n', text.partition('[')[2]) + text.partition('[')[0]


def _weight(case: Mapping[str, Any]) -> tuple[int, str]:
  sizes = [int(size) for text in (*case.get('inputs', ()), *case.get('keywords', {}).values())
           if not text.startswith('=') for size in re.findall(r'\d+', text.partition('[')[2].partition(']')[0])]
  return sum(sizes), json.dumps(case, sort_keys=True)


def _nameless(case: Mapping[str, Any]) -> dict[str, Any]:
  return {key: value for key, value in case.items() if key != 'name'}
