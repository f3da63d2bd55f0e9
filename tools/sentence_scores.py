"""What the vectors of the published sentence encoder say of the captions of moving shapes, by a linear classifier.

    vidgan weights fetch minilm
    python tools/sentence_scores.py

One ridge regression per slot reads the vectors of the captions of seen combinations. It is scored on captions of
held-out combinations, and on these with the word of one slot replaced by a word that no caption of the training has.
"""

import torch
from torch import Tensor

from vidgan.data.synthetic.captioned import SLOTS, caption_of, combinations
from vidgan.pretrained.sentence_encoder import load_sentence_encoder
from vidgan.tokens import split_words

RIDGE = 0.1  # weight of the squared coefficients; vectors have length 1
CAPTIONS = 3  # per combination
NEW_WORDS = {
    "colour": {"red": ("crimson", "scarlet"), "yellow": ("golden",), "green": ("emerald",), "blue": ("navy", "azure")},
    "shape": {"disc": ("circle", "round"), "square": ("block", "cube"), "triangle": ("triangular", "pyramid")},
    "size": {"small": ("tiny", "mini"), "large": ("huge", "giant")},
    "motion": {"left": ("leftwards",), "right": ("rightwards",), "up": ("upwards",), "down": ("downwards",)},
    "speed": {"slowly": ("gradually", "sluggishly"), "fast": ("rapidly", "swiftly")},
}


def captions(chosen: list[dict[str, str]]) -> list[tuple[str, dict[str, str]]]:
    """Captions with their attributes; all sentences and words occur."""
    return [(caption_of(one, i, i // 2 + k, k), one) for i, one in enumerate(chosen) for k in range(CAPTIONS)]


def vectors(texts: list[str]) -> Tensor:
    """(N, 384 + 1): the vectors, and 1."""
    encoded = load_sentence_encoder().encode([split_words(text) for text in texts])
    return torch.cat([encoded, torch.ones(len(texts), 1)], dim=1)


def main() -> None:
    """Print the share of captions whose value is read correctly, per slot."""
    train = captions(combinations(held_out=False))
    test = captions(combinations(held_out=True))
    known = vectors([text for text, _ in train])
    held_out = vectors([text for text, _ in test])
    solve = torch.linalg.solve(known.T @ known + RIDGE * torch.eye(known.shape[1]), known.T)
    print("| slot | chance | held-out combinations | a new word for the slot |\n|---|---|---|---|")
    for slot, values in SLOTS.items():
        names = list(values)
        truth = torch.tensor([names.index(one[slot]) for _, one in train])
        weights = solve @ torch.nn.functional.one_hot(truth, len(names)).float()
        right = (held_out @ weights).argmax(dim=1) == torch.tensor([names.index(one[slot]) for _, one in test])
        renamed = []
        for text, one in test:
            old = next(word for word in split_words(text) if word in values[one[slot]])
            renamed += [(text.replace(old, new), names.index(one[slot])) for new in NEW_WORDS[slot][one[slot]]]
        answers = (vectors([text for text, _ in renamed]) @ weights).argmax(dim=1)
        new = answers == torch.tensor([number for _, number in renamed])
        print(f"| {slot} | {1 / len(names):.2f} | {right.float().mean():.2f} | {new.float().mean():.2f} |", flush=True)


if __name__ == "__main__":
    main()
