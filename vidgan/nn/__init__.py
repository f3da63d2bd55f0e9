"""Building blocks of the networks: layers, noise, initialisation, augmentation, ConvLSTM, blur, warping."""
