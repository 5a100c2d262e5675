"""What users install: colcon builds the package, its executables start, its metadata is true."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from robomamba_ros import __version__

REPOSITORY = Path(__file__).parents[1]
COLCON = Path(sys.executable).with_name('colcon')
PACKAGED = (
    *('src', 'config', 'launch', 'models', 'resource'),
    *('setup.py', 'setup.cfg', 'pyproject.toml', 'package.xml'),
)
NODES = ('policy_node', 'controller_node', 'sim_node', 'fake_arm_node')
OTHER_NODES = ('bag_player_node',)


@pytest.fixture(scope='module')
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a copy with colcon and return the installed package's prefix."""
    if not COLCON.is_file():
        pytest.skip("colcon is not installed: pip install 'robomamba_ros[dev]'")
    workspace = tmp_path_factory.mktemp('workspace')
    copy = workspace / 'src' / 'robomamba_ros'
    copy.mkdir(parents=True)
    for name in PACKAGED:
        source = REPOSITORY / name
        if source.is_dir():
            ignore = shutil.ignore_patterns('__pycache__', '*.egg-info')
            shutil.copytree(source, copy / name, ignore=ignore)
        elif source.is_file():
            shutil.copy2(source, copy / name)
    environment = {**os.environ, 'COLCON_HOME': str(workspace / 'home')}
    environment.pop('PYTHONPATH', None)
    built = subprocess.run(
        [sys.executable, '-m', 'colcon', 'build', '--executor', 'sequential'],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return workspace / 'install' / 'robomamba_ros'


def run_installed(prefix: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell would after sourcing the workspace's setup file."""
    version = f'python{sys.version_info.major}.{sys.version_info.minor}'
    environment = {
        **os.environ,
        'PYTHONPATH': str(prefix / 'lib' / version / 'site-packages'),
        'ROS_LOG_DIR': str(prefix.parents[1] / 'ros_log'),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }
    return subprocess.run(
        command, cwd=prefix, env=environment, capture_output=True, text=True, check=False
    )


def test_the_installed_package_finds_its_own_files(installed: Path) -> None:
    program = 'from robomamba_ros.common.resources import share_directory; print(share_directory())'
    done = run_installed(installed, sys.executable, '-c', program)
    share = installed / 'share' / 'robomamba_ros'
    assert (done.stdout, done.stderr) == (f'{share}\n', '')
    for folder in ('config', 'launch', 'models'):
        original = {p.relative_to(REPOSITORY) for p in (REPOSITORY / folder).rglob('*')}
        shipped = {path for path in original if '__pycache__' not in path.parts}
        assert {path for path in shipped if not (share / path).exists()} == set()


def test_the_ament_index_knows_the_package(installed: Path) -> None:
    marker = installed / 'share' / 'ament_index' / 'resource_index' / 'packages' / 'robomamba_ros'
    assert marker.is_file()


@pytest.mark.parametrize('name', ['robomamba', *NODES, *OTHER_NODES])
def test_an_executable_runs_with_the_python_that_built_it(installed: Path, name: str) -> None:
    """As docs/running.md says, so that a virtual environment is seen."""
    shebang = (installed / 'lib' / 'robomamba_ros' / name).read_text().splitlines()[0]
    assert Path(shebang.removeprefix('#!')).parent == Path(sys.executable).parent


def test_a_package_that_does_not_go_with_numpy_is_named_in_one_line(tmp_path: Path) -> None:
    """As the transforms3d 0.4.1 of Ubuntu 24.04 beside NumPy 2."""
    broken = tmp_path / 'transforms3d'
    broken.mkdir()
    (broken / '__init__.py').write_text('from . import quaternions\n')
    (broken / 'quaternions.py').write_text('import numpy\nnumpy.maximum_sctype_of_old(float)\n')
    program = 'from robomamba_ros.executables import controller_node; controller_node()'
    done = subprocess.run(
        [sys.executable, '-c', program],
        env={**os.environ, 'PYTHONPATH': f'{tmp_path}:{REPOSITORY / "src"}'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(
        r"transforms3d does not work with NumPy [\d.]+: pip install 'transforms3d>=0\.4\.2'\n",
        done.stderr,
    )


def test_the_command_line_starts(installed: Path) -> None:
    done = run_installed(installed, str(installed / 'lib' / 'robomamba_ros' / 'robomamba'), '-h')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('usage: robomamba')


@pytest.mark.parametrize('name', NODES)
def test_a_node_starts_and_refuses_an_unknown_arm(installed: Path, name: str) -> None:
    required = ('-p', 'checkpoint:=none') if name == 'policy_node' else ()
    pytest.importorskip('rclpy')
    done = run_installed(
        installed,
        str(installed / 'lib' / 'robomamba_ros' / name),
        *('--ros-args', '-p', 'arm:=no_such_arm', *required),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    # The known arms are read from the installed share folder.
    assert re.search("no 'no_such_arm' in .*sawyer_sim", done.stderr), done.stderr


def test_pip_puts_the_commands_on_the_path() -> None:
    scripts = Path(sysconfig.get_path('scripts'))
    if not (scripts / 'robomamba').is_file():
        pytest.skip('the package is not installed in this environment: make install')
    assert [n for n in (*NODES, *OTHER_NODES) if not (scripts / n).is_file()] == []


def test_versions_agree() -> None:
    package = ET.parse(REPOSITORY / 'package.xml').getroot()
    assert package.findtext('version') == __version__
    assert f'## [{__version__}]' in (REPOSITORY / 'CHANGELOG.md').read_text()


def test_package_xml_names_every_ros_package_in_use() -> None:
    used = set()
    for path in (*REPOSITORY.glob('src/**/*.py'), *REPOSITORY.glob('launch/*.py')):
        used |= set(re.findall(r'^\s*(?:from|import) (\w+)', path.read_text(), re.MULTILINE))
    assert 'rclpy' in used
    ros = {n for n in used if n.endswith('_msgs') or n in ('rclpy', 'std_srvs', 'launch_ros')}
    package = ET.parse(REPOSITORY / 'package.xml').getroot()
    assert ros - {element.text for element in package.iter('exec_depend')} == set()


def test_robostack_is_asked_for_what_package_xml_names() -> None:
    tomllib = pytest.importorskip('tomllib', reason='tomllib comes with Python 3.11')
    with (REPOSITORY / 'pixi.toml').open('rb') as file:
        given = set(tomllib.load(file)['dependencies'])
    package = ET.parse(REPOSITORY / 'package.xml').getroot()
    # Of rosdep's keys, those that RoboStack's robostack.yaml gives another name than its own.
    conda = {'python3-opencv': 'py-opencv', 'python3-yaml': 'pyyaml'}
    for element in package.iter('exec_depend'):
        key = str(element.text)
        ros = f'ros-jazzy-{key.replace("_", "-")}'
        assert (conda.get(key, key[8:]) if key.startswith('python3-') else ros) in given
    assert {'colcon-common-extensions', 'ros-jazzy-rmw-fastrtps-cpp'} <= given


def tracked_text() -> dict[str, str]:
    """Return every tracked text file by its path."""
    listed = subprocess.run(
        ['git', 'ls-files', '-z'], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip('this is no git checkout')
    texts = {}
    for name in filter(None, listed.stdout.split('\0')):
        path = REPOSITORY / name
        content = path.read_bytes() if path.is_file() else b''
        if b'\0' not in content:
            texts[name] = content.decode()
    return texts


def test_text_names_no_place_of_one_machine() -> None:
    words = ('/wor' + 'k/', '/tm' + 'p/', '/roo' + 't/', 'pypi' + '.org', '/opt/' + 'pypi')
    found = [
        f'{name}: {word}' for name, text in tracked_text().items() for word in words if word in text
    ]
    assert found == []


def test_links_in_documents_lead_somewhere() -> None:
    broken = []
    for name, text in tracked_text().items():
        if not name.endswith('.md'):
            continue
        shown = re.sub('<!--.*?-->', '', text, flags=re.DOTALL)
        for target in re.findall(r'\]\(([^)#\s]+)[^)]*\)', shown):
            if (
                not re.match('[a-z]+:', target)
                and not (REPOSITORY / name).parent.joinpath(target).exists()
            ):
                broken.append(f'{name}: {target}')
    assert broken == []


def test_containers_install_extras_that_there_are_and_copy_no_environment() -> None:
    text = (REPOSITORY / '.ci' / 'Containerfile').read_text(encoding='utf-8')
    stages = re.findall(r'^FROM (\S+) AS (\w+)$', text, re.MULTILINE)
    assert [(origin == 'base', name) for origin, name in stages] == [
        (False, 'base'),
        (True, 'cpu'),
        (True, 'gpu'),
    ]
    extras = set(re.findall(r"^        '(\w+)': ", (REPOSITORY / 'setup.py').read_text(), re.M))
    named = [each.split(',') for each in re.findall(r'robomamba_ros\[([\w,]+)\]', text)]
    assert len(named) == 2
    assert {extra for each in named for extra in each} <= extras
    for path in re.findall(r'--base-paths src/robomamba_ros/(\S+)', text):
        assert (REPOSITORY / path / 'package.xml').is_file()
    ignored = (REPOSITORY / '.dockerignore').read_text(encoding='utf-8').split()
    assert {'.venv', '.git', 'install'} <= set(ignored)
