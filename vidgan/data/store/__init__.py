"""Where prepared clips are kept and read from."""
