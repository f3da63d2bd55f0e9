"""Public names and import cost of the package."""

import subprocess
import sys

import vidgan.video


def test_every_public_name_exists() -> None:
    for name in vidgan.video.__all__:
        assert getattr(vidgan.video, name) is not None
    assert sorted(vidgan.video.__all__) == vidgan.video.__all__


def test_importing_the_package_does_not_load_heavy_libraries() -> None:
    check = "import sys, vidgan.video; print(sorted({'torch', 'skimage', 'scipy', 'cv2'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"
