"""Holds the floors of the house: who may import whom, and which packages stay out of where.

The rules are data at the top. Imports are read from the syntax tree of every module under src/,
so that nothing has to be installed to check them. An import inside a function counts like any
other: it runs on the same machine, only later. Imports under `if TYPE_CHECKING` never run; they
count for the floors and not for what a machine needs.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = 'robomamba_ros'
SOURCE = Path(__file__).parents[1] / 'src'
ARCHITECTURE = SOURCE.parent / 'docs' / 'architecture.md'

# Lowest floor first. A part imports from floors below its own, and from itself.
FLOORS = (
    ('errors',),
    ('types',),
    ('common',),
    ('spatial', 'mamba', 'vision', 'language'),
    ('policies', 'robots'),
    ('messages',),
    ('bags',),
    ('datasets',),
    ('simulation',),
    ('bringup',),
    ('control', 'training'),
    ('doctor', 'evaluation', 'watching'),
    ('reports', 'nodes'),
    ('replay',),
    ('benchmarks',),
    ('cli',),
    ('executables',),
    ('__main__',),
)
FLOOR = {part: height for height, parts in enumerate(FLOORS) for part in parts}

# ROS is named in these parts and nowhere else.
ROS_PARTS = (
    'nodes',
    'benchmarks.nodes',
    'benchmarks.questions',
    'cli',
    'messages.ros_cv_bridge',
)
ROS = ('rclpy', 'tf2_ros', 'cv_bridge', 'builtin_interfaces', 'std_srvs', 'rcl_interfaces')
ROS += ('robomamba_interfaces',)

# Everything these modules reach runs on a robot's own computer, from the base installation.
ROBOT_SIDE = ('nodes.controller', 'nodes.common', 'robots', 'messages.state', 'control')
ROBOT_SIDE += ('bringup.graph',)
BASE_INSTALL = ('numpy', 'yaml', 'transforms3d')
# Optional there: an arm whose controllers take poses needs none of it, nor a policy in a directory.
ROBOT_EXTRAS = ('coal', 'pinocchio', 'xacro', 'huggingface_hub')

# An optional package is touched in one place, so that one message says how to install it.
ONE_PLACE = {
    'numba': 'mamba',
    'triton': 'mamba.triton',
    'mamba_ssm': 'mamba.scan',
    'causal_conv1d': 'mamba.scan',
    'mujoco': 'simulation',
    'metaworld': 'simulation',
    'gymnasium': 'simulation',
    'coal': 'robots.backend',
    'pinocchio': 'robots.backend',
    'xacro': 'robots.urdf_text',
    'simplejpeg': 'messages.compressed_images',
    'launch': 'bringup.launch',
    'launch_ros': 'bringup.launch',
    'tf2_ros': 'nodes',
    'cv_bridge': 'messages.ros_cv_bridge',
    'huggingface_hub': 'policies.hub',
    'tokenizers': 'language',
    'msgpack': 'policies.remote',
    'websockets': 'policies.remote',
    'lerobot': 'policies.lerobot',
    'onnx': 'policies.anolevla.export',
    'onnxruntime': 'policies.anolevla.export',
    'onnxscript': 'policies.anolevla.export',
    'rosbags': 'bags',
    'pyarrow': 'datasets.lerobot',
    'av': 'datasets.lerobot.video',
    'tensorboard': 'training.shared.record',
    'rerun': 'watching.rerun_view',
    'foxglove': 'watching.foxglove_view',
}

LOWER_FLOORS = ('errors', 'types', 'spatial', 'robots', 'control', 'policies.base')
LOWER_FLOORS += ('bringup.graph',)
ABSENT_ON_A_ROBOT = ('torch', 'safetensors', 'tokenizers', 'numba', 'cv2', 'mujoco', 'metaworld')
ABSENT_ON_A_ROBOT += ('pyarrow', 'av')
ABSENT_ON_A_ROBOT += ROBOT_EXTRAS


@dataclass(frozen=True)
class Import:
    """One import: dotted `importer` and `target`, and whether only a type checker runs it."""

    importer: str
    target: str
    line: int
    typing_only: bool

    def __str__(self) -> str:
        return f'{self.importer}:{self.line} imports {self.target}'


def module_name(path: Path, source: Path) -> str:
    """Return the dotted name of a file; a package has the name of its folder."""
    parts = path.relative_to(source).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == 'TYPE_CHECKING') or (
        isinstance(test, ast.Attribute) and test.attr == 'TYPE_CHECKING'
    )


def targets(node: ast.AST, package: str) -> list[str]:
    """Return what one node imports; `from a import b` gives a.b, whether b is a module or not."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = package.split('.')[: len(package.split('.')) - node.level + 1] if node.level else []
        prefix = '.'.join([*base, *([node.module] if node.module else [])])
        return [f'{prefix}.{alias.name}' for alias in node.names]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else None
        called = node.func.id if isinstance(node.func, ast.Name) else called
        if called in ('import_module', '__import__', 'find_spec'):
            return [str(node.args[0].value)]
    return []


def imports_of(path: Path, source: Path) -> Iterator[Import]:
    """Yield every import of one file."""
    name = module_name(path, source)
    package = name if path.name == '__init__.py' else name.rpartition('.')[0]

    def visit(node: ast.AST, typing_only: bool) -> Iterator[Import]:
        for target in targets(node, package):
            yield Import(name, target, node.lineno, typing_only)
        if isinstance(node, ast.If) and is_type_checking(node.test):
            for child in node.body:
                yield from visit(child, True)
            for child in node.orelse:
                yield from visit(child, typing_only)
            return
        for child in ast.iter_child_nodes(node):
            yield from visit(child, typing_only)

    yield from visit(ast.parse(path.read_text()), False)


class Imports:
    """Every import under one source folder, and what a module reaches through them."""

    def __init__(self, source: Path) -> None:
        files = sorted((source / ROOT).rglob('*.py'))
        self.by_module = {
            module_name(path, source): list(imports_of(path, source)) for path in files
        }

    def __iter__(self) -> Iterator[Import]:
        return (found for imports in self.by_module.values() for found in imports)

    def inside(self, *parts: str) -> list[str]:
        """Return the modules that are, or lie in, robomamba_ros.<part>."""
        return [name for name in self.by_module if any(within(name, part) for part in parts)]

    def modules_run_by(self, target: str) -> list[str]:
        """Return the modules of this package that importing `target` runs, packages included."""
        pieces = target.split('.')
        names = ['.'.join(pieces[: end + 1]) for end in range(len(pieces))]
        return [name for name in names if name in self.by_module]

    def reached_from(self, module: str) -> list[Import]:
        """Return every import that runs, now or later, once `module` is imported."""
        waiting, seen, found = self.modules_run_by(module), set(), []
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            for each in self.by_module[name]:
                if not each.typing_only:
                    found.append(each)
                    waiting += self.modules_run_by(each.target)
        return found


def within(name: str, part: str) -> bool:
    full = f'{ROOT}.{part}'
    return name == full or name.startswith(f'{full}.')


def part_of(name: str) -> str:
    """Return the top part of a module's name; '' for the package itself and its attributes."""
    pieces = name.split('.')
    return pieces[1] if len(pieces) > 1 and pieces[1] in FLOOR else ''


def top(name: str) -> str:
    return name.split('.')[0]


def is_ros(name: str) -> bool:
    return top(name) in ROS or top(name).endswith('_msgs')


def is_internal(name: str) -> bool:
    return top(name) == ROOT


def upward(imports: Imports) -> list[str]:
    """Return the imports that do not run downward."""
    bad = []
    for each in imports:
        importer, target = part_of(each.importer), part_of(each.target)
        if not is_internal(each.target) or not target or importer == target:
            continue
        # The names that programs begin with: for type checkers here, imported on first use.
        if each.importer == ROOT and each.typing_only:
            continue
        if FLOOR[target] >= FLOOR.get(importer, -1):
            bad.append(str(each))
    return bad


@pytest.fixture(scope='module')
def imports() -> Imports:
    return Imports(SOURCE)


def test_every_module_has_a_floor(imports: Imports) -> None:
    assert [name for name in imports.by_module if not part_of(name)] == [ROOT]


def test_the_table_of_rooms_is_the_one_that_holds() -> None:
    rows = re.findall(r'^\| (\d+) \| (`[^|]*) \|', ARCHITECTURE.read_text(), re.MULTILINE)
    told = {part: int(floor) for floor, parts in rows for part in re.findall(r'`(\w+)`', parts)}
    assert told == FLOOR


def test_imports_run_downward(imports: Imports) -> None:
    assert upward(imports) == []


def test_ros_is_named_in_the_nodes_alone(imports: Imports) -> None:
    allowed = imports.inside(*ROS_PARTS)
    assert [str(i) for i in imports if is_ros(i.target) and i.importer not in allowed] == []


def test_only_launch_files_import_what_needs_launch(imports: Imports) -> None:
    assert [str(i) for i in imports if within(i.target, 'bringup.launch')] == []


@pytest.mark.parametrize('part', ROBOT_SIDE)
def test_robot_side_needs_the_base_installation_only(imports: Imports, part: str) -> None:
    assert imports.inside(part)
    allowed = {*sys.stdlib_module_names, *BASE_INSTALL, *ROBOT_EXTRAS, ROOT}
    extra = {
        f'{module}: {each}'
        for module in imports.inside(part)
        for each in imports.reached_from(module)
        if top(each.target) not in allowed and not is_ros(each.target)
    }
    assert extra == set()


@pytest.mark.parametrize(('package', 'place'), ONE_PLACE.items())
def test_an_optional_package_is_touched_in_one_place(
    imports: Imports, package: str, place: str
) -> None:
    outside = [
        str(i) for i in imports if top(i.target) == package and not within(i.importer, place)
    ]
    assert outside == []


def test_lower_floors_import_without_optional_packages(imports: Imports) -> None:
    modules = imports.inside(*LOWER_FLOORS)
    program = f"""
import importlib, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        top = name.split('.')[0]
        if top in {(*ABSENT_ON_A_ROBOT, *ROS)!r} or top.endswith('_msgs'):
            raise ModuleNotFoundError(f'{{name}} is not on this machine', name=name)
sys.meta_path.insert(0, Absent())
try:
    import torch
except ModuleNotFoundError:
    pass
else:
    raise SystemExit('the blocker does not block')
for name in {modules!r}:
    importlib.import_module(name)
"""
    done = subprocess.run(
        [sys.executable, '-c', program],
        capture_output=True,
        text=True,
        env={'PYTHONPATH': str(SOURCE), 'PATH': ''},
        check=False,
    )
    assert [part for part in LOWER_FLOORS if not imports.inside(part)] == []
    assert (done.returncode, done.stderr) == (0, '')


def write_tree(folder: Path, files: dict[str, str]) -> Imports:
    for name, text in files.items():
        path = folder / ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Imports(folder)


def test_the_reader_finds_imports_wherever_they_hide(tmp_path: Path) -> None:
    found = write_tree(
        tmp_path,
        {
            '__init__.py': '',
            'robots/limits.py': (
                'from typing import TYPE_CHECKING\n'
                'if TYPE_CHECKING:\n    import torch.nn\n'
                'def f():\n    from ..types import Pose\n    from . import timeline\n'
                "    importlib.import_module('numba')\n"
            ),
        },
    ).by_module[f'{ROOT}.robots.limits']
    assert [(i.target, i.typing_only) for i in found] == [
        ('typing.TYPE_CHECKING', False),
        ('torch.nn', True),
        (f'{ROOT}.types.Pose', False),
        (f'{ROOT}.robots.timeline', False),
        ('numba', False),
    ]


def test_an_upward_import_is_reported(tmp_path: Path) -> None:
    tree = write_tree(
        tmp_path,
        {
            'control/loop.py': f'import {ROOT}.nodes.conversions\nfrom {ROOT} import types\n',
            'robots/limits.py': f'def f():\n    from {ROOT}.control import loop\n',
        },
    )
    assert upward(tree) == [
        f'{ROOT}.control.loop:1 imports {ROOT}.nodes.conversions',
        f'{ROOT}.robots.limits:2 imports {ROOT}.control.loop',
    ]


def test_a_package_reached_through_others_is_reported(tmp_path: Path) -> None:
    tree = write_tree(
        tmp_path,
        {
            'nodes/controller/controller_node.py': f'from {ROOT}.control.loop import Loop\n',
            'control/__init__.py': 'def f():\n    import torch\n',
            'control/loop.py': 'import numpy\n',
        },
    )
    reached = tree.reached_from(f'{ROOT}.nodes.controller.controller_node')
    assert {top(each.target) for each in reached} == {ROOT, 'torch', 'numpy'}
