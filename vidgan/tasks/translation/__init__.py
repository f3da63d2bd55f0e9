"""Paired clip-to-clip translation: pix2pix and vid2vid."""
