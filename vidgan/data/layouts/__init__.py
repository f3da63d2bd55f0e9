"""Recognise the published data sets as they are downloaded, one module per data set, and plain folders of files.

`layout` defines what a layout is, `benchmarks` names all of them, and `discovery.discover` applies one to a folder.
"""
