"""Reading configs: YAML (OmegaConf) with `a.b=c` overrides, validated against `vidgan.schema`.

An unknown key, a wrong type, a value out of range or an impossible pair of settings stops before any data is read, with
the name of the key, what is accepted, and the nearest known name.
"""

import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from vidgan.errors import ConfigError
from vidgan.schema import OptimizerConfig, RunConfig, nearest

__all__ = [
    "OptimizerConfig",
    "RunConfig",
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


def _known_keys(location: Sequence[str | int]) -> set[str]:
    """The keys that the section at `location` accepts, for the error message."""
    section: type[BaseModel] = RunConfig
    for part in location:
        field = section.model_fields.get(str(part))
        if field is None:
            break
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for candidate in candidates:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                section = candidate
                break
        else:
            # A dict of sections (`optimizers.<name>`): descend into the value type on the next part.
            values = [a for c in candidates for a in getattr(c, "__args__", ()) if isinstance(a, type)]
            section = next((v for v in values if issubclass(v, BaseModel)), section)
    return set(section.model_fields)


def _explain(error: ValidationError, origin: str) -> str:
    lines = []
    for issue in error.errors():
        key = ".".join(str(part) for part in issue["loc"])
        if issue["type"] == "extra_forbidden":
            lines.append(f"unknown key {key!r}{nearest(str(issue['loc'][-1]), _known_keys(issue['loc'][:-1]))}")
        elif issue["type"] == "missing":
            lines.append(f"{key} is not set")
        else:
            message = issue["msg"].removeprefix("Value error, ")
            got = f" (got {issue['input']!r})" if not isinstance(issue["input"], dict | BaseModel) else ""
            lines.append(f"{key}: {message}{got}" if key else message)
    return f"{origin}: " + "; ".join(lines)


def parse_config(values: Any, origin: str) -> RunConfig:
    """A validated config from plain dicts and lists; `origin` is named in errors."""
    if not isinstance(values, dict):
        raise ConfigError(f"{origin}: a config is a mapping of sections, got {type(values).__name__}")
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, origin)) from None


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


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file, apply `a.b=c` overrides, validate.

    YAML is parsed by OmegaConf's safe loader: tags cannot construct objects. Files above 1 MB are refused, and so are
    aliases (a few lines of them stand for gigabytes) and interpolations (`${oc.env:TOKEN}` would read the environment
    of whoever loads the file, and the run would keep it).
    """
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_CONFIG_BYTES} bytes; this is no config")
    for override in overrides:
        if "=" not in override or not override.split("=", 1)[0].strip():
            raise ConfigError(f"override {override!r}: write it as key.sub=value, for example train.steps=1000")
    try:
        _require_plain(path)
        loaded = OmegaConf.load(path)
        if not isinstance(loaded, DictConfig):
            raise ConfigError(f"{path}: a config is a mapping of sections, got a list")
        merged = OmegaConf.merge(loaded, OmegaConf.from_dotlist(list(overrides)))
        values = OmegaConf.to_container(merged, resolve=False)
    except ConfigError:
        raise
    except (OmegaConfBaseException, OSError, ValueError) as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from None
    except Exception as error:  # PyYAML's errors share no base with OmegaConf's
        if type(error).__module__.startswith("yaml"):
            raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
        raise
    for key, value in _leaves(values).items():
        if "${" in str(value):
            raise ConfigError(f"{path}: {key}: interpolation is not accepted (got {value!r}); write the value itself")
    return parse_config(values, str(path))


def _require_plain(path: Path) -> None:
    """Refuse what a small YAML file can blow up with: aliases, and depth that the parser takes for ever to leave."""
    depth = 0
    for token in yaml.scan(path.read_text()):
        if isinstance(token, yaml.AliasToken):
            raise ConfigError(f"{path}: YAML aliases (*name) are not accepted; write the value out")
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_CONFIG_DEPTH:
            raise ConfigError(f"{path}: nested more than {MAX_CONFIG_DEPTH} deep; this is no config")


def dump_config(config: RunConfig) -> str:
    """YAML text of the resolved config; `load_config` reads it back to an equal one."""
    return OmegaConf.to_yaml(OmegaConf.create(config.model_dump(mode="json", exclude_none=True)))


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
