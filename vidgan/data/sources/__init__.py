"""Reading what people have: videos, image folders, strips, arrays, archives."""
