"""The supported data sets by name."""

from typing import Final

from vidgan.data.layouts.avenue import AVENUE
from vidgan.data.layouts.bair import BAIR
from vidgan.data.layouts.caltech import CALTECH
from vidgan.data.layouts.cityscapes import CITYSCAPES
from vidgan.data.layouts.davis import DAVIS
from vidgan.data.layouts.faceforensics import FACEFORENSICS
from vidgan.data.layouts.human36m import HUMAN36M
from vidgan.data.layouts.kitti import KITTI
from vidgan.data.layouts.kth import KTH
from vidgan.data.layouts.layout import Layout
from vidgan.data.layouts.moving_mnist import MNIST_IDX, MOVING_MNIST
from vidgan.data.layouts.prednet import PREDNET
from vidgan.data.layouts.shanghaitech import SHANGHAITECH
from vidgan.data.layouts.sky_timelapse import SKY_TIMELAPSE
from vidgan.data.layouts.taichi import TAICHI
from vidgan.data.layouts.ucf101 import UCF101
from vidgan.data.layouts.ucsd_ped import UCSD_PED
from vidgan.data.layouts.vimeo90k import VIMEO90K
from vidgan.data.layouts.webdataset import WEBDATASET
from vidgan.data.layouts.weizmann import WEIZMANN

BENCHMARKS: Final[dict[str, Layout]] = {
    layout.name: layout
    for layout in (
        *(KITTI, PREDNET, CALTECH, CITYSCAPES),
        *(KTH, WEIZMANN, UCF101, HUMAN36M),
        *(MOVING_MNIST, MNIST_IDX, BAIR, VIMEO90K),
        *(SKY_TIMELAPSE, FACEFORENSICS, TAICHI, DAVIS),
        *(UCSD_PED, AVENUE, SHANGHAITECH),
        WEBDATASET,
    )
}
"""Layouts by name; ``auto`` tries those with `matches` in this order."""
