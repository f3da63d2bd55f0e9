"""Read what people have: videos, folders of frames, strips, arrays, and archives of these.

- `source`: `Source` (one thing to read clips from), `Refusal`, and `Listed`, the result of the LIST stage
- `file_tree`, `manifest`: the files of a folder, and a manifest's list of clips
- `readers`: from a `Source` to its clips, `ReadClip`, the result of the READ stage
- `blobs`, `archives`, `images`, `segments` and the file formats that readers use

Nothing here knows about published data sets (`vidgan.data.layouts`) or prepared ones (`vidgan.data.preparing`).
"""
