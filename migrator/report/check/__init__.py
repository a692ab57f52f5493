"""The report of `check` in words, as GitHub annotations and as HTML; all read the published JSON.

`schema.json` beside this file describes it.
"""
