"""Quoted published numbers, each with the certainty of the quotation.

Certainty: "code" and "page" were read in the source itself (its code, README, paper or results page); "second-hand" in
a later paper or site; "memory" is unverified. Only the first two are displayed without a mark. Values that are known to
be wrong (PSNR squared in uint8) are excluded. Metrics have this project's names and units.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from vidgan.evaluation.protocols import ForecastProtocol, GenerationProtocol

Certainty = Literal["code", "page", "second-hand", "memory"]


@dataclass(frozen=True)
class Quoted:
    """One published row: method, metric -> value, certainty and source."""

    method: str
    values: Mapping[str, float]
    certainty: Certainty
    source: str

    @property
    def verified(self) -> bool:
        """Whether the value was read in its original source."""
        return self.certainty in ("code", "page")

    @property
    def label(self) -> str:
        """Name of the row in a table, marked if the quotation is unverified."""
        return f"{self.method} (quoted{'' if self.verified else f', unverified: {self.certainty}'})"


def quoted_rows(protocol: ForecastProtocol | GenerationProtocol) -> list[tuple[str, Quoted]]:
    """(table, row) of all published rows that compare with the protocol."""
    return [(table, row) for table in protocol.published for row in PUBLISHED[table]]


def _rows(
    metrics: Sequence[str], certainty: Certainty, source: str, rows: str, scale: Mapping[str, float] | None = None
) -> Iterator[Quoted]:
    """Parse lines of `method | value | value ...`; a dash is a missing value."""
    for line in rows.strip().splitlines():
        method, *cells = (cell.strip() for cell in line.split("|"))
        values = {m: float(c) * (scale or {}).get(m, 1.0) for m, c in zip(metrics, cells, strict=True) if c != "-"}
        yield Quoted(method, values, certainty, source)


_OPENSTL = "OpenSTL, docs/en/model_zoos/video_benchmarks.md"
_COLUMN = "table column of the Cycle GAN and PreCNet line; each paper cut its own windows"
_MSE3 = {"mse": 1e-3}

PUBLISHED: Final[dict[str, tuple[Quoted, ...]]] = {
    "caltech": (
        *_rows(("mse", "psnr", "ssim"), "second-hand", _COLUMN, """
            PredNet, own paper | 3.13 | 27.6 | 0.884
            PredNet, re-run | 2.42 | 27.6 | 0.905
            Dual Motion GAN | 2.41 | - | 0.899
            BeyondMSE, as in Dual Motion GAN | 3.26 | - | 0.881
            BeyondMSE, later tables | 3.42 | - | 0.847
            STMFANet | - | 29.1 | 0.927
            SimVP | 1.56 | - | 0.940
            TAU | - | - | 0.946
        """, _MSE3),
        *_rows(("mse", "psnr", "ssim"), "memory", _COLUMN, """
            copy-last | 7.95 | - | -
            MCNet | 2.50 | - | 0.879
            DVF | - | 26.2 | 0.897
            CtrlGen | - | 26.5 | 0.900
            ContextVP | 1.94 | 28.7 | 0.921
            SDC-Net | 1.62 | - | 0.918
            Retrospective Cycle GAN | 1.61 | 29.2 | 0.919
            DPG | - | 28.2 | 0.923
            CrevNet | - | 29.3 | 0.925
        """, _MSE3),
    ),
    "caltech-openstl": tuple(_rows(("mse_frame", "ssim_u2", "psnr", "lpips_alex"), "page", _OPENSTL, """
        ConvLSTM-S | 139.6 | .9345 | 27.46 | .0858
        PredNet | 159.8 | .9286 | 27.21 | .1129
        PhyDNet | 312.2 | .8615 | 23.26 | .3219
        MAU | 177.8 | .9176 | 26.14 | .0967
        PredRNN | 130.4 | .9374 | 27.81 | .0740
        PredRNN++ | 125.5 | .9433 | 28.02 | .1321
        SimVP | 160.2 | .9338 | 26.81 | .0676
        SimVP+gSTA | 129.7 | .9454 | 27.89 | .0574
        TAU | 131.1 | .9456 | 27.83 | .0549
        DMVFN | 183.9 | .9314 | 26.95 | .0494
    """)),
    "mmnist": (
        *_rows(("mse_frame", "mae_frame", "ssim_u2", "psnr"), "page", f"{_OPENSTL}, 200 epochs", """
            PredNet | 161.4 | 201.2 | .778 | 14.33
            ConvLSTM-S | 29.80 | 90.64 | .929 | 22.10
            PhyDNet | 28.19 | 78.64 | .937 | 22.62
            MAU | 26.86 | 78.22 | .940 | 22.76
            CrevNet | 30.15 | 86.28 | .935 | -
            PredRNN | 23.97 | 72.82 | .946 | 23.28
            PredRNN++ | 22.06 | 69.58 | .951 | 23.65
            SimVP | 32.15 | 89.05 | .927 | 21.84
            SimVP+gSTA | 26.69 | 77.19 | .940 | 22.78
            TAU | 24.60 | 71.93 | .945 | 23.19
            DMVFN | 123.7 | 180.0 | .814 | 16.15
        """),
        *_rows(("mse_frame",), "page", f"{_OPENSTL}, 2000 epochs", """
            PredRNN++, 2000 epochs | 14.07
            SimVP+gSTA, 2000 epochs | 15.05
            TAU, 2000 epochs | 15.69
            PhyDNet, 2000 epochs | 20.35
            SimVP, 2000 epochs | 21.15
        """),
        *_rows(("mse_frame", "ssim_u2"), "second-hand", "MMVP, table of Moving MNIST; epochs differ", """
            ConvLSTM | 103.3 | .707
            PredRNN | 56.8 | .867
            PredRNN-V2 | 48.4 | .891
            MIM | 44.2 | .910
            E3D-LSTM | 41.3 | .920
            PhyDNet | 24.4 | .947
            SimVP | 23.8 | .948
            CrevNet | 22.3 | .949
            MMVP | 22.2 | .952
        """),
    ),
    # The table mixes SSIM definitions; it is quoted in the column of the PredRNN line.
    "kth-10to20": (
        *_rows(("ssim_u255", "psnr"), "second-hand", "MMVP, table 3; SSIM definitions differ between rows", """
            ConvLSTM | .712 | 23.58
            MCNet | .804 | 25.95
            SAVP | .746 | 25.38
            PredRNN | .839 | 27.55
            PredRNN++ | .865 | 28.47
            E3D-LSTM | .879 | 29.31
            STMFANet | .893 | 29.85
            MMVP | .906 | 27.54
        """),
        *_rows(("ssim_u2", "psnr"), "page", f"{_OPENSTL}, its own windows", """
            ConvLSTM, OpenSTL | .898 | 26.99
            PredNet, OpenSTL | .809 | 22.45
            PhyDNet, OpenSTL | .832 | 23.41
            MAU, OpenSTL | .895 | 26.73
            PredRNN++, OpenSTL | .912 | 28.13
            SimVP, OpenSTL | .907 | 27.46
            TAU, OpenSTL | .909 | 27.10
            DMVFN, OpenSTL | .898 | 26.65
        """),
    ),
    "kth-10to40": tuple(
        _rows(("ssim_u255", "psnr"), "second-hand", "MMVP, table 3; SSIM definitions differ between rows", """
            ConvLSTM | .639 | 22.85
            MCNet | .73 | 23.89
            SAVP | .701 | 23.97
            PredRNN | .703 | 24.16
            PredRNN++ | .741 | 25.21
            E3D-LSTM | .810 | 27.24
            STMFANet | .851 | 27.56
            MMVP | .888 | 26.35
        """)
    ),
    "bair": tuple(
        _rows(("psnr", "ssim", "lpips_vgg"), "page", "best of 100; each paper its own SSIM definition", """
            MAGVIT-B | 19.3 | .787 | .123
            MCVD | 16.9 | .780 | -
        """)
    ),
    "human36m": tuple(
        _rows(("mse_frame", "mae_frame", "ssim_u2", "psnr", "lpips_alex"), "page", _OPENSTL, """
            ConvLSTM | 125.5 | 1566.7 | .9813 | 33.40 | .0356
            PredNet | 261.9 | 1625.3 | .9786 | 31.76 | .0326
            PredRNN++ | 110.0 | 1452.2 | .9832 | 34.02 | .0320
            SimVP | 115.8 | 1511.5 | .9822 | 33.73 | .0347
            SimVP+gSTA | 108.4 | 1441.0 | .9834 | 34.08 | .0322
            TAU | 113.3 | 1390.7 | .9839 | 34.03 | .0278
        """)
    ),
    "ucf-dvf": tuple(
        _rows(("dvf_psnr", "dvf_ssim"), "memory", "as reported by Dual Motion GAN", """
            Dual Motion GAN | 30.5 | .94
            BeyondMSE | 28.2 | .89
            EpicFlow | 29.1 | .91
            DVF | 29.6 | .92
        """)
    ),
    "cityscapes": tuple(
        _rows(("ms_ssim_first1", "lpips_alex_first1"), "second-hand", "DMVFN", "DMVFN | .9573 | .0558")
    ),
    "davis": tuple(_rows(("ms_ssim_first1", "lpips_alex_first1"), "second-hand", "DMVFN", "DMVFN | .8397 | .0996")),
    "vimeo": tuple(_rows(("ms_ssim", "lpips_alex"), "second-hand", "DMVFN", "DMVFN | .9701 | .0369")),
    "fvd-ucf": tuple(_rows(("fvd",), "second-hand", "UCF-101, 256x256, 16 frames, 2048 clips", """
        MoCoGAN | 2886.9
        VideoGPT | 2880.6
        MoCoGAN-HD | 1729.6
        DIGAN | 1630.2
        StyleGAN-V | 1431.0
        MoStGAN-V | 1380.3
        PVDM | 1141.9
        Latte | 477.9
        Matten | 210.6
    """)),
    "fvd-sky": tuple(_rows(("fvd",), "second-hand", "SkyTimelapse, 256x256, 16 frames, 2048 clips", """
        MoCoGAN | 206.6
        MoCoGAN+StyleGAN2 | 85.9
        MoCoGAN-HD | 164.1
        DIGAN | 83.1
        StyleGAN-V | 79.5
    """)),
    "fvd-faces": tuple(_rows(("fvd",), "second-hand", "FaceForensics, 256x256, 16 frames, 2048 clips", """
        MoCoGAN | 124.7
        StyleGAN-V | 47.4
    """)),
    "is-ucf": tuple(_rows(("inception_score",), "second-hand", "MAGVIT table 10, VideoGPT table 2", """
        real clips (TGAN) | 34.49
        TGAN | 11.85
        TGAN, conditional | 15.83
        MoCoGAN | 12.42
        ProgressiveVGAN | 14.56
        LDVD-GAN, TGAN-F | 22.91
        VideoGPT | 24.69
        TGANv2 | 28.87
        DIGAN, train | 29.71
        DIGAN, train and test | 32.70
        MoCoGAN-HD | 32.36
        DVD-GAN | 32.97
        TATS | 57.63
        TATS, class-conditional | 79.28
        MAGVIT-L, class-conditional | 89.27
    """)),
}  # fmt: skip
