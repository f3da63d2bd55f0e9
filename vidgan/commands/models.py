"""`vidgan models`: list what a config can name, and the weights that ship with the package."""

from collections.abc import Iterator

from pydantic import BaseModel

from vidgan.config import sections_in, shipped_configs
from vidgan.evaluation.baselines import BASELINES
from vidgan.hub import ModelFacts, read_facts, shipped_weights
from vidgan.losses.adversarial import ADVERSARIAL
from vidgan.sections import OwnPart
from vidgan.tasks import TASKS


def models() -> str:
    """Describe tasks, kinds of their parts, loss terms, baselines, shipped configs and weights as one block of text."""
    lines = []
    for name, task in TASKS.items():
        lines.append(f"task {name}: {_first_line(task)} Model class: {task.model.__name__}")
        lines += [f"  {key:24} {', '.join(kinds)}" for key, kinds in _kinds(task.config, "")]
        terms = getattr(task.config.model_fields["objective"].annotation, "built_in_terms", ())
        lines.append(f"  {'objective.weights':24} {', '.join(terms)}")
    lines += ["adversarial losses", f"  {', '.join(ADVERSARIAL)}"]
    lines += ["baselines", *(f"  {name:14} {_first_line(baseline)}" for name, baseline in BASELINES.items())]
    lines += ["shipped configs", *(f"  {name}" for name in shipped_configs())]
    lines += ["shipped weights (--pretrained)"]
    for name, folder in shipped_weights().items():
        content = read_facts(folder)
        size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
        kind_of_video = ModelFacts.from_json(content).trained_on or "real video"
        lines.append(f"  {name:20} {content['class']}, {size:.1f} MB, trained on {kind_of_video}")
    return "\n".join(lines)


def _kinds(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, list[str]]]:
    """Every config key that selects the kind of a part, and the accepted names."""
    for name, field in section.model_fields.items():
        parts = sections_in(field.annotation)
        kinds = [str(part.model_fields["kind"].default) for part in parts if "kind" in part.model_fields]
        if len(parts) > 1 and kinds:
            own = ["my_module:MyClass"] if OwnPart in parts else []
            yield f"{prefix}{name}.kind", [kind for kind in kinds if kind != "PydanticUndefined"] + own
        for part in parts if OwnPart not in parts else ():
            yield from _kinds(part, f"{prefix}{name}.")


def _first_line(documented: object) -> str:
    return (documented.__doc__ or "").strip().splitlines()[0]
