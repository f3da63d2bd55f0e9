"""Typed sections of a config: pydantic models whose fields carry a description, a unit and a default.

Rules between the fields of a section are the section's own method `problems`, so that all that are broken are reported
at once. A value of null means the default: it resets a key, or takes an optional part out.
"""

import difflib
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

__all__ = ["LIMIT", "LIMITS", "OBJECT", "OwnPart", "Section", "kind_of", "nearest", "one_of", "option"]

OBJECT = "object"  # kind of a part that was passed from Python as an object
# Largest value of a number by its unit. Beyond them no machine or no arithmetic follows; a typing error does.
LIMITS = {
    "steps": 1e9,
    "epochs": 1e6,
    "clips": 1e6,
    "frames": 1e5,
    "pixels": 65_536,
    "channels": 16_384,
    "1/s": 1000,
}
LIMIT = 1e6  # of numbers with another unit or none
_REQUIRED: Any = ...


def option(
    default: Any = _REQUIRED,
    description: str = "",
    *,
    unit: str | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """A field of a section. Numbers must be finite and within the bounds; `unit` is shown in the reference.

    A number with a lower bound has an upper one too, by default that of its unit (`LIMITS`).
    """
    extra: dict[str, Any] = {} if unit is None else {"unit": unit}
    if (ge is not None or gt is not None) and le is None and lt is None:
        le = LIMITS.get(unit or "", LIMIT)
    return Field(default, description=description, json_schema_extra=extra, ge=ge, gt=gt, le=le, lt=lt)


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where a known name is close, and the list of known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (accepted: {', '.join(names) or 'none'})"


class Section(BaseModel):
    """Immutable; unknown keys, infinite numbers and broken rules are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        # A part that changes its kind leaves keys of the former kind behind, which null takes out.
        droppable = values if "kind" in cls.model_fields else cls.model_fields
        return {key: value for key, value in values.items() if value is not None or key not in droppable}

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        broken = list(self.problems())
        if broken:
            raise ValueError("\n".join(broken))
        return self

    def problems(self) -> Iterator[str]:
        """What is wrong between fields, one message each, naming the keys relative to this section."""
        return iter(())


class OwnPart(Section):
    """A part that vidgan does not know: `kind: my_module:MyClass`, all other keys are its keyword arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str = option(description="`my_module:MyClass` (imported only after an explicit opt-in), or `object`.")

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the class."""
        return dict(self.model_extra or {})


OWN: Literal["own"] = "own"


def kind_of(value: Any) -> Any:
    """The `kind` of a section given as a dictionary or as a model; None where it is left out."""
    return value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)


def one_of(*sections: type[Section], default: str) -> Any:
    """The type of a part that comes in several kinds, distinguished by `kind`, or is one of the user's own.

    Each section has a field `kind: Literal[...]`.
    """
    tags = {str(section.model_fields["kind"].default): section for section in sections}

    def tag(value: Any) -> str | None:
        kind = kind_of(value)
        if kind is None:
            return default
        if isinstance(value, OwnPart) or (isinstance(kind, str) and (":" in kind or kind == OBJECT)):
            return OWN
        return kind if isinstance(kind, str) and kind in tags else None

    accepted = f"{', '.join(tags)}, or my_module:MyClass"
    members = [Annotated[section, Tag(name)] for name, section in tags.items()]
    union: Any = Annotated[OwnPart, Tag(OWN)]
    for member in reversed(members):
        union = member | union
    return Annotated[
        union,
        Discriminator(
            tag,
            custom_error_type="unknown_kind",
            custom_error_message=f"unknown kind (accepted: {accepted})",
        ),
    ]
