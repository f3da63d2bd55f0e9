"""`vidgan models`: list what a config can name, and the weights that ship with the package."""

from vidgan.checks import ROLES, TERMS
from vidgan.config import shipped_configs
from vidgan.hub import TRAINED_ON, read_facts, shipped_weights
from vidgan.losses import ADVERSARIAL
from vidgan.tasks.registry import BASELINES, DISCRIMINATORS, GENERATORS, PREDICTORS


def models() -> str:
    """Describe models, discriminators, baselines, objectives, shipped configs and weights as one block of text."""

    def summary(thing: object) -> str:
        return (thing.__doc__ or "").strip().splitlines()[0]

    lines = ["models"]
    for kind, networks in (("generates", GENERATORS), ("predicts", PREDICTORS)):
        for name, network in networks.items():
            lines.append(f"  {name:14} {kind}: {summary(network)}")
            lines.append(f"  {'':14} discriminators: {', '.join(ROLES[name])}; terms: {', '.join(TERMS[name])}")
    lines += ["discriminators", *(f"  {name:14} {summary(network)}" for name, network in DISCRIMINATORS.items())]
    lines += ["baselines", *(f"  {name:14} {summary(baseline)}" for name, baseline in BASELINES.items())]
    lines += ["objectives", f"  {', '.join(ADVERSARIAL)}"]
    lines += ["shipped configs", *(f"  {name}" for name in shipped_configs())]
    lines += ["shipped weights (--pretrained)"]
    for name, folder in shipped_weights().items():
        facts = read_facts(folder)
        size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
        lines.append(f"  {name:20} {facts['class']}, {size:.1f} MB, trained on {facts.get(TRAINED_ON)}")
    return "\n".join(lines)
