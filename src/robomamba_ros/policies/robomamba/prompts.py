"""The texts RoboMamba was trained with, as token ids.

question   <|user|> {question}\\n<|assistant|>
answer     {answer}\\n<|endoftext|>, with a blank before it
task       <|user|> {instruction}\\n
"""

from __future__ import annotations

from robomamba_ros.errors import ObservationError
from robomamba_ros.language.text import END, TextTokenizer

USER, ASSISTANT = '<|user|>', '<|assistant|>'


class Prompts:
    """Turns questions, answers and tasks into ids; every text begins with `opening`."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        self.opening = tokenizer.encode(USER)
        self._reply = tokenizer.encode(ASSISTANT)

    def task(self, instruction: str) -> list[int]:
        """Return what follows the opening where a pose is asked for."""
        words = instruction.strip()
        if not words:
            raise ObservationError('the text is empty; say what to do, or what to answer')
        return self._tokenizer.encode(f' {words}\n')

    def question(self, question: str) -> list[int]:
        """Return what follows the opening where words are asked for."""
        # In pieces, as in training, so that no token spans two speakers.
        return [*self.task(question), *self._reply]

    def answer(self, answer: str) -> list[int]:
        """Return what the model is to say after a question."""
        return self._tokenizer.encode(f' {answer.strip()}\n{END}')
