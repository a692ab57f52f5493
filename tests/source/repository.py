"""Builds small repositories on disk for the tests of the reader."""
from __future__ import annotations

import textwrap

from migrator.source import read_project


def write(root, files):
  """Writes {relative path: text or bytes} below `root`."""
  for name, content in files.items():
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
      path.write_bytes(content)
    else:
      path.write_text(textwrap.dedent(content), newline='')
  return root


def project(root, files):
  """Writes the files and reads them."""
  return read_project([write(root, files)], root)


def linen(found):
  """The names of the Linen classes of a project."""
  return {name for name, item in found.classes.items() if item.is_linen}
