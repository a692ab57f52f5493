"""Cases from real runs: a hook notes the Linen models that a command calls, and the notes become cases for `check`.

`hook` is loaded by the processes of that command and stands alone; the rest reads what it wrote.
"""
