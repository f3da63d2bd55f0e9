"""What the units of MoCoGAN's frame generator do: concepts they match, factors they follow, effects they have."""
