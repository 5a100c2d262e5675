"""How well contacts are found: in the image, in space, and by the fingers of the simulated arm.

The data set is one of simulated scenes (data/poses): targets are computed from its images and
depth, then tried in the scenes they were taken of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from robomamba_ros.datasets.conversations import Conversation
from robomamba_ros.datasets.poses import Camera, PoseSample, read_image
from robomamba_ros.errors import ActionError, DataError, ObservationError
from robomamba_ros.evaluation.statistics import SuccessRate
from robomamba_ros.policies.robomamba.policy import Contact, RoboMambaPolicy
from robomamba_ros.simulation.handles import HandleSim
from robomamba_ros.spatial.camera import Approach, express_in, pose_target, surface_at
from robomamba_ros.spatial.transforms import quaternion_from_rotation_matrix, rotation_matrix
from robomamba_ros.types import Float64Array, Pose

NEAR_M = 0.02
# A touch counts this close to the middle of the part; the fingers begin this far before it.
TOUCH_M, APPROACH_M = 0.04, 0.12


@dataclass(frozen=True)
class PoseError:
    """Errors of one target; infinite where there is none.

    pixel: between contacts [px of the image]; angle: between rotations, approach: between the ways
    up [deg]; distance: between the points in space [m]. touches: whether the fingers met the part.
    """

    task: str
    pixel: float
    angle: float
    approach: float
    distance: float
    touches: bool

    @property
    def near(self) -> bool:
        """Whether the point in space is within 2 cm of the true one."""
        return self.distance <= NEAR_M


def found_contacts(
    policy: RoboMambaPolicy, samples: Iterable[PoseSample]
) -> Iterator[Contact | None]:
    """Yield what a policy finds in each image, None where that is no pose."""
    for sample in samples:
        try:
            yield policy.contact(sample.read_image(), sample.instruction)
        except ActionError:
            yield None


def true_contacts(samples: Iterable[PoseSample]) -> Iterator[Contact]:
    """Yield the labels: what the measures give at best."""
    for sample in samples:
        yield Contact(sample.contact, _rotation(sample.directions))


def mean_contacts(samples: Iterable[PoseSample], seen: Sequence[PoseSample]) -> Iterator[Contact]:
    """Yield the mean pixel and directions of all samples `seen` with the same instruction.

    It is what can be said without looking. Raises DataError where none has the instruction.
    """
    for sample in samples:
        same = [other for other in seen if other.instruction == sample.instruction]
        if not same:
            raise DataError(f"no sample of the baseline has the task '{sample.instruction}'")
        directions = np.mean([other.directions for other in same], axis=0)
        yield Contact(np.mean([other.contact for other in same], axis=0), _rotation(directions))


def pose_errors(
    samples: Iterable[PoseSample], contacts: Iterable[Contact | None]
) -> Iterator[PoseError]:
    """Yield the error of each contact, after the simulated fingers have tried it.

    Raises DataError for a sample that is of no simulated scene.
    """
    sim: HandleSim | None = None
    try:
        for sample, contact in zip(samples, contacts, strict=True):
            camera = sample.camera
            if camera is None or not sample.task:
                raise DataError(f'{sample.image} is of no simulated scene; nothing can be tried')
            if sim is None:
                sim = HandleSim(sample.task, sample.seed)
            yield _error(sim, sample, camera, contact)
    finally:
        if sim is not None:
            sim.close()


def _error(
    sim: HandleSim, sample: PoseSample, camera: Camera, contact: Contact | None
) -> PoseError:
    if contact is None:
        return PoseError(sample.task, np.inf, np.inf, np.inf, np.inf, touches=False)
    true = _rotation(sample.directions)
    cosines = contact.rotation.T @ true
    error = {
        'pixel': float(np.linalg.norm(contact.pixel - sample.contact)),
        'angle': _degrees((np.trace(cosines) - 1.0) / 2.0),
        'approach': _degrees(cosines[2, 2]),
    }
    try:
        surface = surface_at(contact.pixel, sample.read_depth(), camera.intrinsics)
    except ObservationError:
        return PoseError(sample.task, **error, distance=np.inf, touches=False)
    approach = Approach()
    target = pose_target(surface, contact.rotation, approach, stamp_ns=0, frame='camera')
    rotation, origin = camera.camera_pose[:3, :3], camera.camera_pose[:3, 3]
    in_base = express_in(target, 'base', Pose(origin, quaternion_from_rotation_matrix(rotation)))
    up = rotation_matrix(in_base.pose.quaternion)[:, 2]
    point = in_base.pose.position + approach.contact_m * up
    sim.arrange(sample.task, sample.seed)
    return PoseError(
        sample.task,
        **error,
        distance=float(np.linalg.norm(surface.point - camera.point)),
        touches=sim.touch(point, up, from_m=APPROACH_M, within_m=TOUCH_M),
    )


def pose_table(results: Mapping[str, Sequence[PoseError]]) -> str:
    """Return a Markdown table with a row for each name: medians, 90th percentiles, shares."""
    lines = [
        '| | pixel error [px], median | 90 % | angle [deg], median | 90 % | approach [deg], median '
        '| within 2 cm | fingers touch |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for name, errors in results.items():

        def spread(what: str, among: Sequence[PoseError] = errors) -> tuple[float, float]:
            values = [getattr(error, what) for error in among]
            # No interpolation: where a target is missing, its error is infinite.
            half, most = np.percentile(values, (50, 90), method='higher')
            return float(half), float(most)

        pixel, angle, approach = spread('pixel'), spread('angle'), spread('approach')
        near = SuccessRate(sum(error.near for error in errors), len(errors))
        touches = SuccessRate(sum(error.touches for error in errors), len(errors))
        lines.append(
            f'| {name} | {pixel[0]:.1f} | {pixel[1]:.1f} | {angle[0]:.1f} | {angle[1]:.1f} '
            f'| {approach[0]:.1f} | {_share(near)} | {_share(touches)} |'
        )
    return '\n'.join(lines)


def answer_rates(
    policy: RoboMambaPolicy, conversations: Iterable[Conversation]
) -> dict[str, SuccessRate]:
    """Return how often each kind of question, by its first two words, is answered to the letter.

    Every question is asked on its own, of an image that nothing was said about yet.
    """
    asked: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for talk in conversations:
        image = None if talk.image is None else read_image(talk.image)
        for turn in talk.turns:
            kind = ' '.join(turn.question.split()[:2])
            asked[kind] += 1
            right[kind] += policy.answer(image, turn.question) == turn.answer
    return {kind: SuccessRate(right[kind], asked[kind]) for kind in sorted(asked)}


def answer_table(rates: Mapping[str, SuccessRate]) -> str:
    """Return a Markdown table of `answer_rates`."""
    lines = ['| question | answered to the letter |', '|---|---|']
    lines += [f'| {kind} ... | {_share(rate)} |' for kind, rate in rates.items()]
    return '\n'.join(lines)


def _share(rate: SuccessRate) -> str:
    low, high = rate.interval
    return f'{100 * rate.rate:.1f} % ({100 * low:.0f} .. {100 * high:.0f})'


def _rotation(directions: Float64Array) -> Float64Array:
    """Return the rotation (3, 3) of up and forward (6,): columns forward, left, up."""
    up = directions[:3] / np.linalg.norm(directions[:3])
    forward = directions[3:] - (up @ directions[3:]) * up
    forward = forward / np.linalg.norm(forward)
    return np.stack((forward, np.cross(up, forward), up), axis=-1)


def _degrees(cosine: float) -> float:
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
