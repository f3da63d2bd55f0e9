"""The Python function of each command."""
