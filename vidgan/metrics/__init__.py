"""Metrics: clips in, numbers out."""
