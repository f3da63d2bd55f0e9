"""The command line: one module per command group. Nothing here imports torch at module level."""
