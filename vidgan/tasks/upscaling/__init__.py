"""The task `upscaling`: super-resolution of clips."""
