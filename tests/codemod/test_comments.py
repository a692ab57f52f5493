"""Comments are found without Python's tokenizer, and are the same."""
from __future__ import annotations

import io
import tokenize
from pathlib import Path

import pytest

from migrator.codemod.comments import comments

FILES = sorted((Path(__file__).parents[2] / 'migrator').rglob('*.py'))


def tokenized(text: str) -> list[tuple[int, str]]:
  tokens = tokenize.generate_tokens(io.StringIO(text).readline)
  return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


@pytest.mark.parametrize('text', [
  'x = 1  # one\n# two\n',
  'x = "# no"  # yes\n',
  "x = '''\n# no\n'''\n# yes\n",
  'x = """a "quoted" # no\n""" # yes\n',
  r"x = 'it\'s # no'  # yes" + '\n',
  'x = r"\\" # no"  # yes\n',
  'x = ""  # yes\nx = """"""  # yes\n',
  "x = ('a'  # one\n     f'{b} # no'  # two\n     )\n",
])
def test_comments_are_those_of_the_tokenizer(text: str) -> None:
  assert comments(text) == tokenized(text)


def test_comments_of_real_files() -> None:
  assert sum(len(comments(file.read_text())) for file in FILES) > 100
  for file in FILES:
    assert comments(file.read_text()) == tokenized(file.read_text()), file.name
