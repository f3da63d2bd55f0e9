"""The verbs of the command line as functions: what `vidgan train` and its fellows do, callable from Python."""
