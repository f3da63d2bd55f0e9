"""MoCoGAN's own measures in `vidgan evaluate`: a classifier for MCS, and ACD by an embedding network."""

from dataclasses import replace

from vidgan.data.dataset import ClipDataset
from vidgan.errors import ConfigError
from vidgan.evaluation.results import Score, SynthesisScores
from vidgan.evaluation.scoring import labelled_clips, real_clips
from vidgan.evaluation.settings import Settings
from vidgan.evaluation.subjects import Subject
from vidgan.metrics.content import embedding_distance, face_embedding
from vidgan.metrics.motion_control import Classifier, train_classifier
from vidgan.metrics.statistics import SourceBootstrap
from vidgan.metrics.weights import file_hash
from vidgan.tasks.synthesis.sampling import ClipSampler

FACE = "face"  # the embedding's name in `--weights`
LEARNT = 2048  # training clips that the classifier learns from, at most
ACD = (
    "ACD, embedding form: mean pairwise L2 distance over the frames of a clip of {name}'s features; only a network that"
    " tells faces apart makes it the paper's; a frozen clip scores 0, so read it beside motion_energy"
)


def motion_classifier(subject: Subject, training: ClipDataset, settings: Settings) -> Classifier:
    """A classifier of the training clips, which proves itself on real clips of sources that it did not learn from.

    Raises:
        ConfigError: the model has no categories, or others than the data. ValueError: too few sources of a category.
    """
    number = int(getattr(subject.model, "num_categories", 0))
    if number == 0:
        raise ConfigError(f"--mcs has no effect on {subject.name}: this model has no categories")
    if training.num_categories != number:
        raise ConfigError(
            f"--mcs: {subject.name} has {number} categories, {subject.data} has {training.num_categories}"
        )
    clips, entries = labelled_clips(training, LEARNT)
    return train_classifier(
        clips,
        [entry.category for entry in entries],
        names=training.category_names,
        sources=[entry.group for entry in entries],
        seed=settings.seed,
        device=settings.torch_device(),
    )


def with_embedding(
    scores: SynthesisScores, model: ClipSampler, dataset: ClipDataset, settings: Settings
) -> SynthesisScores:
    """The result with the content distance in the features of the user's network, of generated and of real clips."""
    path = settings.weights[FACE]
    embed = face_embedding(path, device=settings.torch_device())
    real, groups = real_clips(dataset, scores.clips)
    count, pictures = (len(real), real[:, 0]) if model.needs_first_frame else (scores.clips, None)
    made = model.sample(count, frames=dataset.frames, seed=settings.seed, first_frame=pictures)
    table = dict(scores.scores)
    for row, clips, units in (("generated", made, [str(n) for n in range(len(made))]), ("real", real, groups)):
        values = embedding_distance(clips, embed)
        interval, _ = SourceBootstrap(units, seed=settings.seed).mean(values[:, None])
        table[row] = {**table[row], "acd_embedding": Score(interval, [])}
    facts = {**scores.provenance.get("metric_weights", {}), path.name: file_hash(path)}
    return replace(
        scores,
        scores=table,
        definitions={**scores.definitions, "acd_embedding": ACD.format(name=path.name)},
        provenance={**scores.provenance, "metric_weights": facts},
    )
