"""Seeds as a function of keys; needs no torch."""

import hashlib

__all__ = ["Key", "derive_seed"]

Key = int | str


def derive_seed(*keys: Key) -> int:
    """Hash integers and strings to a 63-bit seed; different key tuples give unrelated seeds."""
    digest = hashlib.blake2b(repr(keys).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
