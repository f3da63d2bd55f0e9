"""Reusable layers: blocks, ConvLSTM, discriminators, warping, blur, noise, augmentation, initialisation."""
