"""Published files become checkpoints that compute what the published models compute.

The reference is written here in plain torch from the public layout: timm's vision transformer, the
connector, transformers' Mamba, the pose MLPs. It shares no code with the package.
"""

import json
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.made_pickle import Code
from torch.nn import functional as F

os.environ.setdefault('HF_HUB_OFFLINE', '1')  # it looks for kernels to download
transformers = pytest.importorskip(
    'transformers', reason='the reference needs transformers: pip install transformers'
)

from robomamba_ros.errors import CheckpointError, ConfigError  # noqa: E402
from robomamba_ros.mamba.checkpoint import load_language_model  # noqa: E402
from robomamba_ros.mamba.generation import generate  # noqa: E402
from robomamba_ros.policies.base import CameraSpec, LoadOptions  # noqa: E402
from robomamba_ros.policies.robomamba.checkpoint import load  # noqa: E402
from robomamba_ros.policies.robomamba.convert import ConvertOptions, convert  # noqa: E402

WIDTH, HEADS, MLP, PATCH, SIDE, CONNECTOR = 128, 2, 96, 14, 28, 40
D, INNER, N, TAPS, RANK, ROWS = 32, 64, 4, 4, 2, 328
BLOCKS, LAYERS = 24, 64
FLOAT32 = ConvertOptions(camera=CameraSpec('front', SIDE, SIDE), dtype=torch.float32)
QUESTION = 'what is in the picture?'


def random(*shape, scale=0.05):
    return scale * torch.randn(*shape)


def make_public():
    """Return a state dict with the keys of the public checkpoint, and small random tensors."""
    weights = {
        'vision.model.cls_token': random(1, 1, WIDTH, scale=1),
        'vision.model.pos_embed': random(1, 5, WIDTH, scale=1),
        'vision.model.patch_embed.proj.weight': random(WIDTH, 3, PATCH, PATCH),
    }

    def norm(name, width):
        weights[f'{name}.weight'] = 1 + random(width, scale=0.1)
        weights[f'{name}.bias'] = random(width, scale=0.1)

    def linear(name, outputs, inputs, scale=0.1):
        weights[f'{name}.weight'] = random(outputs, inputs, scale=scale)
        weights[f'{name}.bias'] = random(outputs, scale=0.1)

    norm('vision.model.norm_pre', WIDTH)
    norm('vision.model.norm', WIDTH)
    for i in range(BLOCKS):
        block = f'vision.model.blocks.{i}'
        norm(f'{block}.norm1', WIDTH)
        norm(f'{block}.norm2', WIDTH)
        linear(f'{block}.attn.qkv', 3 * WIDTH, WIDTH)
        linear(f'{block}.attn.proj', WIDTH, WIDTH)
        linear(f'{block}.mlp.fc1', MLP, WIDTH)
        linear(f'{block}.mlp.fc2', WIDTH, MLP)
    for i, (outputs, inputs) in enumerate([(CONNECTOR, WIDTH), (D, CONNECTOR), (D, D)]):
        linear(f'projector.projector.{2 * i}', outputs, inputs, scale=0.3)
    for i in range(LAYERS):
        layer = f'llm.mamba.backbone.layers.{i}'
        weights |= {
            f'{layer}.norm.weight': 1 + random(D, scale=0.1),
            f'{layer}.mixer.A_log': torch.arange(1, N + 1).log() + random(INNER, N, scale=0.3),
            f'{layer}.mixer.D': 1 + random(INNER, scale=0.3),
            f'{layer}.mixer.in_proj.weight': random(2 * INNER, D, scale=0.2),
            f'{layer}.mixer.conv1d.weight': random(INNER, 1, TAPS, scale=0.5),
            f'{layer}.mixer.conv1d.bias': random(INNER, scale=0.1),
            f'{layer}.mixer.x_proj.weight': random(RANK + 2 * N, INNER, scale=0.2),
            f'{layer}.mixer.dt_proj.weight': random(INNER, RANK, scale=0.5),
            f'{layer}.mixer.dt_proj.bias': random(INNER, scale=0.5) - 2,
            f'{layer}.mixer.out_proj.weight': random(D, INNER, scale=0.1),
        }
    weights['llm.mamba.backbone.norm_f.weight'] = 1 + random(D, scale=0.1)
    weights['llm.mamba.backbone.embeddings.weight'] = random(ROWS, D, scale=0.3)
    weights['llm.mamba.lm_head.weight'] = weights['llm.mamba.backbone.embeddings.weight'].clone()
    return weights


def make_head(first=D // 2, second=D // 4):
    head = {}
    for name, outputs in (('action_head1', 2), ('action_head2', 6)):
        for layer, (rows, columns) in (('fc1', (first, D)), ('fc2', (second, first))):
            head[f'{name}.{layer}.weight'] = random(rows, columns, scale=0.5)
            head[f'{name}.{layer}.bias'] = random(rows, scale=0.5)
        head[f'{name}.fc3.weight'] = random(outputs, second, scale=3)
    return head


def reference_vision(weights, pixels):
    """Return tokens (b, patches, d): timm's forward to the block before the last, and connector."""
    vit = {k.removeprefix('vision.model.'): v for k, v in weights.items()}

    def norm(x, name):
        return F.layer_norm(x, (WIDTH,), vit[f'{name}.weight'], vit[f'{name}.bias'], 1e-5)

    def linear(x, name, source=vit):
        return F.linear(x, source[f'{name}.weight'], source[f'{name}.bias'])

    x = F.conv2d(pixels, vit['patch_embed.proj.weight'], stride=PATCH).flatten(2).transpose(1, 2)
    x = torch.cat((vit['cls_token'].expand(len(x), -1, -1), x), dim=1) + vit['pos_embed']
    x = norm(x, 'norm_pre')
    for i in range(BLOCKS - 1):
        block = f'blocks.{i}'
        qkv = linear(norm(x, f'{block}.norm1'), f'{block}.attn.qkv')
        q, k, v = qkv.reshape(len(x), 5, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(-2, -1) * (WIDTH // HEADS) ** -0.5).softmax(dim=-1)
        mixed = (attention @ v).transpose(1, 2).reshape(x.shape)
        x = x + linear(mixed, f'{block}.attn.proj')
        inner = linear(norm(x, f'{block}.norm2'), f'{block}.mlp.fc1')
        x = x + linear(inner * torch.sigmoid(1.702 * inner), f'{block}.mlp.fc2')
    x = x[:, 1:]
    for i in range(3):
        x = linear(F.gelu(x) if i else x, f'projector.projector.{2 * i}', weights)
    return x


class Reference:
    """The public model: hidden states, greedy answers, and the raw numbers of its pose head."""

    def __init__(self, weights):
        self.weights = weights
        config = transformers.MambaConfig(
            hidden_size=D,
            intermediate_size=INNER,
            num_hidden_layers=LAYERS,
            state_size=N,
            conv_kernel=TAPS,
            time_step_rank=RANK,
            vocab_size=ROWS,
            layer_norm_epsilon=1e-5,
        )
        self.llm = transformers.MambaForCausalLM(config).eval()
        prefix = 'llm.mamba.'
        own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        self.llm.load_state_dict(own)

    def hidden(self, image, tokens):
        mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
        std = torch.tensor([0.26862954, 0.26130258, 0.27577711])
        pixels = (torch.from_numpy(image) / 255 - mean) / std
        seen = reference_vision(self.weights, pixels.permute(2, 0, 1)[None])
        text = F.embedding(torch.tensor([tokens]), self.llm.backbone.embeddings.weight)
        output = self.llm(inputs_embeds=torch.cat((seen, text), dim=1), output_hidden_states=True)
        return output.hidden_states[-1][:, seen.shape[1] :], output.logits[0, -1]

    def pose(self, head, image, tokens):
        """Return row and column [px], and two directions in ManipLLM's camera axes."""
        hidden, _ = self.hidden(image, tokens)
        pooled = (hidden[0, 0] + hidden[0, -1]) / 2
        results = []
        for name in ('action_head1', 'action_head2'):
            x = pooled
            for layer in ('fc1', 'fc2'):
                x = F.relu(head[f'{name}.{layer}.weight'] @ x + head[f'{name}.{layer}.bias'])
            results.append(head[f'{name}.fc3.weight'] @ x)
        return results

    def answer(self, image, tokens, vocabulary, count):
        found = []
        for _ in range(count):
            _, logits = self.hidden(image, [*tokens, *found])
            found.append(int(logits[:vocabulary].argmax()))
        return found


@pytest.fixture(scope='module')
def public():
    torch.manual_seed(0)
    return make_public(), make_head()


@pytest.fixture(scope='module')
def reference(public):
    return Reference(public[0])


@pytest.fixture
def source(tmp_path, tokenizer):
    """A folder with the tokenizer in it."""
    folder = tmp_path / 'public'
    folder.mkdir()
    tokenizer.save(folder / 'tokenizer.json')
    return folder


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def write(path, weights):
    if path.suffix == '.safetensors':
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


def options(**changes):
    return ConvertOptions(**{**vars(FLOAT32), **changes})


def test_the_public_layout_has_944_keys(public):
    names = [name.partition('.')[0] for name in public[0]]
    assert [names.count(part) for part in ('vision', 'projector', 'llm')] == [295, 6, 643]


@torch.no_grad()
def test_the_numbers_of_the_public_model_come_out(public, reference, source, image, tokenizer):
    weights, head = public
    file = write(source / 'robomamba.safetensors', weights)
    head_file = write(source / 'head.safetensors', head)
    config = convert(file, source / 'out', options(head=head_file, head_image=200))
    assert config.vision.clip.image_size == SIDE
    assert (config.vision.connector, config.head) == (CONNECTOR, (D // 2, D // 4))
    assert (config.language.vocab_size, config.language.vocab_rows) == (tokenizer.vocabulary, ROWS)

    policy = load(source / 'out', LoadOptions())
    task = tokenizer.encode('<|user|> open the drawer\n')
    row_column, directions = reference.pose(head, image, task)
    contact = policy.contact(image, 'open the drawer')
    # The camera's 28 pixels are the 200 that the labels were counted in.
    expected = row_column.flip(0).numpy() * SIDE / 200
    np.testing.assert_allclose(contact.pixel, expected, rtol=1e-3, atol=1e-3)
    up, forward = (np.array([-d[1], -d[2], d[0]]) for d in directions.double().view(2, 3))
    up /= np.linalg.norm(up)
    forward -= up * (up @ forward)
    forward /= np.linalg.norm(forward)
    rotation = np.stack((forward, np.cross(up, forward), up), axis=-1)
    np.testing.assert_allclose(contact.rotation, rotation, atol=1e-3)

    question = tokenizer.encode(f'<|user|> {QUESTION}\n<|assistant|>')
    tokens = reference.answer(image, question, tokenizer.vocabulary, 6)
    assert len(set(tokens)) > 1
    expected = ''.join(tokenizer.pieces(tokens)).strip()
    assert policy.answer(image, QUESTION, max_tokens=6) == expected


@torch.no_grad()
def test_hidden_states_are_those_of_the_public_model(public, reference, source, image, tokenizer):
    convert(write(source / 'a.pth', public[0]), source / 'out', FLOAT32)
    network = load(source / 'out', LoadOptions()).network
    tokens = tokenizer.encode(QUESTION)
    expected, logits = reference.hidden(image, tokens)
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), [0.26862954, 0.26130258, 0.27577711]
    pixels = torch.from_numpy((image / 255 - mean) / std).float().permute(2, 0, 1)[None]
    found = network(pixels, torch.tensor([tokens]))
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    own = network.language.logits(found[0, -1])
    assert (own - logits[: tokenizer.vocabulary]).abs().max() < 1e-4 * logits.abs().max()


def test_a_whole_finetuned_model_brings_its_head_and_a_blank_tied_head(public, source, image):
    weights, head = public
    blank = {'llm.mamba.lm_head.weight': torch.zeros(ROWS, D)}
    whole = write(source / 'whole.pth', weights | head | blank)
    convert(whole, source / 'whole', FLOAT32)
    alone = options(head=write(source / 'head.pth', head))
    convert(write(source / 'a.pth', weights), source / 'alone', alone)
    also = options(head=whole)
    convert(source / 'a.pth', source / 'also', also)
    found = [load(source / name, LoadOptions()) for name in ('whole', 'alone', 'also')]
    pixels = [policy.contact(image, 'open').pixel.tolist() for policy in found]
    assert pixels[0] == pixels[1] == pixels[2]
    answers = {policy.answer(image, QUESTION, max_tokens=3) for policy in found}
    assert len(answers) == 1


def test_bfloat16_is_written_but_for_the_head(public, source):
    weights, head = public
    convert(
        write(source / 'a.pth', weights | head),
        source / 'out',
        ConvertOptions(camera=CameraSpec('wrist', 480, 640)),
    )
    written = load_file(source / 'out' / 'model.safetensors')
    kinds = {name.startswith('head.'): set() for name in written}
    for name, tensor in written.items():
        kinds[name.startswith('head.')].add(tensor.dtype)
    assert kinds == {True: {torch.float32}, False: {torch.bfloat16}}
    # CLIP's last block and norm, and the tied head, are left out; qkv becomes three.
    assert len(written) == 944 - 12 - 2 - 1 + 2 * 2 * 23 + 10
    spec = load(source / 'out', LoadOptions(dtype='bfloat16')).spec
    assert spec.cameras == (CameraSpec('wrist', 480, 640, depth=True),)


def test_every_tensor_that_does_not_fit_is_named_at_once(public, source):
    weights = dict(public[0])
    del weights['vision.model.blocks.23.norm1.bias']
    del weights['llm.mamba.backbone.layers.63.mixer.D']
    weights['projector.projector.2.weight'] = torch.zeros(D, CONNECTOR + 1)
    weights['vision.model.norm.bias'] = torch.zeros(WIDTH, dtype=torch.int64)
    weights['llm.mamba.backbone.layers.64.mixer.D'] = torch.zeros(INNER)
    path = write(source / 'a.safetensors', weights)
    with pytest.raises(CheckpointError) as caught:
        convert(path, source / 'out', FLOAT32)
    first, *lines = str(caught.value).splitlines()
    assert first == f'{path} is not the layout RoboMamba is published in:'
    assert sorted(lines) == [
        '  llm.mamba.backbone.layers.63.mixer.D: missing, expected (64,)',
        '  llm.mamba.backbone.layers.64.mixer.D: not part of this model',
        '  projector.projector.2.weight: shape (32, 41), expected (32, 40)',
        '  vision.model.blocks.23.norm1.bias: missing, expected (128,)',
        '  vision.model.norm.bias: torch.int64, expected a floating type',
    ]
    assert not (source / 'out').exists()


def test_another_models_file_is_refused_with_all_944_names(source):
    path = write(source / 'a.pth', {'weight': torch.zeros(3)})
    with pytest.raises(CheckpointError) as caught:
        convert(path, source / 'out', FLOAT32)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + 944 + 1
    assert '  llm.mamba.lm_head.weight: missing, expected (50280, 2560)' in lines


def test_a_head_that_is_not_tied_is_refused(public, source):
    weights = dict(public[0])
    weights['llm.mamba.lm_head.weight'] = weights['llm.mamba.lm_head.weight'] + 1
    with pytest.raises(CheckpointError, match=r'lm_head\.weight: differs from .*embeddings'):
        convert(write(source / 'a.pth', weights), source / 'out', FLOAT32)


def test_a_pose_head_that_does_not_fit_is_refused(public, source):
    weights, head = public
    file = write(source / 'a.pth', weights)
    bad = {**head, 'action_head1.fc3.bias': torch.zeros(2)}
    bad['action_head2.fc1.weight'] = torch.zeros(D // 2, D + 1)
    del bad['action_head1.fc2.bias']
    with pytest.raises(CheckpointError) as caught:
        convert(file, source / 'out', options(head=write(source / 'head.pth', bad)))
    assert sorted(str(caught.value).splitlines()[1:]) == [
        '  action_head1.fc2.bias: missing, expected (8,)',
        '  action_head1.fc3.bias: not part of this model',
        '  action_head2.fc1.weight: shape (16, 33), expected (16, 32)',
    ]


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('part', [0.0, 0.01, 0.9])
def test_a_truncated_file_is_named(public, source, suffix, part):
    path = write(source / f'a{suffix}', public[0])
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(CheckpointError, match=rf'a\{suffix} .*; copy it again'):
        convert(path, source / 'out', FLOAT32)
    assert not (source / 'out').exists()


@pytest.mark.parametrize('plain', [False, True])
@pytest.mark.parametrize('place', ['source', 'head'])
def test_a_pickle_that_holds_code_is_refused_and_not_run(public, source, place, plain):
    victim, bad = source / 'ran', source / 'bad.pth'
    weights, head = public
    if plain:
        bad.write_bytes(pickle.dumps({'payload': Code(victim)}))
    else:
        torch.save((head if place == 'head' else weights) | {'payload': Code(victim)}, bad)
    good = write(source / 'good.pth', weights)
    wanted = options(head=bad) if place == 'head' else FLOAT32
    with pytest.raises(CheckpointError, match=r'bad\.pth .*was refused'):
        convert(good if place == 'head' else bad, source / 'out', wanted)
    assert not victim.exists()


def language_model_folder(folder, layout):
    """Write a Mamba language model as transformers or state-spaces publish it."""
    config = transformers.MambaConfig(
        hidden_size=16, num_hidden_layers=2, state_size=4, vocab_size=ROWS, time_step_rank=1
    )
    torch.manual_seed(0)
    model = transformers.MambaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    if layout == 'native':
        weights = dict(model.state_dict())
        weights['backbone.embedding.weight'] = weights.pop('backbone.embeddings.weight')
        (folder / 'model.safetensors').unlink()
        torch.save(weights, folder / 'pytorch_model.bin')
        sizes = {'d_model': 16, 'n_layer': 2, 'vocab_size': ROWS, 'ssm_cfg': {'d_state': 4}}
        (folder / 'config.json').write_text(json.dumps(sizes))
    return folder


@pytest.mark.parametrize('layout', ['hf', 'native'])
def test_a_language_model_becomes_a_policy_that_answers(source, tokenizer, image, layout):
    folder = language_model_folder(source, layout)
    config = convert(folder, source / 'out', FLOAT32)
    assert (config.vision, config.head) == (None, None)
    policy = load(source / 'out', LoadOptions())
    model = load_language_model(folder)
    question = tokenizer.encode(f'<|user|> {QUESTION}\n<|assistant|>')
    tokens = generate(model, model.embedding(torch.tensor([question])), max_tokens=5)
    assert policy.answer(None, QUESTION, max_tokens=5) == ''.join(tokenizer.pieces(tokens)).strip()
    with pytest.raises(ConfigError, match=r"policy 'out' has no vision"):
        policy.answer(image, QUESTION)
    with pytest.raises(ConfigError, match='a pose head needs an image'):
        convert(folder, source / 'other', options(head=source / 'head.pth'))


def test_requests_that_cannot_be_met_are_refused(public, source, tmp_path):
    file = write(source / 'a.pth', public[0])
    with pytest.raises(ConfigError, match='exists and is not an empty directory'):
        convert(file, source, FLOAT32)
    with pytest.raises(CheckpointError, match=r"there is no '.*nothing\.pth'; give a public"):
        convert(source / 'nothing.pth', source / 'out', FLOAT32)
    with pytest.raises(CheckpointError, match=r"there is no file '.*head\.pth'"):
        convert(file, source / 'out', options(head=source / 'head.pth'))
    with pytest.raises(CheckpointError, match=r'no tokenizer .*EleutherAI/gpt-neox-20b'):
        convert(file, source / 'out', options(tokenizer=tmp_path / 'tokenizer.json'))
    small = {**public[0]}
    for name in ('llm.mamba.backbone.embeddings.weight', 'llm.mamba.lm_head.weight'):
        small[name] = small[name][:100].clone()
    with pytest.raises(CheckpointError, match=r'the tokenizer has \d+ tokens, .* 100 rows'):
        convert(write(source / 'small.pth', small), source / 'out', FLOAT32)
    assert not (source / 'out').exists()
