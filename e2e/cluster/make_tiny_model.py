"""Write a language model that is tiny, random and complete: weights, tokenizer and chat template, under a megabyte.

Run with the Python of the CPU environment: `python make_tiny_model.py FOLDER`. The seed makes its answers the same every time.
"""

from __future__ import annotations

import sys

import torch  # type: ignore[import-not-found, unused-ignore]
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # type: ignore[import-not-found, unused-ignore]
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast  # type: ignore[import-not-found, unused-ignore]

_VOCABULARY = 512  # the 256 bytes, five special tokens, and the merges that our two sentences yield
_SENTENCES = ("The quick brown fox jumps over the lazy dog. ", "Kubernetes runs containers. vLLM serves language models. ")
_CHAT_TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}<|assistant|>"


def write(folder: str) -> None:
    """Write model and tokenizer into `folder`."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([sentence * 20 for sentence in _SENTENCES], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>")
    fast.chat_template = _CHAT_TEMPLATE
    fast.save_pretrained(folder)

    torch.manual_seed(0)
    # Two heads of keys and values: the smallest that tensor parallelism over two processes can split.
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


if __name__ == "__main__":
    write(sys.argv[1])
