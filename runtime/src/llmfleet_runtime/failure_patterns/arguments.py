"""What vLLM refuses of its arguments, of one alone or of several together."""

from typing import Final

from llmfleet_runtime.failure_patterns.pattern import RUN, Pattern
from llmfleet_runtime.failure_patterns.reason import Reason

ARGUMENTS: Final = (
    Pattern(
        Reason.UNKNOWN_QUANTIZATION,
        r"(?P<message>Unknown quantization method: (?P<method>[^\s.]+))",
        "leave spec.quantization.method out for a checkpoint that is quantized already, else set it to a method of this vLLM such as fp8_per_tensor",
        "  Value error, Unknown quantization method: nonsense. Must be one of ['awq', 'auto_awq', 'fp8']. [type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.UNKNOWN_QUANTIZATION,
        r"(?P<message>Quantization method specified in the model config \((?P<checkpoint>[^)]*)\) does not match .*? argument \([^)]*\))",
        "leave spec.quantization.method out: the checkpoint says {checkpoint} itself",
        "  Value error, Quantization method specified in the model config (compressed-tensors) does not match the quantization method specified in the "
        "`quantization` argument (awq). [type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.UNKNOWN_QUANTIZATION,
        r"(?P<message>Cannot find the config file for (?P<method>\S+))",
        "the checkpoint is not quantized with {method}: name one that is in spec.model.source, or set spec.quantization.method to fp8_per_tensor",
        "  Value error, Cannot find the config file for awq [type=value_error, input_value=ArgsKwargs((), {'model_co...}), input_type=ArgsKwargs]",
        RUN,
    ),
    Pattern(
        Reason.UNKNOWN_QUANTIZATION,
        r"The quantization method %s is (?P<message>deprecated and will be removed in future versions of vLLM)[^']*', '(?P<method>[^']*)'",
        "choose another spec.quantization.method than {method}, or add --allow-deprecated-quantization to spec.engine.extraArgs",
        "  Value error, ('The quantization method %s is deprecated and will be removed in future versions of vLLM. To bypass, set "
        "`--allow-deprecated-quantization`.', 'fbgemm_fp8') [type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>torch\.(?P<dtype>\w+) is not supported for quantization method (?P<method>[\w-]+)\. Supported dtypes: .*)",
        "set spec.model.dtype to one of the types that {method} supports",
        "  Value error, torch.float32 is not supported for quantization method fp8_per_tensor. Supported dtypes: [torch.bfloat16, torch.float16] "
        "[type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>User-specified max_model_len \(\d+\) is greater than the derived max_model_len \(\w+=(?P<length>\d+)[^)]*\))",
        "lower spec.model.maxLength to {length}, or lengthen the model's positions with rope_parameters in spec.model.configOverrides",
        "  Value error, User-specified max_model_len (100000) is greater than the derived max_model_len (max_position_embeddings=2048.0 or "
        "model_max_length=None in model's config.json). To allow overriding this maximum, set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1. "
        "[type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>Total number of attention heads \((?P<heads>\d+)\) must be divisible by tensor parallel size \(\d+\))",
        "set spec.parallelism.tensor to a number that divides {heads}",
        "  Value error, Total number of attention heads (4) must be divisible by tensor parallel size (3). [type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>max_num_batched_tokens \(\d+\) is smaller than max_model_len \((?P<length>\d+)\))",
        "raise spec.engine.maxBatchedTokens to {length}, lower spec.model.maxLength, or leave spec.engine.chunkedPrefill on",
        "  Value error, max_num_batched_tokens (100) is smaller than max_model_len (512). This effectively limits the maximum sequence length to "
        "max_num_batched_tokens and makes vLLM reject longer sequences. [type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>max_num_batched_tokens \(\d+\) must be greater than or equal to max_num_seqs \((?P<sequences>\d+)\))",
        "raise spec.engine.maxBatchedTokens to {sequences}, or lower spec.engine.maxSequences",
        "  Value error, max_num_batched_tokens (2) must be greater than or equal to max_num_seqs (4). [type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>Unknown attention backend: '[^']*')",
        "leave spec.engine.attentionBackend out, which lets vLLM choose, or name one of this vLLM",
        "ValueError: Unknown attention backend: 'NONSENSE'. Valid options are: FLASH_ATTN, FLASH_ATTN_DIFFKV, TRITON_ATTN",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>(?:Selected backend \S+ is not valid for this configuration|No valid attention backend found for).*)",
        "leave spec.engine.attentionBackend out; else the reasons in the message name what of the model or of spec.quantization.kvCache it cannot do",
        "ValueError: Selected backend AttentionBackendEnum.FLASHINFER is not valid for this configuration. Reason: ['compute capability not supported']",
        "vLLM 0.32.0, platforms/cuda.py",
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>invalid tool call parser: (?P<parser>\S+))|(?:Tool parser '[^']*' not found)",
        "set spec.engine.toolCalling.parser to a parser of this vLLM, the one of the model's format (hermes, llama3_json, mistral, ...)",
        "KeyError: 'invalid tool call parser: nonsense (chose from { deepseek_v3,hermes,llama3_json,mistral,pythonic })'",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>--enable-auto-tool-choice requires --tool-call-parser)",
        "set spec.engine.toolCalling.parser instead of --enable-auto-tool-choice in spec.engine.extraArgs",
        "TypeError: Error: --enable-auto-tool-choice requires --tool-call-parser",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>Reasoning parser '[^']*' not found|invalid reasoning parser: \S+)",
        "set spec.engine.reasoning.parser to a parser of this vLLM, the one of the model's format (deepseek_r1, qwen3, ...)",
        "KeyError: \"Reasoning parser 'nonsense' not found. Available parsers: cohere_command3, deepseek_r1, qwen3\"",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>The supplied chat template string \([^)]*\) appears path-like, but doesn't exist|the supplied chat template path doesn't exist)",
        "put the template's text into a ConfigMap and let spec.model.chatTemplate name it, without --chat-template in spec.engine.extraArgs",
        "vllm.exceptions.VLLMValidationError: The supplied chat template string (/nowhere/t.jinja) appears path-like, but doesn't exist! Tried: "
        "/nowhere/t.jinja and /nowhere/t.jinja (parameter=chat_template)",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>num_speculative_tokens was provided but without speculative model|speculative (?:model|method) .*(?:required|not supported).*)",
        "set spec.engine.speculative.model to the draft model or head of this method, or choose ngram as spec.engine.speculative.method, which needs none",
        "  Value error, num_speculative_tokens was provided but without speculative model. [type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>Target and draft model should have the same vocabulary size\. Target model vocab_size=\d+\. Draft model vocab_size=\d+)",
        "set spec.engine.speculative.model to a model with the tokenizer of spec.model.source, of the same family as a rule",
        "  Value error, Target and draft model should have the same vocabulary size. Target model vocab_size=337. Draft model vocab_size=1024. Using "
        "models with "
        "different tokenizers can cause out-of-bounds errors during speculative decoding. [type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>speculative_draft_tensor_parallel_size=\d+ cannot be other value than 1 or target model tensor_parallel_size)",
        "set spec.engine.speculative.tensor to 1 or to spec.parallelism.tensor, or leave it out",
        "  Value error, speculative_draft_tensor_parallel_size=4 cannot be other value than 1 or target model tensor_parallel_size [type=value_error, "
        "input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>No tokenizer registered for tokenizer_mode='[^']*')",
        "set spec.model.tokenizerMode to a mode of this vLLM, or leave it out",
        "ValueError: No tokenizer registered for tokenizer_mode='nonsense'.",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>Unsupported connector type: (?P<connector>\S+))",
        "name a connector of this vLLM in --kv-transfer-config of spec.engine.extraArgs, or a spec.engine.image that brings {connector}",
        "  Value error, Unsupported connector type: Nonsense [type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>Not enough allowed NUMA nodes to bind threads of \d+ local CPUWorkers)",
        "on the CPU every rank has a NUMA node for itself: lower spec.parallelism, or set VLLM_CPU_OMP_THREADS_BIND in spec.engine.env",
        "AssertionError: Not enough allowed NUMA nodes to bind threads of 8 local CPUWorkers. Allowed NUMA nodes are [0]. Please try to bind threads "
        "manually or "
        "decrease DP/TP/PP.",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>VLLM_PORT '[^']*' appears to be a URI)",
        "Kubernetes sets it for a Service named vllm: leave enableServiceLinks of spec.template.spec off, or name VLLM_PORT in spec.engine.env no more",
        "ValueError: VLLM_PORT 'tcp://10.0.0.1:8000' appears to be a URI. This may be caused by a Kubernetes service discovery issue,check the warning in: "
        "https://docs.vllm.ai/en/latest/configuration/env_vars.html",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>invalid literal for int\(\) with base 10: '[^']*')",
        "a variable of spec.engine.env must be a whole number and is not: leave out what has an empty value",
        "ValueError: invalid literal for int() with base 10: ''",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>This model does not support `--runner (?P<runner>\w+)`|Embedding models do not support `--runner (?P<other>\w+)`)",
        "leave spec.model.runner out, or set spec.model.convert to embed or classify to make a pooling model of a generating one",
        "  Value error, This model does not support `--runner generate`. [type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.ADAPTER_FAILED,
        r"(?P<message>Loading lora (?P<name>\S+) failed: No adapter found for \S+)",
        "correct the source of {name} in spec.adapters.items: there is no adapter_config.json where it points",
        "(EngineCore pid=9) ERROR 11-21 16:25:02 [core.py:1750] vllm.exceptions.LoRAAdapterNotFoundError: Loading lora a failed: No adapter found for "
        "/nowhere/a",
        RUN,
    ),
    Pattern(
        Reason.ADAPTER_FAILED,
        r"(?P<message>LoRA rank (?P<rank>\d+) is greater than max_lora_rank \d+)",
        "raise spec.adapters.maxRank to {rank} or the next of 1, 8, 16, 32, 64, 128, 256, 320, 512",
        "ValueError: LoRA rank 8 is greater than max_lora_rank 1.",
        RUN,
    ),
    Pattern(
        Reason.ADAPTER_FAILED,
        r"(?P<message>LoRA is not enabled)",
        "list the adapter in spec.adapters.items instead of --lora-modules in spec.engine.extraArgs",
        "RuntimeError: LoRA is not enabled. Use --enable-lora to enable LoRA.",
        RUN,
    ),
    Pattern(
        Reason.ADAPTER_FAILED,
        r"expected target modules in|Adapter bias is not supported|Only one full classification module is supported per adapter",
        "the adapter was trained for another model or changes layers that vLLM cannot change: take it out of spec.adapters.items",
        "ValueError: Adapter bias is not supported.",
        "vLLM 0.32.0, lora/peft_helper.py, lora/lora_model.py",
    ),
)
"""In order: what is more exact comes first."""

OTHER_ARGUMENTS: Final = (
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"^(?:\S+ ){1,3}error: (?P<message>unrecognized arguments: (?P<flag>\S+).*)",
        "take {flag} out of spec.engine.extraArgs, or choose a spec.engine.version that has it",
        "vllm: error: unrecognized arguments: --no-such-flag",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"^(?:\S+ ){1,3}error: (?P<message>argument (?P<flag>[^:]+): .+)",
        "correct the value of {flag} in spec.engine.extraArgs, or in the field that renders it (docs/reference.md has the flag of each field)",
        "vllm serve: error: argument --dtype: invalid choice: 'nope' (choose from 'auto', 'bfloat16', 'float', 'float16', 'float32', 'half')",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"^(?:\S+ ){1,3}error: (?P<message>.+)",
        "correct spec.engine.extraArgs: the parser of this vLLM does not take the command line",
        "vllm: error: the following arguments are required: --input-file",
        "Python 3.11, argparse.py",
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"^Value error, (?P<message>.+)",
        "correct the field that renders the argument which the message names (docs/reference.md has the flag of each field), or the item of "
        "spec.engine.extraArgs",
        "  Value error, Sleep mode is not supported on current platform. [type=value_error, input_value=ArgsKwargs((), {})]",
        "vLLM 0.32.0, config/model.py; the words of any validator of its configuration",
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"^(?P<message>(?P<field>\w[\w.\[\], ]*): (?:Input should be|Unexpected keyword argument|Extra inputs are not permitted|Field required).*)",
        "correct {field} in the JSON of the field or the item of spec.engine.extraArgs that renders it",
        "method\n  Input should be 'ngram', 'medusa' or 'eagle' [type=literal_error, input_value='nonsense', input_type=str]",
        RUN,
    ),
)
"""What vLLM, its parser and its configuration refuse in whatever words: looked for last."""
