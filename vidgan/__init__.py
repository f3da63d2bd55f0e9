"""Video generation with MoCoGAN and video prediction with Dual Motion GAN.

```python
from vidgan import MoCoGAN, DualMotionGAN

clips = MoCoGAN.from_pretrained("shapes").sample(8, frames=32, seed=0)  # uint8 (8, 32, 3, H, W)
future = DualMotionGAN.from_pretrained("shapes").predict(context, horizon=10)  # uint8 (B, 10, 3, H, W)
```

`from_pretrained` takes a training run, a saved model, or the name of weights that ship with the package, as here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidgan import studio as studio
    from vidgan.commands.compare import compare
    from vidgan.commands.dissect import dissect
    from vidgan.commands.edit import edit
    from vidgan.commands.edit_flow import edit_flow
    from vidgan.commands.evaluate import evaluate
    from vidgan.commands.export import export
    from vidgan.commands.invert import invert, train_encoder
    from vidgan.commands.publish import publish
    from vidgan.commands.reproduce import reproduce
    from vidgan.commands.single import single, single_edit
    from vidgan.commands.table import table
    from vidgan.commands.train import train
    from vidgan.commands.translate import translate
    from vidgan.data.preparing.prepare import prepare
    from vidgan.errors import ConfigError, DataError, PretrainedError
    from vidgan.tasks.forecasting.dual_motion import DualMotionGAN
    from vidgan.tasks.synthesis.mocogan import MoCoGAN
    from vidgan.tasks.translation.translator import Translator
    from vidgan.tasks.translation.unpaired_translator import UnpairedTranslator
    from vidgan.video.decode import read_frames

__version__ = "0.1.0"

# Imported on first use: `vidgan --help` must not wait for torch.
_HOMES = {
    "MoCoGAN": "vidgan.tasks.synthesis.mocogan",
    "DualMotionGAN": "vidgan.tasks.forecasting.dual_motion",
    "Translator": "vidgan.tasks.translation.translator",
    "UnpairedTranslator": "vidgan.tasks.translation.unpaired_translator",
    "prepare": "vidgan.data.preparing.prepare",
    "train": "vidgan.commands.train",
    "translate": "vidgan.commands.translate",
    "compare": "vidgan.commands.compare",
    "dissect": "vidgan.commands.dissect",
    "edit": "vidgan.commands.edit",
    "edit_flow": "vidgan.commands.edit_flow",
    "evaluate": "vidgan.commands.evaluate",
    "export": "vidgan.commands.export",
    "invert": "vidgan.commands.invert",
    "train_encoder": "vidgan.commands.invert",
    "publish": "vidgan.commands.publish",
    "reproduce": "vidgan.commands.reproduce",
    "single": "vidgan.commands.single",
    "single_edit": "vidgan.commands.single",
    "table": "vidgan.commands.table",
    "read_frames": "vidgan.video.decode",
    "ConfigError": "vidgan.errors",
    "DataError": "vidgan.errors",
    "PretrainedError": "vidgan.errors",
}
__all__ = [
    "ConfigError",
    "DataError",
    "DualMotionGAN",
    "MoCoGAN",
    "PretrainedError",
    "Translator",
    "UnpairedTranslator",
    "__version__",
    "compare",
    "dissect",
    "edit",
    "edit_flow",
    "evaluate",
    "export",
    "invert",
    "prepare",
    "publish",
    "read_frames",
    "reproduce",
    "single",
    "single_edit",
    "studio",
    "table",
    "train",
    "train_encoder",
    "translate",
]


def __getattr__(name: str) -> Any:
    if name == "studio":  # a package that can be called
        return import_module("vidgan.studio")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vidgan' has no attribute {name!r}")
