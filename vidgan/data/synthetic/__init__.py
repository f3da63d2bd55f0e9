"""Generated clips: moving shapes with exact flow, their scores, and moving digits. Nothing here reads data sets."""
