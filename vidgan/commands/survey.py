"""`vidgan survey`: ask people which of two sets of clips is better, without telling them which is which.

`make` writes a page and its key. `read` turns the votes that the page saved into Bradley-Terry scores. It is no option
of `vidgan compare`, because none of the metrics, protocols and table formats of that command applies.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vidgan.errors import ConfigError
from vidgan.evaluation.folders import Reader, find_videos
from vidgan.evaluation.output import check_new
from vidgan.files import digest_of, read_json, write_text
from vidgan.metrics.preference import Vote, bradley_terry
from vidgan.metrics.statistics import Estimate
from vidgan.report.survey_page import survey_page
from vidgan.seeding import derive_seed
from vidgan.types import ByteClip
from vidgan.video.encode import webp_bytes

FORMAT = 1
QUESTION = "Which clip looks more like a real video?"
GAP, SIDE, PAGE_WIDTH = 8, 320, 960  # pixels: between two clips, least width of a clip, most of both
LOSSLESS = 128 * 128  # largest frame that is embedded without loss
DAMAGES = ("mosaic", "noise")
PASSED = 0.8  # share of the catch trials that a voter must answer correctly
CHOICES = ("left", "right", "tie")


@dataclass(frozen=True)
class Trial:
    """One pair of the page.

    Attributes:
        left, right: names of the sets; equal in a catch trial.
        clips: names of the two clips.
        intact: "left" or "right" in a catch trial: the side of the undamaged clip.
    """

    left: str
    right: str
    clips: tuple[str, str]
    intact: str | None = None


@dataclass(frozen=True)
class SurveyScores:
    """What the votes say.

    Attributes:
        sets: names.
        score: set -> Bradley-Terry score, log-odds with mean zero.
        preferred: "A over B" -> probability that A is preferred to B.
        votes: number of votes that count.
        ties: number of these without a preference.
        voters: file -> passed and number of catch trials, and whether its votes count.
        notes: limits of the numbers.
    """

    sets: list[str]
    score: dict[str, Estimate]
    preferred: dict[str, Estimate]
    votes: int
    ties: int
    voters: dict[str, dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The scores for a terminal."""
        lines = [f"{self.votes} votes ({self.ties} ties)"]
        for name, voter in self.voters.items():
            verdict = "" if voter["counts"] else ": FAILED, the votes are left out"
            if voter["failed"] and voter["counts"]:
                verdict = ": FAILED, the votes are kept (--keep-failed)"
            lines.append(f"catch trials of {name}: {voter['passed']} of {voter['catch']} passed{verdict}")
        width = max(map(len, [*self.sets, *self.preferred]))
        lines += ["", f"{'set':<{width}}  Bradley-Terry score, log-odds [95 %]"]
        order = sorted(self.sets, key=lambda name: -(self.score[name].mean or 0))
        lines += [f"{name:<{width}}  {_interval(self.score[name])}" for name in order]
        lines += ["", f"{'':<{width}}  chance of being preferred [95 %]"]
        lines += [f"{name:<{width}}  {_interval(chance)}" for name, chance in self.preferred.items()]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def make(
    sets: Sequence[Path],
    out: Path,
    *,
    pairs: int = 32,
    catch: int = 8,
    frames: int | None = None,
    fps: float = 8.0,
    question: str = QUESTION,
    seed: int = 0,
) -> Path:
    """Write the page of a survey, and its key beside it as `<name>.key.json`, which voters must not get.

    Videos of one name (such as forecasts of one window) are shown together; sets without a common name are paired at
    random. Left and right, the order and the choice of clips are drawn from the seed.

    Args:
        sets: two or more folders, files or patterns of videos.
        out: the HTML file.
        pairs: number of pairs, divided evenly among the pairs of sets.
        catch: number of catch trials: a clip beside the same clip, damaged.
        frames: frames shown of each clip; default: all.
        fps: frames per second.
        question: asked of each pair.
        seed: of the draws.

    Returns:
        `out`.

    Raises:
        ConfigError: fewer than two sets, or sets of one name. FileExistsError: the page or its key exists.
        DataError: no videos. ValueError: clips of different sizes, or of a single frame.
    """
    names = _set_names(sets)
    key_file = _key_path(out)
    for path in (out, key_file):
        check_new(path)
    readers = {name: find_videos(path, None) for name, path in zip(names, sets, strict=True)}
    rng = np.random.default_rng(derive_seed("survey", seed))
    trials: list[Trial] = []
    clips: list[bytes] = []
    matches = list(combinations(names, 2))
    planned = [matches[number % len(matches)] for number in range(pairs)]
    chosen = {
        match: iter(_couples(readers[match[0]], readers[match[1]], rng, planned.count(match))) for match in matches
    }
    kinds = rng.permutation([False] * pairs + [True] * catch)
    compared, caught = iter(planned), 0
    width = 0
    for is_catch in kinds:
        if is_catch:
            name = names[caught % len(names)]
            video = sorted(readers[name])[rng.integers(len(readers[name]))]
            whole = _shown(readers[name], video, frames)
            both = [whole, damaged(whole, DAMAGES[caught // len(names) % len(DAMAGES)], seed=int(rng.integers(2**31)))]
            sides, couple, caught = (name, name), (video, video), caught + 1
        else:
            sides = next(compared)
            couple = next(chosen[sides])
            both = [_shown(readers[name], video, frames) for name, video in zip(sides, couple, strict=True)]
        swapped = bool(rng.integers(2))
        if swapped:
            both, sides, couple = both[::-1], sides[::-1], couple[::-1]
        intact = ("right" if swapped else "left") if is_catch else None
        trials.append(Trial(*sides, couple, intact))
        image, drawn = _side_by_side(both, couple, fps)
        clips.append(image)
        width = max(width, drawn)
    identity = digest_of([asdict(trial) for trial in trials], seed)[:12]
    page = survey_page(identity, clips, width=width, question=question)
    key = {
        "vidgan_survey_key": FORMAT,
        "survey": identity,
        "sets": names,
        "paths": [str(path.absolute()) for path in sets],
        "seed": seed,
        "trials": [asdict(trial) for trial in trials],
    }
    write_text(key_file, json.dumps(key, indent=1) + "\n")  # first: a page without its key is useless
    write_text(out, page)
    return out


def read(votes: Sequence[Path], *, key: Path, keep_failed: bool = False) -> SurveyScores:
    """Score the votes of a survey.

    Args:
        votes: files that the page saved, one per voter.
        key: the file that `make` wrote beside the page.
        keep_failed: count the votes of voters who failed the catch trials.

    Raises:
        ConfigError: files of another kind or of another survey, or no vote that counts.
    """
    names, trials, identity = _read_key(key)
    counted: list[Vote] = []
    voters: dict[str, dict[str, Any]] = {}
    seen: dict[str, str] = {}
    ties = 0
    for file in votes:
        answers = _read_votes(file, identity, len(trials))
        content = json.dumps(answers)
        if content in seen:
            raise ConfigError(f"{file} holds the same votes as {seen[content]}; give each voter once")
        seen[content] = str(file)
        catch = {number: trial for number, trial in enumerate(trials) if trial.intact is not None and number in answers}
        passed = sum(answers[number] == trial.intact for number, trial in catch.items())
        failed = passed < PASSED * len(catch)
        counts = keep_failed or not failed
        voters[file.name] = {"passed": passed, "catch": len(catch), "failed": failed, "counts": counts}
        for number, choice in answers.items():
            trial = trials[number]
            if not counts or trial.intact is not None:
                continue
            share = {"left": 1.0, "right": 0.0, "tie": 0.5}[choice]
            ties += choice == "tie"
            unit = " | ".join(sorted(set(trial.clips)))
            counted.append(Vote(names.index(trial.left), names.index(trial.right), share, unit))
    if not counted:
        raise ConfigError(
            "no vote counts: every voter failed the catch trials (--keep-failed counts them all the same)"
            if any(voter["failed"] for voter in voters.values())
            else "the files hold no vote"
        )
    try:
        scores = bradley_terry(counted, len(names))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return SurveyScores(
        sets=names,
        score=dict(zip(names, scores.strength, strict=True)),
        preferred={f"{names[i]} over {names[j]}": chance for (i, j), chance in scores.preferred.items()},
        votes=len(counted),
        ties=ties,
        voters=voters,
        notes=_notes(voters),
    )


def damaged(clip: ByteClip, kind: str, *, seed: int) -> ByteClip:
    """A clip that every attentive viewer takes for the worse one.

    Args:
        clip: (T, 3, H, W) uint8.
        kind: "mosaic", eight rows of squares, or "noise", of a standard deviation of 64 levels.
        seed: of the noise.
    """
    frames = clip.float()
    if kind == "mosaic":
        height, width = clip.shape[-2:]
        rows = min(8, height)
        small = F.interpolate(frames, size=(rows, max(1, round(width * rows / height))), mode="area")
        return F.interpolate(small, size=(height, width), mode="nearest").round().to(torch.uint8)
    noise = torch.randn(frames.shape, generator=torch.Generator().manual_seed(seed)) * 64
    return (frames + noise).round().clamp(0, 255).to(torch.uint8)


def _set_names(sets: Sequence[Path]) -> list[str]:
    if len(sets) < 2:
        raise ConfigError("a survey compares two or more sets of videos; give their folders")
    names = [path.name for path in sets]
    if len(set(names)) < len(names):
        names = [str(path) for path in sets]
    if len(set(names)) < len(names):
        raise ConfigError(f"a set is named twice: {', '.join(names)}")
    return names


def _key_path(page: Path) -> Path:
    return page.with_name(f"{page.stem}.key.json")


def _couples(
    one: Mapping[str, Reader], other: Mapping[str, Reader], rng: np.random.Generator, number: int
) -> list[tuple[str, str]]:
    """Pairs of names: those in common, each once before one is repeated; without any, random ones."""
    common = sorted(one.keys() & other.keys())
    couples: list[tuple[str, str]] = []
    while len(couples) < number:
        if common:
            couples += [(common[i], common[i]) for i in rng.permutation(len(common))]
        else:
            sides = [[sorted(side)[i] for i in rng.permutation(len(side))] for side in (one, other)]
            couples += list(zip(*sides, strict=False))
    return couples[:number]


def _shown(readers: Mapping[str, Reader], name: str, frames: int | None) -> ByteClip:
    clip = readers[name]()[:frames]
    if len(clip) < 2:
        raise ValueError(f"{name}: has a single frame; a survey shows clips")
    return clip


def _side_by_side(clips: Sequence[ByteClip], names: Sequence[str], fps: float) -> tuple[bytes, int]:
    """Both clips in one animation, so that they play in step, and the width at which it is displayed."""
    left, right = (clip[: min(map(len, clips))] for clip in clips)
    if left.shape != right.shape:
        sizes = " and ".join(f"{clip.shape[-1]}x{clip.shape[-2]}" for clip in clips)
        raise ValueError(f"{names[0]}, {names[1]}: frames of {sizes} pixels; resize the videos to one size first")
    gap = torch.full((*left.shape[:-1], GAP), 128, dtype=torch.uint8)
    both = torch.cat([left, gap, right], dim=-1)
    scale = max(1, min(SIDE // left.shape[-1] or 1, PAGE_WIDTH // both.shape[-1]))
    is_small = left.shape[-1] * left.shape[-2] <= LOSSLESS
    return webp_bytes(both, fps=fps, lossless=is_small), both.shape[-1] * scale


def _read_key(path: Path) -> tuple[list[str], list[Trial], str]:
    try:
        content = read_json(path)
        if content["vidgan_survey_key"] != FORMAT:
            raise ValueError(f"format {content['vidgan_survey_key']}, accepted is {FORMAT}")
        names = [str(name) for name in content["sets"]]
        trials = [Trial(t["left"], t["right"], tuple(t["clips"]), t["intact"]) for t in content["trials"]]
        if any(name not in names for trial in trials for name in (trial.left, trial.right)):
            raise ValueError("a trial names a set that is not listed")
        return names, trials, str(content["survey"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: no key of a survey, which `vidgan survey make` writes ({error})") from error


def _read_votes(path: Path, survey: str, trials: int) -> dict[int, str]:
    """Trial -> choice."""
    try:
        content = read_json(path)
        if content["vidgan_survey"] != FORMAT:
            raise ValueError(f"format {content['vidgan_survey']}, accepted is {FORMAT}")
        of_survey = content["survey"]
        answers = {vote["trial"]: vote["choice"] for vote in content["votes"]}
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: no votes, which the page of a survey saves ({error})") from error
    if of_survey != survey:
        raise ConfigError(f"{path}: votes of the survey {of_survey}, not of {survey}, whose key was given")
    for trial, choice in answers.items():
        if type(trial) is not int or not 0 <= trial < trials or choice not in CHOICES:
            raise ConfigError(
                f"{path}: {choice!r} in trial {trial!r}; accepted are {', '.join(CHOICES)} in 0..{trials - 1}"
            )
    return answers


def _notes(voters: Mapping[str, Mapping[str, Any]]) -> list[str]:
    notes = [
        "one virtual tie per pair of sets keeps unanimous votes finite; intervals allow for votes on the same clip that"
        " depend on each other"
    ]
    catch = {voter["catch"] for voter in voters.values()}
    if min(catch) == 0:
        notes.append("some votes have no catch trial: whether those voters looked is not known")
    elif max(catch):
        needed = math.ceil(PASSED * max(catch))
        chance = sum(math.comb(max(catch), k) for k in range(needed, max(catch) + 1)) / 2 ** max(catch)
        notes.append(
            f"{needed} of {max(catch)} catch trials must be right; who guesses left or right passes with {chance:.1%}"
        )
    if len(voters) == 1:
        notes.append("one voter: the scores are that person's taste")
    return notes


def _interval(value: Estimate) -> str:
    return f"{value.mean:.2f} [{value.low:.2f}, {value.high:.2f}]"
