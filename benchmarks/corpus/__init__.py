"""The tool over pinned public packages: what it migrates, what it leaves and why, and that nothing breaks."""
