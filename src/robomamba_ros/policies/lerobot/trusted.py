"""What a LeRobot directory may name: nothing that would run code which comes with it.

LeRobot imports a class of any module that a processor's JSON names, and calls it with arguments of
that file; some of its policies run Python that lies beside the weights they name.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from robomamba_ros.common.documents import read_json
from robomamba_ros.errors import CheckpointError

PROCESSORS = ('policy_preprocessor.json', 'policy_postprocessor.json')
# Of LeRobot's own policies, those that never ask transformers for code of a directory; read in
# version 0.6. Policies of other packages are as trusted as their installation.
READ = ('act', 'diffusion', 'vqbet', 'tdmpc', 'smolvla', 'pi0', 'pi05')
_REMOTE = 'trust_remote_code'
_REMEDY = (
    'run it in a process of its own, without rights on the robot, and use it by the kind `remote`'
)


def check_processors(directory: Path, registered: Any) -> None:
    """Raise CheckpointError where a processor has a step that is not LeRobot's, or runs code.

    registered: LeRobot's ProcessorStepRegistry, after plug-ins were imported.
    """
    known = set(registered.list())
    for name in PROCESSORS:
        path = directory / name
        document = read_json(path, error=CheckpointError)
        steps = document.get('steps') if isinstance(document, dict) else None
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise CheckpointError(f'{path} has no list of `steps`; save the policy again')
        for step in steps:
            asked = step.get('registry_name')
            if not isinstance(asked, str) or asked not in known:
                other = asked if 'registry_name' in step else step.get('class')
                raise CheckpointError(
                    f'{path}: the step {str(other)!r:.80} is not in the registry of LeRobot or of '
                    'an installed plug-in, so it could be any code; install the plug-in that '
                    'registers it'
                )
            if _REMOTE in inspect.signature(registered.get(asked)).parameters:
                raise CheckpointError(
                    f'{path}: the step {asked!r} runs code of the tokenizer it names; {_REMEDY}'
                )


def check_type(directory: Path, theirs: Any) -> None:
    """Raise CheckpointError for a policy of LeRobot that was not read for what it runs."""
    if type(theirs).__module__.startswith('lerobot.') and theirs.type not in READ:
        raise CheckpointError(
            f'{directory}: policies of the type {theirs.type!r} may run code that their files '
            f'name; here are taken {", ".join(READ)} and those of installed plug-ins. For others, '
            f'{_REMEDY}'
        )
