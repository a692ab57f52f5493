"""Files that the recorded processes load; nothing in them needs this package or anything beyond what is loaded anyway."""
