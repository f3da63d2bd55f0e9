"""Reading configs: YAML (OmegaConf) with `a.b=c` overrides, validated against the typed config of their task.

Unknown keys, wrong types, values out of range and impossible combinations are all reported at once, before any data is
read, each with its key, what is accepted, and the nearest known name.
"""

import datetime
import importlib.resources
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml  # type: ignore[import-untyped]
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from vidgan.errors import ConfigError, UserError
from vidgan.files import open_regular
from vidgan.sections import OwnPart, Section, nearest
from vidgan.tasks import TASKS
from vidgan.tasks.run_config import RunConfig

__all__ = [
    "RunConfig",
    "config_keys",
    "differences",
    "dump_config",
    "find_config",
    "load_config",
    "nearest",
    "parse_config",
    "shipped_configs",
]

MAX_CONFIG_BYTES = 1_000_000
MAX_CONFIG_DEPTH = 20
_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


def _locate(schema: type[RunConfig], location: Sequence[str | int]) -> tuple[list[str], type[BaseModel]]:
    """A pydantic location as the user's key, without the tags of kinds, and the section that it leads to."""
    keys: list[str] = []
    sections: list[type[BaseModel]] = [schema]
    for part in location:
        if len(sections) > 1:  # a part that comes in kinds: the location names the kind
            sections = [s for s in sections if s is not OwnPart and s.model_fields["kind"].default == part] or [OwnPart]
            continue
        keys.append(str(part))
        if str(part) in sections[0].model_fields:
            sections = sections_in(sections[0].model_fields[str(part)].annotation) or [BaseModel]
    return keys, sections[0]


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """All sections that a type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for argument in getattr(annotation, "__args__", ()) for section in sections_in(argument)]


def _explain(error: ValidationError, schema: type[RunConfig]) -> list[str]:
    """One message per problem, each naming its key."""
    lines = []
    for issue in error.errors():
        keys, _ = _locate(schema, issue["loc"])
        key = ".".join(keys)
        if issue["type"] == "extra_forbidden":
            _, section = _locate(schema, issue["loc"][:-1])
            lines.append(f"unknown key {key!r}{nearest(str(issue['loc'][-1]), section.model_fields)}")
        elif issue["type"] == "missing":
            lines.append(f"{key} is not set")
        elif issue["type"] == "value_error":
            message = issue["msg"].removeprefix("Value error, ")
            lines += [f"{key}.{part}" if key else part for part in message.split("\n")]
        elif issue["type"] == "string_type" and isinstance(issue["input"], bool | int | float | datetime.date):
            lines.append(f"{key}: YAML reads this as {issue['input']!r}, but text is expected; put it in quotes")
        else:
            got = f" (got {issue['input']!r})" if not isinstance(issue["input"], dict | BaseModel) else ""
            lines.append(f"{key}: {issue['msg']}{got}")
    return lines


def parse_config(values: Any, origin: str, *, template: bool = False) -> RunConfig:
    """A validated config from plain dicts and lists.

    Args:
        values: the sections.
        origin: named in errors.
        template: accept a config that names no data.

    Raises:
        ConfigError: lists every problem that was found.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{origin}: a config is a mapping of sections, got {type(values).__name__}")
    task = values.get("task")
    if task is None:
        raise ConfigError(f"{origin}: task is not set (accepted: {', '.join(TASKS)})")
    if not isinstance(task, str) or task not in TASKS:
        raise ConfigError(f"{origin}: task: unknown task {task!r}{nearest(str(task), TASKS)}")
    schema = TASKS[task].config
    problems = []
    data = values.get("data")
    if not template and not (isinstance(data, dict) and data.get("root")):
        problems.append("data.root is not set; give the folder that `vidgan prepare` wrote (data.root=DATA)")
    try:
        config = schema.model_validate(values)
    except ValidationError as error:
        problems = [*_explain(error, schema), *problems]
    if problems:
        raise ConfigError(f"{origin}: " + "; ".join(problems))
    return config


def shipped_configs() -> dict[str, Path]:
    """Name (`mocogan/vidgan`) -> file of the configs that come with the package."""
    installed = Path(str(importlib.resources.files("vidgan"))) / "configs"
    checkout = Path(__file__).resolve().parents[1] / "configs"
    folder = installed if installed.is_dir() else checkout
    return {p.relative_to(folder).with_suffix("").as_posix(): p for p in sorted(folder.rglob("*.yaml"))}


def find_config(name: str) -> Path:
    """A YAML file by path, or a shipped config by name."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = shipped_configs()
    key = name.removeprefix("configs/").removesuffix(".yaml")
    if key in shipped:
        return shipped[key]
    raise ConfigError(f"{name}: no such config file, nor a shipped config{nearest(key, shipped)}")


def load_config(path: Path, overrides: Sequence[str] = (), *, template: bool = False) -> RunConfig:
    """Read a YAML file, apply `a.b=c` overrides, validate.

    Args:
        path: the file.
        overrides: changes of single keys; `a.b=null` resets a key to its default or takes an optional part out.
        template: accept a config that names no data.

    The value of an override is YAML, except where the key takes text or a number: `name=001` is the text 001,
    `data.root=set #1` keeps its second half, and `train.steps=010` is ten. Quotes around a text are removed.

    YAML is parsed by OmegaConf's safe loader: tags cannot construct objects. Files above 1 MB are refused, and so are
    aliases (a few lines of them stand for gigabytes) and interpolations (`${oc.env:TOKEN}` would read the environment
    of whoever loads the file, and the run would keep it).
    """
    for override in overrides:
        if "=" not in override or not override.split("=", 1)[0].strip():
            raise ConfigError(f"override {override!r}: write it as key.sub=value, for example train.steps=1000")
        if override.partition("=")[2].strip() == "???":
            raise ConfigError(f"override {override!r}: ??? stands for a missing value; write the value itself")
    try:
        text = _read_text(path)
        _require_plain(path, text)
        loaded = OmegaConf.load(io.StringIO(text))
        if not isinstance(loaded, DictConfig):
            raise ConfigError(f"{path}: a config is a mapping of sections, got a list")
        merged = _with_overrides(loaded, overrides)
        values = OmegaConf.to_container(merged, resolve=False)
    except ConfigError:
        raise
    except (OmegaConfBaseException, OSError, ValueError) as error:
        raise ConfigError(f"{path}: {[*str(error).splitlines(), type(error).__name__][0]}") from None
    except Exception as error:  # PyYAML's errors share no base with OmegaConf's
        if type(error).__module__.startswith("yaml"):
            raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
        raise
    for key, value in _leaves(values).items():
        if "${" in str(value):
            raise ConfigError(f"{path}: {key}: interpolation is not accepted (got {value!r}); write the value itself")
    return parse_config(values, str(path), template=template)


def _read_text(path: Path) -> str:
    """The content of a config, which may come from a stranger."""
    try:
        with open_regular(path) as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
    except UserError as error:
        raise ConfigError(str(error)) from None
    if len(content) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_CONFIG_BYTES} bytes; this is no config")
    return content.decode()


def _with_overrides(loaded: DictConfig, overrides: Sequence[str]) -> Any:
    """The config with all overrides merged into it, in their order.

    A section `{kind: ..., ...}` of another kind than before replaces it, since two kinds have different keys.
    """
    merged: Any = OmegaConf.create(loaded)
    for override in overrides:
        key, _, text = override.partition("=")
        key = key.strip()
        task = merged.get("task")
        schema = TASKS[task].config if isinstance(task, str) and task in TASKS else RunConfig
        value = _scalar(text, _types_at(schema, key.split(".")))
        if value is None:
            change = OmegaConf.from_dotlist([override])
            section, before = OmegaConf.select(change, key), OmegaConf.select(merged, key)
            sections = isinstance(section, DictConfig) and isinstance(before, DictConfig)
            if sections and "kind" in section and section["kind"] != before.get("kind"):
                OmegaConf.update(merged, key, None)
            merged = OmegaConf.merge(merged, change)
        else:
            OmegaConf.update(merged, key, value, force_add=True)
    return merged


def _types_at(schema: type[BaseModel], keys: Sequence[str]) -> set[Any]:
    """The types that the value of a key may have; empty if the key is unknown."""
    types: list[Any] = [schema]
    for key in keys:
        sections = [s for t in types for s in sections_in(t) if key in s.model_fields]
        values = [get_args(member)[1] for t in types for member in _members(t) if get_origin(member) is dict]
        types = [section.model_fields[key].annotation for section in sections] + values
    return {member for annotation in types for member in _members(annotation)}


def _members(annotation: Any) -> list[Any]:
    """The types of a union, without None and annotations; literals count as the types of their values."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin is Literal:
        return [type(value) for value in get_args(annotation)]
    if origin in (Union, UnionType):
        return [member for argument in get_args(annotation) for member in _members(argument)]
    return [] if annotation is NoneType else [annotation]


def _scalar(text: str, types: set[Any]) -> str | int | float | None:
    """The value of an override where its key takes one text or one number; None where YAML decides."""
    if text.strip() in ("", "null", "~"):
        return None
    if types == {str}:
        stripped = text.strip()
        if len(stripped) > 1 and stripped[0] == stripped[-1] and stripped[0] in "'\"":
            return stripped[1:-1]
        return text
    if types and types <= {int, float}:
        for number in (int, float):
            try:
                return number(text)
            except ValueError:
                continue
        return text  # which the schema refuses
    return None


def _require_plain(path: Path, text: str) -> None:
    """Refuse what a small YAML file can blow up with: aliases, and depth that the parser takes for ever to leave."""
    depth = 0
    for token in yaml.scan(text):
        if isinstance(token, yaml.AliasToken):
            raise ConfigError(f"{path}: YAML aliases (*name) are not accepted; write the value out")
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_CONFIG_DEPTH:
            raise ConfigError(f"{path}: nested more than {MAX_CONFIG_DEPTH} deep; this is no config")


def dump_config(config: RunConfig) -> str:
    """YAML text of the complete config, defaults included; `load_config` reads it back to an equal one."""
    return OmegaConf.to_yaml(OmegaConf.create(config.model_dump(mode="json")))


def _leaves(values: Any, prefix: str = "") -> dict[str, Any]:
    """`a.b.c` -> value of everything that is no mapping."""
    if isinstance(values, dict):
        return {
            k: v for key, sub in values.items() for k, v in _leaves(sub, f"{prefix}.{key}" if prefix else key).items()
        }
    return {prefix: values}


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """`key: old -> new` for each leaf that differs."""
    before, after = _leaves(old.model_dump(mode="json")), _leaves(new.model_dump(mode="json"))
    keys = sorted(set(before) | set(after))
    return [f"{k}: {before.get(k)} -> {after.get(k)}" for k in keys if before.get(k) != after.get(k)]


def config_keys(task: str) -> Iterator[tuple[str, str, str, str]]:
    """The reference of a task's config: (key, type, default, description) of every key, kinds included.

    Raises:
        ConfigError: no such task.
    """
    if task not in TASKS:
        raise ConfigError(f"unknown task {task!r}{nearest(task, TASKS)}")
    yield from _keys_of(TASKS[task].config, "")


def _keys_of(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        kinds = [s for s in sections_in(field.annotation) if s is not OwnPart]
        extra = field.json_schema_extra
        unit = extra.get("unit") if isinstance(extra, dict) else None
        text = (field.description or "") + (f" Unit: {unit}." if unit else "")
        if not kinds or kinds == [Section]:
            default = "required" if field.is_required() else _plain(field.get_default(call_default_factory=True))
            yield key, _type_name(field.annotation), default, text
            continue
        for kind in kinds:
            label = kind.model_fields["kind"].default if "kind" in kind.model_fields else None
            label = label if isinstance(label, str) else None  # a key `kind` that has to be set distinguishes nothing
            inner = f"{key}." if "dict" not in str(field.annotation) else f"{key}.NAME."
            yield key, "section" if label is None else f"section, kind {label}", "", kind.__doc__ or text
            yield from _keys_of(kind, inner)


def _plain(value: Any) -> str:
    if isinstance(value, BaseModel):
        return ""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _type_name(annotation: Any) -> str:
    """A type as a reader of YAML would call it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _type_name(get_args(annotation)[0])
    if origin is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if origin in (Union, UnionType):
        return " | ".join("null" if a is NoneType else _type_name(a) for a in get_args(annotation))
    if origin in (tuple, list):
        return f"list of {_type_name(get_args(annotation)[0])}"
    if origin is dict:
        return f"mapping of name to {_type_name(get_args(annotation)[1])}"
    return {"str": "text", "bool": "true | false"}.get(getattr(annotation, "__name__", ""), annotation.__name__)
