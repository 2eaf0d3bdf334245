"""A merged model computes what the base with its adapter computes."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from rollouts.models.merge_lora import merged
from rollouts.models.packaged_weights import WeightsError
from rollouts.models.weights import ModelFiles


def test_merged_is_base_with_adapter(tmp_path):
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2}
    base = Qwen2ForCausalLM(Qwen2Config(vocab_size=8, num_hidden_layers=1, **sizes))
    base.save_pretrained(tmp_path / "base")
    tokenizer = Tokenizer(WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path / "base")
    config = peft.LoraConfig(
        r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    adapted = peft.get_peft_model(base, config)
    adapted.save_pretrained(tmp_path / "adapter")

    files = ModelFiles(tmp_path / "base", "base")
    result = merged(files, tmp_path / "adapter", tmp_path / "cache")
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        expected = adapted.eval()(tokens).logits
        with adapted.disable_adapter():
            plain = adapted(tokens).logits
        found = AutoModelForCausalLM.from_pretrained(result.path).eval()(tokens).logits
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, plain, atol=1e-3)
    assert result == merged(files, tmp_path / "adapter", tmp_path / "cache")
    assert result.identity != merged(ModelFiles(tmp_path / "base", "other"), tmp_path / "adapter", tmp_path).identity


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "it is not a PEFT adapter"),
        ({"adapter_config.json": "{}"}, "lacks adapter_config.json or adapter_model.safetensors"),
        pytest.param({"adapter_config.json": "{}", "adapter_model.safetensors": ""}, "peft", marks=pytest.mark.slow),
    ],
)
def test_what_is_no_adapter_is_refused(tmp_path, files, says):
    (tmp_path / "adapter").mkdir()
    for name, text in files.items():
        (tmp_path / "adapter" / name).write_text(text)
    with pytest.raises(WeightsError, match=rf"(?s)cannot be merged.*{says}"):
        merged(ModelFiles(tmp_path / "base", "base"), tmp_path / "adapter", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("merged/*"))
