"""Video prediction with Dual Motion GAN."""
