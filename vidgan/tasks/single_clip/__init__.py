"""The task `single_clip`: new clips from one clip."""
