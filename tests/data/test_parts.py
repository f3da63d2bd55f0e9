"""Parts made on several machines and merged equal one run; missing, differing and interrupted parts."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clipfiles import grey_ramp, noise, write_strip, write_tar

import vidgan.data.preparing.prepare as prepare_module
from vidgan.data.preparing.parts import Part
from vidgan.data.preparing.prepare import merge_parts, prepare
from vidgan.data.sources.source import Source
from vidgan.errors import DataError
from vidgan.video.encode import write_mp4

SIZE = (16, 16)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twelve usable sources of all kinds in two folders, some of them copies, and two bad files."""
    folder = tmp_path / "in"
    for i in range(4):
        write_strip(folder / "a" / f"{i}.png", noise(i))
        (folder / "b").mkdir(exist_ok=True)
        np.save(folder / "b" / f"{i}.npy", noise(i)[:, :, ::-1] if i == 2 else noise(10 + i))
    for i in range(2):
        write_mp4(folder / "a" / f"v{i}.mp4", grey_ramp(6 + i))
    (folder / "a" / "bad.mp4").write_bytes(b"nothing")
    (folder / "b" / "broken.zip").write_bytes(b"PK")
    write_tar(folder / "b" / "t.tar", {f"{i}.npy": (folder / "b" / f"{i}.npy").read_bytes() for i in range(2)}, "w")
    return folder


OPTIONS: dict[str, Any] = {"size": SIZE, "categories": True, "holdout": 0.3, "flow": "tvl1"}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def make_parts(source: Path, out: Path, total: int, **options: Any) -> None:
    for number in range(1, total + 1):
        made = prepare(source, out, part=(number, total), **{**OPTIONS, **options})
        assert made.part == (number, total) and made.root == out / f"part-{number}-of-{total}"
        with pytest.raises(DataError, match="part-.*index"):
            _ = made.index


def test_every_source_belongs_to_one_part() -> None:
    sources = [Source(f"{i}.mp4", "video", (f"{i}.mp4",), None, "") for i in range(300)]
    shares = [Part(number, 3).share(sources) for number in (1, 2, 3)]
    assert sorted(s.name for share in shares for s in share) == sorted(s.name for s in sources)
    assert all(70 < len(share) < 130 for share in shares)
    assert Part(2, 3).share(sources[::-1])[::-1] == shares[1]
    for part in (Part(0, 3), Part(4, 3), Part(1, 0)):
        with pytest.raises(DataError, match="accepted: 1/N to N/N"):
            part.checked()


def test_merged_parts_equal_one_run(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "one", **OPTIONS)
    make_parts(source, tmp_path / "parts", 3)
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == [f"part-{i}-of-3" for i in (1, 2, 3)]
    index = merge_parts(tmp_path / "parts")
    one, merged = tree(tmp_path / "one"), tree(tmp_path / "parts")
    assert one.keys() == merged.keys()
    assert {"index.json", "videos.jsonl", "contact_sheet.png", "quarantine.jsonl"} < one.keys()
    different = [name for name in one if one[name] != merged[name]]
    assert different in ([], ["prepare.jsonl"])  # files were read in another order
    assert index.quarantined == {"not-a-video": 1, "unreadable-archive": 1}
    again = prepare(source, tmp_path / "parts", **OPTIONS)  # the merged folder can be prepared again
    assert (again.reused, again.prepared) == (12, 1) and again.index == index


def test_an_interrupted_merge_resumes(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(source, tmp_path / "one", **OPTIONS)
    make_parts(source, tmp_path / "parts", 2)
    index = (tmp_path / "one" / "index.json").read_bytes()
    moves = 0
    replace = Path.replace

    def stop(path: Path, target: Path) -> Path:
        nonlocal moves
        moves += path.suffix == ".npy"
        if moves == 5:
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            merge_parts(tmp_path / "parts")
    with monkeypatch.context() as patch:
        patch.setattr(prepare_module.shutil, "rmtree", lambda path: (path / "part.json").unlink())
        merge_parts(tmp_path / "parts")  # interrupted after the index, while the parts are removed
    assert (tmp_path / "parts" / "part-1-of-2").is_dir()
    merge_parts(tmp_path / "parts")
    assert not list((tmp_path / "parts").glob("part-*"))
    assert (tmp_path / "parts" / "index.json").read_bytes() == index


def test_errors_name_the_part_that_cannot_be_merged(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"out: .*--part 1/N"):
        merge_parts(out)
    make_parts(source, out, 3)
    whole = tmp_path / "whole"
    shutil.copytree(out, whole)

    def refuse(message: str) -> None:
        with pytest.raises(DataError, match=message):
            merge_parts(out)
        assert not (out / "index.json").exists()
        shutil.rmtree(out)
        shutil.copytree(whole, out)

    shutil.rmtree(out / "part-2-of-3")
    refuse("parts 2 of 3")
    (out / "part-2-of-3" / "part.json").unlink()
    refuse("part-2-of-3: ")
    (out / "part-2-of-3" / "part.json").write_text("{")
    refuse(r"part-2-of-3.part.json: ")
    clip = next((out / "part-3-of-3" / "clips").iterdir())
    clip.write_bytes(clip.read_bytes()[:-1])
    refuse(f"part-3-of-3: .*{clip.stem}")
    mark = json.loads((out / "part-3-of-3" / "part.json").read_text())
    mark["options"]["size"] = [8, 8]
    (out / "part-3-of-3" / "part.json").write_text(json.dumps(mark))
    refuse(r"part-3-of-3: .*size \[8, 8\].*part-1-of-3.*\[16, 16\]")
    np.save(source / "b" / "new.npy", noise(77))
    prepare(source, out, part=(1, 3), **OPTIONS)
    refuse("part-2-of-3: the source .*part-1-of-3")
    with pytest.raises(DataError, match="part-1-of-3; accepted: parts of 4"):
        prepare(source, out, part=(1, 4), **OPTIONS)
    with pytest.raises(DataError, match=f"out {out}"):
        prepare(source, out, **OPTIONS)


def test_a_part_can_be_empty_and_is_restarted(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for i in range(2):
        write_strip(folder / f"{i}.png", noise(i))
    made = [prepare(folder, tmp_path / "out", size=SIZE, part=(number, 5)) for number in range(1, 6)]
    assert sorted(m.prepared for m in made) in ([0, 0, 0, 1, 1], [0, 0, 0, 0, 2])
    again = [prepare(folder, tmp_path / "out", size=SIZE, part=(number, 5)) for number in range(1, 6)]
    assert [m.reused for m in again] == [m.prepared for m in made] and sum(m.prepared for m in again) == 0
    index = merge_parts(tmp_path / "out")
    assert index == prepare(folder, tmp_path / "one", size=SIZE).index
    with pytest.raises(DataError, match=f"out {tmp_path / 'out'}"):
        prepare(folder, tmp_path / "out", size=SIZE, part=(1, 5))


def test_shards_of_merged_parts_equal_those_of_one_run(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "one", store="shards", **OPTIONS)
    make_parts(source, tmp_path / "parts", 2, store="shards")
    merge_parts(tmp_path / "parts")
    shards = {name: content for name, content in tree(tmp_path / "one").items() if name.startswith("shards")}
    assert len(shards) == 3  # train, test, manifest
    assert {k: v for k, v in tree(tmp_path / "parts").items() if k.startswith(("shards", "clips"))} == shards
