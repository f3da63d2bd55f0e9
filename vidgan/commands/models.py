"""`vidgan models`: what can be named in a config, and the weights that come with the package."""

from vidgan.checks import ROLES, TERMS
from vidgan.config import shipped_configs
from vidgan.evaluation.baselines import BASELINES
from vidgan.hub import ModelFacts, read_facts, shipped_weights
from vidgan.losses import ADVERSARIAL
from vidgan.tasks.registry import DISCRIMINATORS, GENERATORS, PREDICTORS


def describe() -> str:
    """One block of text."""

    def first_line(thing: object) -> str:
        return (thing.__doc__ or "").strip().splitlines()[0]

    lines = ["models"]
    for kind, table in (("generates", GENERATORS), ("predicts", PREDICTORS)):
        for name, network in table.items():
            lines.append(f"  {name:14} {kind}: {first_line(network)}")
            lines.append(f"  {'':14} discriminators: {', '.join(ROLES[name])}; terms: {', '.join(TERMS[name])}")
    lines += ["discriminators", *(f"  {name:14} {first_line(network)}" for name, network in DISCRIMINATORS.items())]
    lines += ["baselines", *(f"  {name:14} {first_line(thing)}" for name, thing in BASELINES.items())]
    lines += ["objectives", f"  {', '.join(ADVERSARIAL)}"]
    lines += ["shipped configs", *(f"  {name}" for name in shipped_configs())]
    lines += ["shipped weights (--pretrained)"]
    for name, folder in shipped_weights().items():
        content = read_facts(folder)
        size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
        lines.append(
            f"  {name:20} {content['class']}, {size:.1f} MB, trained on {ModelFacts.from_json(content).trained_on}"
        )
    return "\n".join(lines)
