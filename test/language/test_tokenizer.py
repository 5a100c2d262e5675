"""Instructions as token ids."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from robomamba_ros.errors import CheckpointError, ObservationError
from robomamba_ros.language.tokenizer import InstructionTokenizer

CORPUS = ['Open a drawer', 'Push and close a drawer', 'Reach a goal position']


@pytest.fixture
def tokenizer():
    return InstructionTokenizer.train(CORPUS, vocabulary=400, length=12)


def test_pads_on_the_left_so_that_the_last_token_is_always_the_end(tokenizer):
    short, long = (tokenizer.encode(text) for text in (CORPUS[0], CORPUS[1]))
    assert short.shape == long.shape == (12,)
    assert short[-1] == long[-1] != short[0]
    assert (short != long).any()


def test_words_never_seen_give_ids_of_their_own(tokenizer):
    a, b = tokenizer.encode('grüß Gott'), tokenizer.encode('grab it')
    assert a.max() < tokenizer.vocabulary
    assert (a != b).any()


def test_case_and_surrounding_space_do_not_matter(tokenizer):
    assert np.array_equal(tokenizer.encode('  OPEN a drawer\n'), tokenizer.encode('open a drawer'))


def test_refuses_an_instruction_that_does_not_fit(tokenizer):
    with pytest.raises(ObservationError, match=r'at most 12\. Say it in fewer words'):
        tokenizer.encode('xyzzy ' * 20)


def test_survives_saving(tokenizer, tmp_path):
    tokenizer.save(tmp_path / 'tokenizer.json')
    again = InstructionTokenizer.load(tmp_path / 'tokenizer.json', 12)
    assert np.array_equal(again.encode(CORPUS[1]), tokenizer.encode(CORPUS[1]))


def test_reads_a_tokenizer_of_gpt_neox_as_it_is_published(tmp_path):
    """Byte level, case kept, <|endoftext|> first and <|padding|> second; it might add tokens."""
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ['<|endoftext|>', '<|padding|>']
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    library.train_from_iterator(CORPUS, trainer)
    library.post_processor = processors.TemplateProcessing(
        single='<|endoftext|> $A', special_tokens=[('<|endoftext|>', 0)]
    )
    library.save(str(tmp_path / 'tokenizer.json'))
    ids = InstructionTokenizer.load(tmp_path / 'tokenizer.json', 12).encode('Open it')
    words = library.encode('Open it', add_special_tokens=False).ids
    assert ids.tolist() == [1] * (11 - len(words)) + words + [0]


def test_names_a_file_whose_tokens_do_not_end(tmp_path):
    Tokenizer(models.BPE()).save(str(tmp_path / 'tokenizer.json'))
    with pytest.raises(CheckpointError, match=r'tokenizer\.json: .* lacks the token <\|padding\|>'):
        InstructionTokenizer.load(tmp_path / 'tokenizer.json', 12)


def test_names_a_file_that_is_no_tokenizer(tmp_path):
    (tmp_path / 'tokenizer.json').write_text('{}')
    with pytest.raises(CheckpointError, match=r'tokenizer\.json is not a tokenizer'):
        InstructionTokenizer.load(tmp_path / 'tokenizer.json', 12)
