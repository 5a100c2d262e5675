"""Checkpoints by name, from a cache and from a Hub of this test's own."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import threading
from pathlib import Path

import huggingface_hub.constants
import pytest

from robomamba_ros.common.resources import share_directory
from robomamba_ros.errors import CheckpointError
from robomamba_ros.policies.location import checkpoint_directory
from robomamba_ros.policies.registry import load_policy

COMMIT = 'c0ffee' + 34 * '0'
SCRIPTED = share_directory() / 'models/scripted/config.yaml'


def etag(data):
    return hashlib.sha1(data).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    """What huggingface.co answers about one repository, as huggingface_hub asks it."""

    files = {  # noqa: RUF012
        'config.yaml': SCRIPTED.read_bytes(),
        'training_state.pt': b'a pickle',
        'modeling.py': b'raise SystemExit',
    }
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self):
        path = self.path.split('?')[0]
        self.asked.append(path)
        if path.startswith('/api/models/someone/lifter/tree/'):
            listing = [
                {
                    'type': 'file',
                    'path': name,
                    'size': len(data),
                    'oid': hashlib.sha1(data).hexdigest(),
                }
                for name, data in self.files.items()
            ]
            self.answer(json.dumps(listing).encode())
        elif path.startswith('/api/models/someone/lifter'):
            siblings = [{'rfilename': name} for name in self.files]
            self.answer(
                json.dumps({'id': 'someone/lifter', 'sha': COMMIT, 'siblings': siblings}).encode()
            )
        elif path.startswith('/someone/lifter/resolve/') and path.split('/')[-1] in self.files:
            self.answer(self.files[path.split('/')[-1]])
        else:
            self.send_response(404)
            self.send_header('X-Error-Code', 'RepoNotFound')
            self.send_header('Content-Length', '0')
            self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def answer(self, data):
        self.send_response(200)
        self.send_header('ETag', f'"{etag(data)}"')
        self.send_header('X-Repo-Commit', COMMIT)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        if self.command == 'GET':
            self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def point(monkeypatch):
    """Ask a server instead of huggingface.co; 9 is a port where nobody answers."""

    def to(port):
        address = f'http://127.0.0.1:{port}'
        template = address + '/{repo_id}/resolve/{revision}/{filename}'
        monkeypatch.setattr(huggingface_hub.constants, 'ENDPOINT', address)
        monkeypatch.setattr(huggingface_hub.constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)

    return to


@pytest.fixture
def cache(tmp_path, monkeypatch, point):
    folder = tmp_path / 'hub'
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_CACHE', str(folder))
    # Other tests of this process may have switched the network off.
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_OFFLINE', False)
    point(9)
    return folder


@pytest.fixture
def hub(cache, point):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    point(server.server_port)
    Hub.asked.clear()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_is_downloaded_once_and_nothing_but_what_a_checkpoint_is_made_of(hub, point):
    policy = load_policy('hf:someone/lifter')
    assert policy.spec.name == f'someone/lifter@{COMMIT[:12]}'
    folder = checkpoint_directory('hf:someone/lifter')
    assert [path.name for path in folder.iterdir()] == ['config.yaml']
    assert not any('pt' in path.split('.')[1:] or path.endswith('.py') for path in Hub.asked)
    # From now on without a network.
    Hub.asked.clear()
    point(9)
    assert checkpoint_directory('hf:someone/lifter') == folder
    assert checkpoint_directory(f'hf:someone/lifter@{COMMIT}') == folder
    assert Hub.asked == []


def test_what_is_on_this_machine_is_taken_first(hub, cache):
    snapshot = cache / 'models--someone--lifter/snapshots' / ('b' * 40)
    snapshot.mkdir(parents=True)
    shutil.copy(SCRIPTED, snapshot)
    (cache / 'models--someone--lifter/refs').mkdir()
    (cache / 'models--someone--lifter/refs/main').write_text('b' * 40)
    assert checkpoint_directory('hf:someone/lifter') == snapshot
    assert Hub.asked == []


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('hf:lifter', 'no name of the form hf:owner/name@revision'),
        ('hf:../../etc/passwd', 'no name of the form'),
        ('hf:someone/lifter@', 'no name of the form'),
        ('hf:', 'no name of the form'),
        ('hf:someone/else', 'not on this machine and cannot be downloaded: .*; check the name'),
    ],
)
def test_a_name_that_is_none_is_refused_in_one_line(hub, name, said):
    with pytest.raises(CheckpointError, match=said) as caught:
        checkpoint_directory(name)
    assert '\n' not in str(caught.value)


def test_without_a_network_it_is_said_what_to_do(cache, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_OFFLINE', True)
    with pytest.raises(CheckpointError, match='unset HF_HUB_OFFLINE, or download it elsewhere'):
        checkpoint_directory('hf:someone/lifter')
    assert not Path(cache).exists() or not any(Path(cache).rglob('config.yaml'))
