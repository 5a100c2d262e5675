"""The outcomes of an evaluation, in a file that is whole at any time and can be continued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from robomamba_ros.common.documents import read_json
from robomamba_ros.common.files import written_whole
from robomamba_ros.errors import ConfigError, DataError
from robomamba_ros.evaluation.metaworld import EvaluationConfig, Job, Outcome
from robomamba_ros.evaluation.perturbations import NONE
from robomamba_ros.evaluation.success import document

MEGABYTES = 64  # of tens of thousands of episodes


class Results:
    """Outcomes by task and seed; with a path, what is there counts, and each addition is written.

    through_graph: whether the episodes are run by the nodes. Raises ConfigError where the file was
    made with other settings, DataError where it is no such file.
    """

    def __init__(self, path: Path | None, config: EvaluationConfig, through_graph: bool) -> None:
        self._path, self._config = path, config
        self._settings = settings(config, through_graph)
        self._outcomes: dict[Job, Outcome] = {}
        if path is not None and path.is_file():
            self._outcomes = _read(path, self._settings)

    @property
    def missing(self) -> list[Job]:
        """The jobs of the configuration without an outcome."""
        return [job for job in self._config.jobs if job not in self._outcomes]

    @property
    def outcomes(self) -> list[Outcome]:
        """The outcomes of the configuration's jobs, in their order, as far as they are there."""
        return [self._outcomes[job] for job in self._config.jobs if job in self._outcomes]

    @property
    def successes(self) -> int:
        """How many of `outcomes` are a success."""
        return sum(each.success for each in self.outcomes)

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        self._outcomes[outcome.task, outcome.seed] = outcome
        self.write()

    def write(self) -> None:
        """Write settings, figures and every outcome as JSON, if there is a path."""
        if self._path is None:
            return
        content = {
            'policy': self._config.policy,
            'settings': self._settings,
            'missing': len(self.missing),
            **document(self.outcomes),
            'episodes': [asdict(self._outcomes[job]) for job in sorted(self._outcomes)],
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(self._path) as path:
            path.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')


def settings(config: EvaluationConfig, through_graph: bool) -> dict[str, Any]:
    """Return all that an episode's outcome follows from, besides its task and seed."""
    load = asdict(config.load)
    for name in ('threads', 'instructions'):  # which change no episode
        del load[name]
    return {
        'checkpoint': checkpoint_digest(Path(config.policy)),
        'execute_steps': config.execute_steps,
        'latency_steps': config.latency_steps,
        'arm': config.arm,
        # Results of before there were any have none.
        **({} if config.perturbation == NONE else {'perturbation': config.perturbation}),
        **load,
        'through_graph': through_graph,
    }


def checkpoint_digest(checkpoint: Path) -> str:
    """Return the SHA-256 of what is in a checkpoint, but for its card."""
    digest = hashlib.sha256()
    for path in sorted(checkpoint.iterdir()):
        if path.is_file() and path.suffix != '.md':
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path, expected: Mapping[str, Any]) -> dict[Job, Outcome]:
    try:
        content = read_json(path, megabytes=MEGABYTES, error=DataError)
        found = content['settings']
        outcomes = [Outcome(**each) for each in content['episodes']]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f'{path} does not hold results of an evaluation ({error}); give another file'
        ) from error
    differences = [
        f'{key} is {found.get(key)} there and {value} here'
        for key, value in {**dict.fromkeys(found), **expected}.items()
        if found.get(key) != value
    ]
    if differences:
        raise ConfigError(
            f'{path} holds results of other settings: {"; ".join(differences)}. Give the same '
            'settings to continue it, or another file'
        )
    return {(each.task, each.seed): each for each in outcomes}
