"""The model: where it comes from, whether it is all there, whether this vLLM knows it."""

from typing import Final

from llmfleet_runtime.failure_patterns.pattern import RUN, Pattern
from llmfleet_runtime.failure_patterns.reason import Reason

SOURCES: Final = (
    Pattern(
        Reason.UNSUPPORTED_MODEL,
        r"(?P<message>The repository \S+ contains custom code which must be executed to correctly load the model)",
        "read that code, then set spec.model.trustRemoteCode, or choose a spec.engine.version that knows the model without it",
        "(APIServer pid=7) ERROR 11-21 16:20:02 [repo_utils.py:60] Error parsing config for /models/x: The repository /models/x contains custom code which "
        "must "
        "be executed to correctly load the model. You can inspect the repository content at /models/x .",
        RUN,
    ),
    Pattern(
        Reason.UNSUPPORTED_MODEL,
        r"(?P<message>Failed to load the tokenizer)\. If the tokenizer is a custom tokenizer",
        "read the code of the model's repository, then set spec.model.trustRemoteCode, or let spec.model.tokenizer name another tokenizer",
        "RuntimeError: Failed to load the tokenizer. If the tokenizer is a custom tokenizer not yet available in the HuggingFace transformers library, "
        "consider "
        "setting `trust_remote_code=True` in LLM or using the `--trust-remote-code` flag in the CLI.",
        "vLLM 0.32.0, tokenizers/hf.py",
    ),
    Pattern(
        Reason.UNSUPPORTED_MODEL,
        r"(?P<message>Model architectures \[[^]]*\] (?:are not supported for now|failed to be inspected))",
        "this vLLM has no such architecture: choose another spec.model.source, or a spec.engine.version or spec.engine.image that has it",
        "  Value error, Model architectures ['FooForCausalLM'] are not supported for now. Supported architectures: dict_keys(['AfmoeForCausalLM', "
        "'LlamaForCausalLM']) [type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.UNSUPPORTED_MODEL,
        r"(?P<message>The checkpoint you are trying to load has model type .(?P<type>[^`']+). but Transformers does not recognize this architecture)",
        "choose a newer spec.engine.version, or a spec.engine.image with a transformers that knows {type}",
        "  Value error, The checkpoint you are trying to load has model type `foo` but Transformers does not recognize this architecture. This could be "
        "because "
        "of an issue with the checkpoint, or because your version of Transformers is out of date.",
        RUN,
    ),
    Pattern(
        Reason.UNSUPPORTED_MODEL,
        r"(?P<message>Cannot find model module\. '\w+' is not a registered model|The Transformers implementation of '\w+' is not compatible with vLLM)",
        "choose another spec.model.source, or a spec.engine.version or spec.engine.image that has this architecture",
        "ValueError: The Transformers implementation of 'FooForCausalLM' is not compatible with vLLM.",
        "vLLM 0.32.0, model_executor/models/registry.py",
    ),
    Pattern(
        Reason.MODEL_ACCESS_DENIED,
        r"(?P<message>GatedRepoError: .*|You are trying to access a gated repo|Cannot access gated repo|Access to model \S+ is restricted)",
        "accept the model's licence at its host, and let spec.model.credentials name a Secret with a token of the account that did",
        "huggingface_hub.errors.GatedRepoError: 403 Client Error. (Request ID: Root=1-69200000-0a1b2c3d4e5f60718293a4b5;0f1e2d3c)",
        RUN,
    ),
    Pattern(
        Reason.MODEL_ACCESS_DENIED,
        r"(?P<message>(?:40[13] Client Error|Client error '40[13] \w+'|Invalid user token|Invalid credentials in Authorization header|NoCredentialsError"
        r"|Unable to locate credentials|An error occurred \((?:403|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch)\)).*)",
        "let spec.model.credentials name a Secret that may read it; without any, the host says the same of what is private and of what does not exist",
        "huggingface_hub.errors.HfHubHTTPError: Client error '401 Unauthorized' for url 'https://huggingface.co/acme/private/resolve/main/config.json' "
        "(Request ID: Root=1-69200000-0a1b2c3d4e5f60718293a4b5;0f1e2d3c)",
        RUN,
    ),
    Pattern(
        Reason.RATE_LIMITED,
        r"(?P<message>429 (?:Client Error|Too Many Requests)|you have reached your '\w+' rate limit|An error occurred \((?:503|SlowDown)\))",
        "fetch the model once with spec.model.cache instead of once for each replica, and let spec.model.credentials name a token, whose limits are higher",
        "429 Too Many Requests for url: https://huggingface.co/api/models/acme/busy/tree/main?recursive=true&expand=false.",
        RUN,
    ),
    Pattern(
        Reason.MODEL_NOT_FOUND,
        r"(?P<message>\S{1,200} is not a valid git identifier \(branch name, tag name or commit id\)|RevisionNotFoundError: .*|Revision Not Found for url)",
        "correct the revision after the @ in spec.model.source: a branch, a tag or a commit of the repository",
        "huggingface_hub.errors.RevisionNotFoundError: 404 Client Error. (Request ID: Root=1-69200000-0a1b2c3d4e5f60718293a4b5;0f1e2d3c)",
        RUN,
    ),
    Pattern(
        Reason.SOURCE_UNREACHABLE,
        r"(?P<message>(?:couldn.t connect to|Could not connect to the endpoint URL:?) \S+|Failed to resolve"
        r"|Name or service not known"
        r"|Temporary failure in name resolution|An error happened while trying to locate the files on the Hub|LocalEntryNotFoundError: An error happened)",
        "let the pods reach the host (DNS, NetworkPolicy, HTTPS_PROXY or HF_ENDPOINT in spec.engine.env), or fetch the model once with spec.model.cache",
        "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.",
        "transformers 5.19.0, utils/hub.py; huggingface_hub 2.4.0, _snapshot_download.py; botocore 1.44",
    ),
    Pattern(
        Reason.MODEL_NOT_FOUND,
        r"(?P<message>Repo id must be in the form .*?: '(?P<path>[^']*)')",
        "there is no directory {path} in the pod, so it was taken for a repository's name: correct the path in spec.model.source, or fill the volume it is on",
        "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/nowhere/x'. Use `repo_type` argument if "
        "needed.",
        RUN,
    ),
    Pattern(
        Reason.MODEL_NOT_FOUND,
        r"(?P<message>Cannot find an appropriate cached snapshot folder for the specified revision|Cannot find the requested files in the disk cache)",
        "HF_HUB_OFFLINE is set and the model is not on the disk: fill spec.model.cache, or take the variable out of spec.engine.env",
        "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder for the specified revision on the local disk and "
        "outgoing traffic has been disabled. To enable repo look-ups and downloads online, pass 'local_files_only=False' as input.",
        RUN,
    ),
    Pattern(
        Reason.MODEL_NOT_FOUND,
        r"(?P<message>\S{1,200} is not a local folder and is not a valid model identifier"
        r"|404 Client Error|An error occurred \((?:404|NoSuchKey|NoSuchBucket)\))",
        "correct spec.model.source; of a private model the host may say that it does not exist, until spec.model.credentials names a Secret with a token",
        "OSError: acme/none is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'",
        "transformers 5.19.0, utils/hub.py; huggingface_hub 2.4.0, utils/_http.py; botocore 1.44, errorfactory.py",
    ),
    Pattern(
        Reason.MODEL_INCOMPLETE,
        r"(?P<message>Invalid repository ID or local directory specified: '[^']*')",
        "there is no config.json in spec.model.source: upload the model's whole directory, or correct the path",
        "  Value error, Invalid repository ID or local directory specified: '/models/x'. [type=value_error, input_value=ArgsKwargs((), {})]",
        RUN,
    ),
    Pattern(
        Reason.MODEL_INCOMPLETE,
        r"(?P<message>It looks like the config file at '[^']*' is not a valid JSON file)",
        "put the model's own config.json into spec.model.source: this one is cut off, or is another file's content",
        "OSError: It looks like the config file at '/models/x/config.json' is not a valid JSON file.",
        RUN,
    ),
    Pattern(
        Reason.MODEL_INCOMPLETE,
        r"(?P<message>Cannot find any model weights with \S+)",
        "upload the weights too, beside config.json, or set spec.model.loadFormat to the format that they are in",
        "RuntimeError: Cannot find any model weights with `/models/x`",
        RUN,
    ),
    Pattern(
        Reason.MODEL_INCOMPLETE,
        r"(?P<message>Weight files referenced in index but missing: .*)",
        "the download or the upload broke off: fetch the model again into spec.model.source, with all files that model.safetensors.index.json names",
        "FileNotFoundError: Weight files referenced in index but missing: {'/models/x/model-00002-of-00003.safetensors'}",
        RUN,
    ),
    Pattern(
        Reason.MODEL_INCOMPLETE,
        r"(?P<message>Error while deserializing header: (?:header too large|HeaderTooLarge|header too small|HeaderTooSmall|invalid header|InvalidHeader\w*))",
        "a weights file is no safetensors file, often the pointer of git-lfs instead of the content: fetch it again (git lfs pull) into spec.model.source",
        "safetensors._safetensors_rust.SafetensorError: Error while deserializing header: header too large",
        RUN,
    ),
    Pattern(
        Reason.MODEL_INCOMPLETE,
        r"(?P<message>Error while deserializing header: (?:incomplete metadata, file not fully covered|MetadataIncompleteBuffer)"
        r"|Error while deserializing header)",
        "a weights file is cut off: fetch it again into spec.model.source, and compare its size with the source's",
        "safetensors._safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered",
        RUN,
    ),
    Pattern(
        Reason.MODEL_INCOMPLETE,
        r"(?P<message>Following weights were not initialized from checkpoint: .*)",
        "the weights are not those of this config.json: fetch both from one source, or take back what spec.model.configOverrides changes",
        "ValueError: Following weights were not initialized from checkpoint: {'model.layers.3.input_layernorm.weight', "
        "'model.layers.2.input_layernorm.weight'}",
        RUN,
    ),
    Pattern(
        Reason.MODEL_INCOMPLETE,
        r"(?P<message>start \(\d+\) \+ length \(\d+\) exceeds dimension size \(\d+\)|size mismatch.*|Attempted to load weight .* into parameter .*)",
        "the weights have other shapes than config.json says: fetch both from one source, or take back what spec.model.configOverrides changes",
        "RuntimeError: start (0) + length (512) exceeds dimension size (256).",
        RUN,
    ),
    Pattern(
        Reason.MODEL_INCOMPLETE,
        r"(?P<message>Couldn't instantiate the backend tokenizer|Can't load tokenizer for '[^']*'|\S{1,200} does not appear to have a file named \S+[^. ])",
        "the tokenizer's files are missing: put them beside the weights, or let spec.model.tokenizer name where they are",
        "ValueError: Couldn't instantiate the backend tokenizer from one of:",
        RUN,
    ),
)
"""In order: what is more exact comes first."""
