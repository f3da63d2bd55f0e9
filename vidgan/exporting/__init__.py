"""Trained models as files that run without vidgan's networks: ONNX, torch.export, a web page.

The package is not called `export`, because `vidgan.export` is the function.
"""
