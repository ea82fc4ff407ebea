"""Arc2Face's person in the prompt, FineFace's expression in units."""

import pytest
import torch
from testkit.adapters import random

from sfsr_model.adapters import AdapterError, fineface_units
from sfsr_model.adapters.arc2face import PERSON_TOKEN, PROMPT, check_text_encoder, token_rows
from sfsr_model.expressions import action_units_to_arkit


def test_the_tokens_entry_is_the_unit_embedding_and_zeros():
    embeddings = 20 * random(3, 512)
    rows = token_rows(embeddings)
    assert rows.shape == (3, 768)
    assert not rows[:, 512:].any()
    torch.testing.assert_close(rows[:, :512], embeddings / embeddings.norm(dim=1, keepdim=True))
    with pytest.raises(ValueError, match="embeddings: have 512 numbers, expected at most the encoder's width of 64"):
        token_rows(embeddings, 64)


def text_encoder(layers=12, width=768):
    names = ["embeddings.token_embedding", *(f"encoder.layers.{number}.self_attn.q_proj" for number in range(layers))]
    return {
        f"text_model.{name}.weight": torch.empty(49408 if "token" in name else width, width, device="meta") for name in names
    }


def test_a_text_encoder_of_its_kind_is_taken_and_any_other_is_refused():
    check_text_encoder(text_encoder(), "encoder.bin")
    with pytest.raises(AdapterError, match=r"encoder\.bin: a text encoder of 24 layers of width 1024; expected Arc2Face's"):
        check_text_encoder(text_encoder(24, 1024), "encoder.bin")
    with pytest.raises(AdapterError, match=r"of 11 layers of width 768"):
        check_text_encoder(text_encoder(11), "encoder.bin")
    with pytest.raises(AdapterError, match=r"encoder\.bin: a LoRA; expected Arc2Face's text encoder"):
        check_text_encoder({"lora_unet_x.lora_down.weight": torch.zeros(1)}, "encoder.bin")


def test_the_person_is_a_word_of_the_prompt():
    assert PROMPT.split().index("id") == 3
    assert PERSON_TOKEN == 1014


def test_fineface_is_told_of_units_from_zero_to_five_in_its_own_order():
    smile, _ = action_units_to_arkit({6: 0.5, 12: 1.0, 7: 0.3})
    brows, _ = action_units_to_arkit({1: 0.4, 2: 0.2, 4: 0.6, 43: 1.0})
    found = fineface_units(torch.stack([smile, brows, torch.zeros(52)]))
    # Units 1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26.
    wanted = torch.zeros(3, 12)
    wanted[0, 4], wanted[0, 6] = 2.5, 5.0
    wanted[1, :3] = torch.tensor([2.0, 1.0, 3.0])
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
