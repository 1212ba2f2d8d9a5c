"""Token sequences and what is remembered of them."""

import pytest

from toolverifier.models.tokens import TokenizedPrompts, common_length


async def test_the_prompts_used_last_are_remembered_and_no_more():
    asked = []

    async def tokenize(prompt: str) -> list[int]:
        asked.append(prompt)
        return [ord(character) for character in prompt]

    prompts = TokenizedPrompts(tokenize, max_connections=2, max_items=2)
    assert await prompts.of("aba") == {"a": [97], "b": [98]}
    await prompts.of("a")
    assert await prompts.of("cd") == {"c": [99], "d": [100]}
    assert await prompts.of("dac") == {"d": [100], "a": [97], "c": [99]}
    assert asked == ["a", "b", "c", "d", "a"]


@pytest.mark.parametrize(
    ("left", "right", "length"),
    [([], [1], 0), ([1, 2], [1, 2, 3], 2), ([1, 2, 3], [1, 2], 2), ([1, 2, 3], [1, 4, 3], 1)],
)
def test_sequences_have_in_common_what_they_begin_with(left, right, length):
    assert common_length(left, right) == length
