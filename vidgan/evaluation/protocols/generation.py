"""Protocols for sets of clips. Their measures need published weights, which the user gives by path."""

from vidgan.evaluation.protocols.base import GenerationProtocol, Preparation

_EQUAL = (
    "a Fréchet distance depends more on n than on most models: use equal n on both sides and in all rows, and compare"
    " with the floor"
)
_UCF64 = Preparation(layout="ucf101", size=(64, 64), resample="bilinear", categories=True)

GENERATIONS = (
    GenerationProtocol(
        name="gen-fvd2048-16",
        clips=2048,
        frames=16,
        needs=("i3d",),
        measures=("fvd",),
        preparation=Preparation(layout="auto", size=(256, 256), resample="lanczos"),
        data="2048 real and 2048 generated clips of 16 frames; one random start per real video, drawn from the seed",
        published=("fvd-ucf", "fvd-sky", "fvd-faces"),
        notes=(
            "StyleGAN-V's script takes the first 2048 reals in sorted order, about 15 classes of UCF-101; here they are"
            " shuffled by the seed",
            "UCF-101 rows use training and test videos as reals, other data sets only training videos; here all"
            " prepared videos are reals: to compare with the latter, prepare only the training videos",
            _EQUAL,
        ),
    ),
    GenerationProtocol(
        name="gen-ucf-is",
        clips=9984,
        frames=16,
        needs=("c3d", "c3d-mean"),
        measures=("inception_score",),
        preparation=_UCF64,
        data="9,984 generated 16-frame clips (208 batches of 48), C3D fine-tuned on UCF-101, one split",
        published=("is-ucf",),
        notes=(
            "published rows differ in preparation, resolution and splits; several exceed the score of real clips",
            "± in publications is the deviation over repeated generations: --seeds 4",
        ),
    ),
    GenerationProtocol(
        name="gen-ucf-is-10split",
        clips=9984,
        frames=16,
        needs=("c3d", "c3d-mean"),
        measures=("inception_score",),
        splits=10,
        preparation=_UCF64,
        data="9,984 generated 16-frame clips, C3D fine-tuned on UCF-101, mean of ten splits",
        notes=("ten splits give a different number than one: not comparable with gen-ucf-is",),
    ),
)
