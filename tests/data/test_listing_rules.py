"""How loose files are interpreted: split folders, strips or frames, several pages, links, unlisted suffixes."""

import os
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clipfiles import grey_ramp, noise, png_bytes_of, stored, strip_of, write_frames, write_strip, write_tar
from layoutfiles import list_layout, put
from PIL import Image

from vidgan.data.preparing.prepare import prepare
from vidgan.data.unprepared import read_one
from vidgan.errors import DataError
from vidgan.video.encode import write_mp4

SIZE = (16, 16)


def sides(index: Any) -> dict[str, tuple[str | None, str]]:
    """Category and split of every clip."""
    return {c.source: (index.categories[c.category] if index.categories else None, c.split) for c in index.clips}


def write_clips(root: Path, names: list[str]) -> None:
    for i, name in enumerate(names):
        put(root / name).unlink()
        np.save(root / name, noise(i))


@pytest.mark.parametrize("held_out", ["test", "val", "valid", "validation", "Testing", "eval", "test_set"])
@pytest.mark.parametrize("form", ["{side}/{name}/{i}.npy", "all/{side}/{name}/{i}.npy", "{name}/{side}/{i}.npy"])
def test_folders_for_training_and_testing_are_no_categories(tmp_path: Path, held_out: str, form: str) -> None:
    pairs = [(side, name) for side in ("train", held_out) for name in ("walk", "run")]
    names = {form.format(side=s, name=n, i=i): (n, "train" if s == "train" else "test") for s, n in pairs for i in "01"}
    write_clips(tmp_path / "in", list(names))
    index = prepare(tmp_path / "in", tmp_path / "a", size=SIZE, categories=True).index
    assert index.categories == ["run", "walk"] and sides(index) == names
    assert any(held_out in notice and "train" in notice for notice in index.notices)
    index = prepare(tmp_path / "in", tmp_path / "b", size=SIZE).index
    assert sides(index) == {name: (None, split) for name, (_, split) in names.items()}
    index = prepare(tmp_path / "in", tmp_path / "c", size=SIZE, categories=True, holdout=0.0).index
    assert index.categories == ["run", "walk"] and not index.of_split("test")


def test_a_split_in_archives_frame_folders_and_beside_other_clips(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for side in ("train", "validation"):
        for name in ("walk", "run"):
            write_frames(source / side / name, noise(len(side) + len(name)))
    index = prepare(source, tmp_path / "a", size=SIZE, categories=True).index
    assert sides(index) == {
        f"{side}/{name}": (name, split)
        for side, split in (("train", "train"), ("validation", "test"))
        for name in ("walk", "run")
    }
    np.save(source / "extra.npy", noise(9))
    index = prepare(source, tmp_path / "b", size=SIZE).index
    assert sides(index)["extra.npy"] == (None, "train") and sides(index)["validation/run"] == (None, "test")
    for side in ("train", "test"):
        with zipfile.ZipFile(put(tmp_path / "zips" / f"{side}-000.zip"), "w") as file:
            for name in ("walk", "run"):
                buffer = BytesIO()
                np.save(buffer, noise(len(side) + len(name)))
                file.writestr(f"{name}/0.npy", buffer.getvalue())
    index = prepare(tmp_path / "zips", tmp_path / "c", size=SIZE, categories=True).index
    assert sides(index)["test-000.zip/run/0.npy"] == ("run", "test") and index.categories == ["run", "walk"]


def test_classes_that_are_no_split_stay_classes(tmp_path: Path) -> None:
    write_clips(tmp_path / "in", [f"{name}/{i}.npy" for name in ("train", "tram", "plane") for i in "01"])
    index = prepare(tmp_path / "in", tmp_path / "out", size=SIZE, categories=True).index
    assert index.categories == ["plane", "train", "tram"]


@pytest.mark.parametrize("name", ["frame{:04d}.png", "{:03d}.png", "{}.png", "cam 2 ({}).png"])
@pytest.mark.parametrize("tall", [False, True])
def test_numbered_wide_frames_are_frames(tmp_path: Path, name: str, tall: bool) -> None:
    for folder in range(3):
        clip = noise(folder, 20, 128 if tall else 32, 32 if tall else 128)
        write_frames(tmp_path / "in" / f"drive{folder}", clip, name)
    for size in ((32, 32), (16, 64)):
        out = tmp_path / f"out{size[1]}"
        index = prepare(tmp_path / "in", out, size=size, holdout=0.34, cuts="off").index
        assert [(clip.source, clip.frames) for clip in index.clips] == [(f"drive{i}", 20) for i in range(3)]
        assert any("--layout strips" in notice for notice in index.notices)


def moving(count: int, height: int, width: int) -> np.ndarray:
    """Frames of a camera that pans over a texture."""
    texture = np.random.default_rng(0).integers(0, 256, (height, width // 8 + count, 3), dtype=np.uint8).repeat(8, 1)
    return np.stack([texture[:, t : t + width] for t in range(count)])


def test_very_wide_images_are_frames_where_neighbours_are_alike(tmp_path: Path) -> None:
    write_frames(tmp_path / "in" / "pan", moving(12, 16, 96), "{:05d}.png")
    (clip,) = prepare(tmp_path / "in", tmp_path / "out", size=SIZE, cuts="off").index.clips
    assert (clip.source, clip.frames) == ("pan", 12)


def test_a_wide_size_excludes_strips_whatever_the_names(tmp_path: Path) -> None:
    for i, name in enumerate(["a", "b", "c"]):
        write_strip(tmp_path / "in" / "drive" / f"{name}.png", noise(i, 4))
    wide = prepare(tmp_path / "in", tmp_path / "wide", size=(8, 32), cuts="off").index
    assert [(clip.source, clip.frames) for clip in wide.clips] == [("drive", 3)]
    square = prepare(tmp_path / "in", tmp_path / "square", size=SIZE).index
    assert [clip.frames for clip in square.clips] == [4, 4, 4]
    assert any("strips" in notice and "--layout frames" in notice for notice in square.notices)


def test_numbered_strips_of_moving_things_stay_strips(tmp_path: Path) -> None:
    for i in range(6):
        (tmp_path / "in" / "shapes").mkdir(parents=True, exist_ok=True)
        pixels = np.roll(moving(16, 16, 16), 5 * i, 1) ^ np.uint8(17 * i)
        (tmp_path / "in" / "shapes" / f"{i:08d}.png").write_bytes(png_bytes_of(strip_of(pixels)))
    index = prepare(tmp_path / "in", tmp_path / "out", size=SIZE).index
    assert [clip.frames for clip in index.clips] == [16] * 6
    for i in range(6):  # strips of different lengths are never frames
        write_strip(tmp_path / "in2" / f"{i}.png", noise(i, 4 + i % 3))
    index = prepare(tmp_path / "in2", tmp_path / "out2", size=SIZE).index
    assert [clip.frames for clip in index.clips] == [4, 5, 6, 4, 5, 6]


PAGED = {"tif": "TIFF", "tiff": "TIFF", "webp": "WEBP", "png": "PNG"}


def write_pages(path: Path, clip: np.ndarray) -> Path:
    """Write one file with a page per frame; lossless."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [Image.fromarray(frame) for frame in clip]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    images[0].save(path, PAGED[path.suffix[1:]], save_all=True, append_images=images[1:], **options)
    return path


@pytest.mark.parametrize("suffix", PAGED)
def test_an_image_file_of_several_pages_is_a_clip(tmp_path: Path, suffix: str) -> None:
    for i in range(4):
        write_pages(tmp_path / "in" / f"stack{i}.{suffix}", noise(i, 20))
    prepared = prepare(tmp_path / "in", tmp_path / "out", size=SIZE, cuts="off")
    assert [(c.source, c.frames) for c in prepared.index.clips] == [(f"stack{i}.{suffix}", 20) for i in range(4)]
    np.testing.assert_array_equal(stored(prepared, f"stack2.{suffix}"), noise(2, 20))
    np.testing.assert_array_equal(read_one(tmp_path / "in" / f"stack3.{suffix}").frames, noise(3, 20))
    manifest = put(tmp_path / "list.csv", f"path,start,end\nin/stack1.{suffix},2,9\n")
    np.testing.assert_array_equal(read_one(manifest).frames, noise(1, 20)[2:9])
    with pytest.raises(DataError, match=f"several-images.*stack0.{suffix}|stack0.{suffix}.*20 images"):
        prepare(tmp_path / "in", tmp_path / "strips", size=SIZE, layout="strips")


def test_a_page_file_hidden_among_frames_is_named(tmp_path: Path) -> None:
    write_frames(tmp_path / "in" / "a", noise(0, 40), "{:03d}.png")
    write_frames(tmp_path / "in" / "b", noise(1, 40), "{:03d}.png")
    write_pages(tmp_path / "in" / "b" / "020.png", noise(2, 3))
    prepared = prepare(tmp_path / "in", tmp_path / "out", size=SIZE, cuts="off")
    assert [clip.source for clip in prepared.index.clips] == ["a"]
    (refusal,) = prepared.quarantined
    assert (refusal.source, refusal.reason) == ("b", "several-images") and "020.png" in refusal.detail
    twice = png_bytes_of(noise(0, 1)[0])
    buffer = BytesIO()
    Image.open(BytesIO(twice)).save(buffer, "PPM")
    put(tmp_path / "ppm" / "x" / "0.ppm", buffer.getvalue() * 2)
    put(tmp_path / "ppm" / "x" / "1.ppm", buffer.getvalue())
    with pytest.raises(DataError):
        prepare(tmp_path / "ppm", tmp_path / "out2", size=SIZE)
    assert '"x/0.ppm", "reason": "several-images"' in (tmp_path / "out2" / "quarantine.jsonl").read_text()


def test_previews_in_a_tiff_and_second_images_of_a_camera_are_not_pages(tmp_path: Path) -> None:
    images = [Image.fromarray(frame) for frame in noise(0, 3)]
    folder = tmp_path / "in" / "a"
    folder.mkdir(parents=True)
    for i in range(3):
        images[i].save(folder / f"{i}.jpg", "MPO", save_all=True, append_images=[images[0]])
    (clip,) = prepare(tmp_path / "in", tmp_path / "out", size=SIZE, cuts="off").index.clips
    assert (clip.source, clip.frames) == ("a", 3)


def test_links_to_folders_and_files_are_followed_where_they_stay_inside(tmp_path: Path) -> None:
    write_clips(tmp_path / "in", [f"pool/{i}.npy" for i in range(2)] + ["a/0.npy"])
    (tmp_path / "in" / "b").symlink_to("pool")
    (tmp_path / "in" / "a" / "1.npy").symlink_to("../pool/1.npy")
    (tmp_path / "in" / "a" / "again").symlink_to("..")
    prepared = prepare(tmp_path / "in", tmp_path / "out", size=SIZE)
    names = {clip.source for clip in prepared.index.clips}
    assert names == {"pool/0.npy", "pool/1.npy", "b/0.npy", "b/1.npy", "a/0.npy", "a/1.npy"}
    assert [(r.source, r.reason) for r in prepared.quarantined] == [("a/again", "link")]


def test_links_that_leave_the_source_are_named_and_can_be_allowed(tmp_path: Path) -> None:
    write_clips(tmp_path, ["in/walk/0.npy", "in/walk/1.npy", "elsewhere/0.npy", "elsewhere/1.npy"])
    (tmp_path / "in" / "run").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "walk" / "2.npy").symlink_to(tmp_path / "elsewhere" / "0.npy")
    (tmp_path / "in" / "lost").symlink_to(tmp_path / "nowhere")
    prepared = prepare(tmp_path / "in", tmp_path / "out", size=SIZE, max_bad_share=1.0)
    refused = {r.source: (r.reason, r.detail) for r in prepared.quarantined}
    assert {name: reason for name, (reason, _) in refused.items()} == {
        "run": "link",
        "walk/2.npy": "link",
        "lost": "unreadable-file",
    }
    assert str(tmp_path / "elsewhere") in refused["run"][1]
    assert any("--follow-links" in notice for notice in prepared.index.notices)
    allowed = prepare(tmp_path / "in", tmp_path / "all", size=SIZE, categories=True, follow_links=True).index
    assert len(allowed.clips) == 5 and allowed.categories == ["run", "walk"]


def test_a_folder_of_nothing_but_links_says_why_and_what_to_do(tmp_path: Path) -> None:
    write_clips(tmp_path, ["elsewhere/0.npy", "elsewhere/1.npy"])
    (tmp_path / "in").mkdir()
    for i in range(2):
        (tmp_path / "in" / f"{i}.npy").symlink_to(tmp_path / "elsewhere" / f"{i}.npy")
    for _ in range(2):  # the list of refused files does not make the folder unusable
        with pytest.raises(DataError, match=r"0\.npy.*outside the source.*quarantine\.jsonl.*--follow-links"):
            prepare(tmp_path / "in", tmp_path / "out", size=SIZE)
    assert "1.npy" in (tmp_path / "out" / "quarantine.jsonl").read_text()
    assert len(prepare(tmp_path / "in", tmp_path / "out", size=SIZE, follow_links=True).index.clips) == 2
    with pytest.raises(DataError, match="outside the source"):
        read_one(tmp_path / "in")


def test_a_link_passed_by_name_is_read_under_its_own_name(tmp_path: Path) -> None:
    write_clips(tmp_path, ["blobs/clip.npy"])
    (tmp_path / "blobs" / "clip.npy").rename(tmp_path / "blobs" / "3fa9")
    (tmp_path / "mine.npy").symlink_to(tmp_path / "blobs" / "3fa9")
    np.testing.assert_array_equal(read_one(tmp_path / "mine.npy").frames, noise(0))


def test_folders_linked_in_a_circle_end(tmp_path: Path) -> None:
    for i in range(7):
        (tmp_path / "in" / str(i)).mkdir(parents=True)
        for j in range(7):
            (tmp_path / "in" / str(i) / f"to{j}").symlink_to(f"../{j}")
    np.save(tmp_path / "in" / "0" / "a.npy", noise(0))
    assert any(source.name == "0/a.npy" for source in list_layout(tmp_path / "in").sources)


def test_videos_with_unlisted_suffixes(tmp_path: Path) -> None:
    write_mp4(tmp_path / "v.mp4", grey_ramp(6))
    content = (tmp_path / "v.mp4").read_bytes()
    for name in ("a.f4v", "noname", "c.0001", "d.xyz"):
        put(tmp_path / "in" / name, content)
    put(tmp_path / "in" / "notes.doc")
    put(tmp_path / "in" / "raw")
    index = prepare(tmp_path / "in", tmp_path / "out", size=SIZE).index
    assert {clip.source for clip in index.clips} == {"a.f4v", "noname", "c.0001", "d.xyz"}
    assert any(
        "2 other files were left alone" in notice and ".doc" in notice and "none" in notice for notice in index.notices
    )
    assert len(read_one(tmp_path / "in" / "noname").frames) == 6


def test_a_manifest_without_usable_rows_names_the_first(tmp_path: Path) -> None:
    put(tmp_path / "list.csv", "path,category\nvideos\\a.mp4,walk\nvideos\\b.mp4,run\n")
    with pytest.raises(DataError, match=r"line 2.*videos\\a\.mp4.*separate folders by /.*quarantine\.jsonl"):
        prepare(tmp_path / "list.csv", tmp_path / "out", size=SIZE)
    assert (tmp_path / "out" / "quarantine.jsonl").read_text().count("\n") == 2


def deep_folder(root: Path) -> None:
    """Make folders below `root` whose path is longer than the system accepts, with a clip inside."""
    start = Path.cwd()
    try:
        root.mkdir(parents=True, exist_ok=True)
        os.chdir(root)
        for _ in range(20):
            Path("d" * 240).mkdir()
            os.chdir("d" * 240)
        np.save("deep.npy", noise(0))
    finally:
        os.chdir(start)


def test_paths_beyond_the_limits_of_the_system_cost_only_themselves(tmp_path: Path) -> None:
    write_clips(tmp_path / "in", ["a.npy", "b.npy"])
    deep_folder(tmp_path / "in")
    prepared = prepare(tmp_path / "in", tmp_path / "out", size=SIZE)
    assert [clip.source for clip in prepared.index.clips] == ["a.npy", "b.npy"]
    assert len(prepared.quarantined) == 1
    rows = ["path", "in/a.npy", "in/b.npy", f"in/{'x' * 300}.npy", "in/" + "/".join(["y" * 200] * 30) + ".npy"]
    put(tmp_path / "list.csv", "\n".join(rows))
    prepared = prepare(tmp_path / "list.csv", tmp_path / "out2", size=SIZE)
    assert len(prepared.index.clips) == 2 and len(prepared.quarantined) == 2
    long = {f"{'x' * 300}.npy": noise(1), "/".join(["y" * 200] * 30) + ".npy": noise(2)}
    members = {}
    for name, clip in long.items():
        buffer = BytesIO()
        np.save(buffer, clip)
        members[name] = buffer.getvalue()
    write_tar(tmp_path / "in" / "long.tar", members, "w")
    assert len(prepare(tmp_path / "in" / "long.tar", tmp_path / "out3", size=SIZE).index.clips) == 2
