"""States of constant size that layers keep instead of keys and values: Mamba, gated delta nets, linear attention, short convolutions.

Facts: vLLM 0.32.0, model_executor/layers/mamba/mamba_utils.py (MambaStateShapeCalculator) and get_mamba_state_shape_from_config of each family.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from llmfleet.planning.config_json import needed, positive

FLOAT32_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class State:
    """The shape of a layer's state."""

    conv_width: int
    """Channels of the convolution, shared among tensor ranks."""
    conv_length: int
    """Steps that the convolution remembers."""
    recurrent: int
    """Numbers of the recurrent state, shared among tensor ranks."""
    float32: bool = False
    """The recurrent state is kept in float32 whatever the model's dtype."""
    groups: int = 0
    """Groups of Mamba2, whose channels are added to the convolution; ranks that outnumber them keep copies."""
    group_width: int = 0
    """Channels of one group."""
    grows_with_guesses: bool = True
    """Speculative tokens lengthen the convolution."""

    def size_bytes(self, *, tensor: int, element_bytes: int, guesses: int = 0) -> int:
        """Bytes of one request's state on one tensor rank.

        Args:
            tensor: tensor parallel size.
            element_bytes: bytes of the model's dtype.
            guesses: speculative tokens per step.

        """
        groups = self.groups if self.groups % tensor == 0 else tensor
        width = (self.conv_width + groups * self.group_width) // tensor
        length = self.conv_length + (guesses if self.grows_with_guesses else 0)
        return width * length * element_bytes + self.recurrent // tensor * (FLOAT32_BYTES if self.float32 else element_bytes)


def state(config: Mapping[str, Any]) -> State | None:
    """The state of a model's layers that have one; None where config.json describes none."""
    family = str(config.get("model_type", ""))
    try:
        if "linear_num_value_heads" in config:
            return _delta_net(config)
        if isinstance(config.get("linear_attn_config"), Mapping):
            return _kimi(config["linear_attn_config"])
        if family.startswith("lfm2"):
            width = needed(config, "hidden_size") if "moe" in family else config.get("conv_dim", config["hidden_size"])
            return State(width, (positive(config, "conv_L_cache") or 3) - 1, 0, grows_with_guesses=False)
        if family.startswith("minimax"):
            return State(0, 0, needed(config, "num_attention_heads") * needed(config, "head_dim") ** 2)
        return _mamba(config, family)
    except KeyError:
        return None


def _delta_net(config: Mapping[str, Any]) -> State:
    """Qwen3-Next and Qwen3.5."""
    keys = needed(config, "linear_num_key_heads") * needed(config, "linear_key_head_dim")
    values = needed(config, "linear_num_value_heads") * needed(config, "linear_value_head_dim")
    return State(
        conv_width=2 * keys + values,
        conv_length=needed(config, "linear_conv_kernel_dim") - 1,
        recurrent=values * needed(config, "linear_key_head_dim"),
        float32=config.get("mamba_ssm_dtype") == "float32",
    )


def _kimi(linear: Mapping[str, Any]) -> State:
    heads, size = needed(linear, "num_heads"), needed(linear, "head_dim")
    return State(3 * heads * size, needed(linear, "short_conv_kernel_size") - 1, heads * size * size, float32=True)


def _mamba(config: Mapping[str, Any], family: str) -> State | None:
    hidden_size = needed(config, "hidden_size")
    if family in ("mamba", "falcon_mamba"):
        width = needed(config, "intermediate_size")
        return State(width, needed(config, "conv_kernel") - 1, width * needed(config, "state_size"), grows_with_guesses=False)
    if family == "mamba2":
        width, size = needed(config, "expand") * hidden_size, needed(config, "state_size")
        return State(
            width,
            needed(config, "conv_kernel") - 1,
            needed(config, "num_heads") * needed(config, "head_dim") * size,
            groups=needed(config, "n_groups"),
            group_width=2 * size,
        )
    if family == "nemotron_h":
        width, size = needed(config, "mamba_num_heads") * needed(config, "mamba_head_dim"), needed(config, "ssm_state_size")
        float32 = config.get("mamba_ssm_cache_dtype", "float32") == "float32"
        return State(width, needed(config, "conv_kernel") - 1, width * size, float32, groups=needed(config, "n_groups"), group_width=2 * size)
    if family == "jamba":
        width = needed(config, "mamba_expand") * hidden_size
        return State(width, needed(config, "mamba_d_conv") - 1, width * needed(config, "mamba_d_state"), grows_with_guesses=False)
    if family == "zamba2":
        width, size = needed(config, "mamba_expand") * hidden_size, needed(config, "mamba_d_state")
        heads, head, groups = needed(config, "n_mamba_heads"), needed(config, "mamba_headdim"), needed(config, "mamba_ngroups")
        return State(width, needed(config, "mamba_d_conv") - 1, heads * head * size, groups=groups, group_width=2 * size)
    if "mamba_n_heads" in config:
        # Bamba, Falcon-H1, Granite 4.
        width, size = positive(config, "mamba_d_ssm") or needed(config, "mamba_expand") * hidden_size, needed(config, "mamba_d_state")
        head = positive(config, "mamba_d_head") or width // needed(config, "mamba_n_heads")
        groups = needed(config, "mamba_n_groups")
        return State(width, needed(config, "mamba_d_conv") - 1, needed(config, "mamba_n_heads") * head * size, groups=groups, group_width=2 * size)
    return None
