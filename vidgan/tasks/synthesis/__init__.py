"""Clip synthesis with MoCoGAN."""
