"""How many tokens a KV cache of so many bytes holds: vLLM's own arithmetic, to the block.

Facts: vLLM 0.32.0, v1/kv_cache_interface.py (bytes of a page, blocks of a request), v1/core/kv_cache_utils.py (get_kv_cache_groups,
get_kv_cache_config_from_groups, get_max_concurrency_for_kv_cache_config, _check_enough_kv_cache_memory), platforms/interface.py (_align_hybrid_block_size),
distributed/utils.py (get_pp_indices).

A page is what one layer keeps of one block of tokens. Layers that keep the same things for the same time form a group, which shares one table of blocks;
several groups draw from one pool, so that a block is as large as the pages of one group, and a request pays the sum over groups.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from llmfleet.planning.architecture import Architecture
from llmfleet.planning.layers import Attention, Layer, Reach
from llmfleet.vllm.quantization import KV_CACHE_TYPE, KVCacheType

PADDED_TO_LARGEST: Final = 1.5
"""Where the commonest kind of layer has less than this times the layers of the rarest, groups are as long as the former, not the latter (kv_cache_utils.py)."""

INDEXER_SCALE_TOKENS: Final = 128
"""Numbers of an indexer's key that share one float32 scale (models/deepseek_v2.py, DeepseekV32IndexerCache)."""

EDGE_LAYERS: Final = 2
"""Layers at either end that stay in the model's own dtype under TurboQuant and UltraQuant (turboquant/config.py, get_boundary_skip_layers)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What of a service decides on its KV cache, beside the model."""

    block_size: int
    """Tokens of a block."""
    kv_dtype: str = "auto"
    """Type of the KV cache, as --kv-cache-dtype takes it."""
    element_bytes: int = 2
    """Bytes of the model's own dtype."""
    tensor: int = 1
    """Tensor parallel size."""
    pipeline: int = 1
    """Pipeline parallel size."""
    decode_context: int = 1
    """Tensor ranks that share the tokens of one request."""
    in_flight_tokens: int = 0
    """Tokens that may be under way at once: the batches that overlap, each of max_num_batched_tokens."""
    prefix_caching: bool = True
    """Keeps states of the past beside the current one."""
    guesses: int = 0
    """Speculative tokens per step."""
    hybrid: bool = True
    """Layers with a window give back what has left it (the hybrid KV cache manager)."""
    draft_layers: tuple[Layer, ...] = ()
    """Layers of a draft model or head, which lie on the last stage."""


@dataclass(frozen=True, slots=True)
class KVCapacity:
    """What a KV cache holds."""

    blocks: int
    """Blocks of the pool."""
    block_bytes: int
    """Bytes of one, on the stage that decides."""
    request_blocks: int
    """Blocks of a request of the greatest length."""
    concurrency: float
    """Requests of the greatest length that it holds at once."""
    tokens: int
    """The tokens that vLLM tells: concurrency times the greatest length, rounded down."""


@dataclass(frozen=True, slots=True)
class _Page:
    """What one layer keeps of one block."""

    kind: str
    """full, sliding, chunked or state: what is merged into one group."""
    size_bytes: int
    block_size: int
    window: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    """A page and the stage that its layer lies on."""

    page: _Page
    stage: int


def stage_layers(count: int, pipeline: int) -> list[int]:
    """Layers of each pipeline stage; what does not divide goes to the stages before the last (distributed/utils.py, get_pp_indices)."""
    stages = [count // pipeline] * pipeline
    for index in range(2, count % pipeline + 2):
        stages[-index] += 1
    return stages


def bytes_per_token(architecture: Architecture, settings: Settings) -> int:
    """Bytes that one more token of a long request takes on one accelerator: layers of full attention alone, on the stage that has most of them."""
    return max(
        sum(
            -(-entry.page.size_bytes // entry.page.block_size)
            for entry in _entries(architecture, settings)
            if entry.page.kind == "full" and entry.stage == stage
        )
        for stage in range(settings.pipeline)
    )


def capacity(architecture: Architecture, settings: Settings, *, available_bytes: Sequence[int], max_length: int) -> KVCapacity | None:
    """What a KV cache holds; None where a model keeps nothing of a request, or not one block has room.

    Args:
        architecture: the model.
        settings: how it is served.
        available_bytes: bytes for the KV cache on an accelerator of each stage.
        max_length: greatest length of a request, in tokens.

    """
    groups = _groups(architecture, settings)
    if not groups:
        return None
    sizes = _block_bytes(groups, settings.pipeline)
    pools = [(max(available, 0) // size, size) for available, size in zip(available_bytes, sizes, strict=True) if size]
    blocks, block_bytes = min(pools)
    if blocks < 1:
        return None
    request_blocks = _request_blocks(groups, settings, max_length)
    concurrency = blocks / request_blocks
    return KVCapacity(blocks, block_bytes, request_blocks, concurrency, int(concurrency * max_length))


def needed_bytes(architecture: Architecture, settings: Settings, max_length: int) -> int:
    """Bytes without which vLLM does not start: one request of the greatest length, and the block that is kept back, on the stage that needs most."""
    groups = _groups(architecture, settings)
    if not groups:
        return 0
    return max(_block_bytes(groups, settings.pipeline)) * (_request_blocks(groups, settings, max_length) + 1)


def largest_context(architecture: Architecture, settings: Settings, *, available_bytes: Sequence[int], limit: int) -> int:
    """The longest context, up to a limit, with which one request fits; 0 if none does."""
    groups = _groups(architecture, settings)
    if not groups:
        return limit
    sizes = _block_bytes(groups, settings.pipeline)
    # One block is kept back as the null block.
    usable = min(available // size for available, size in zip(available_bytes, sizes, strict=True) if size) - 1
    return _largest(limit, lambda length: _request_blocks(groups, settings, length) <= usable)


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _entries(architecture: Architecture, settings: Settings) -> list[_Entry]:
    """A page for everything that a layer keeps, with the stage of the layer."""
    stages = [stage for stage, count in enumerate(stage_layers(len(architecture.layers), settings.pipeline)) for _ in range(count)]
    located = [*zip(architecture.layers, stages, strict=True), *((layer, settings.pipeline - 1) for layer in settings.draft_layers)]
    kind = KV_CACHE_TYPE.get(settings.kv_dtype, KV_CACHE_TYPE["auto"])
    edges = _edges(architecture) if kind.keeps_edges else frozenset()
    attention = {
        index: _attention_page(layer.attention, settings, KV_CACHE_TYPE["auto"] if index in edges else kind)
        for index, (layer, _) in enumerate(located)
        if layer.attention is not None
    }
    if architecture.has_state and attention:
        attention = _aligned(attention, architecture, settings)
    page_bytes = max((page.size_bytes for page in attention.values()), default=0)
    entries: list[_Entry] = []
    for index, (layer, stage) in enumerate(located):
        if index in attention:
            entries.append(_Entry(attention[index], stage))
            if layer.attention is not None and layer.attention.indexer_size:
                size = layer.attention.indexer_size + layer.attention.indexer_size // INDEXER_SCALE_TOKENS * 4
                entries.append(_Entry(_Page("full", size * settings.block_size, settings.block_size), stage))
        if layer.state is not None:
            size = layer.state.size_bytes(tensor=settings.tensor, element_bytes=settings.element_bytes, guesses=settings.guesses)
            entries.append(_Entry(_Page("state", max(size, page_bytes), settings.block_size), stage))
    return entries


def _attention_page(attention: Attention, settings: Settings, kind: KVCacheType) -> _Page:
    if attention.latent:
        token = kind.latent_bytes or kind.head_bytes(attention.key_size, 0, settings.element_bytes) - kind.scale_bytes
    else:
        heads = max(1, attention.kv_heads // settings.tensor)
        token = heads * kind.head_bytes(attention.key_size, attention.value_size, settings.element_bytes)
    return _Page(attention.reach.value, token * settings.block_size, settings.block_size, attention.window)


def _edges(architecture: Architecture) -> frozenset[int]:
    """Indices of the first and last layers that keep the model's own dtype; none where layers have states."""
    count = len(architecture.layers)
    kept = 0 if architecture.has_state else min(EDGE_LAYERS, count // 2)
    return frozenset((*range(kept), *range(count - kept, count)))


def _aligned(pages: dict[int, _Page], architecture: Architecture, settings: Settings) -> dict[int, _Page]:
    """Pages of attention beside states: their block grows until a state fits into a page (platforms/interface.py, _align_hybrid_block_size)."""
    state_bytes = max(
        layer.state.size_bytes(tensor=settings.tensor, element_bytes=settings.element_bytes, guesses=settings.guesses)
        for layer in architecture.layers
        if layer.state is not None
    )
    largest = max(pages.values(), key=lambda page: page.size_bytes)
    step = max(settings.block_size, 128) if architecture.latent else settings.block_size
    token = largest.size_bytes // largest.block_size
    block_size = step * max(1, ceil(state_bytes / (step * token)))
    return {index: replace(page, size_bytes=page.size_bytes // page.block_size * block_size, block_size=block_size) for index, page in pages.items()}


def _groups(architecture: Architecture, settings: Settings) -> list[list[_Entry]]:
    """Layers that share a table of blocks (kv_cache_utils.py, get_kv_cache_groups, for layouts that keep layers together)."""
    entries = _entries(architecture, settings)
    if not entries:
        return []
    if not settings.hybrid and any(entry.page.kind == Reach.FULL for entry in entries):
        entries = [
            _Entry(replace(entry.page, kind=Reach.FULL.value, window=0), entry.stage) if entry.page.kind in (Reach.SLIDING, Reach.CHUNKED) else entry
            for entry in entries
        ]
    if len({(entry.page.kind, entry.page.window, entry.page.block_size) for entry in entries}) == 1:
        return [entries]
    return _equal_groups(_equal_pages(entries))


def _equal_pages(entries: list[_Entry]) -> list[_Entry]:
    """All pages as large as the largest: blocks of more tokens where that divides, padding where not (unify_kv_cache_spec_page_size)."""
    largest = max(entry.page.size_bytes for entry in entries)
    equal = []
    for entry in entries:
        page = entry.page
        ratio = largest // page.size_bytes if page.kind != "state" and largest % page.size_bytes == 0 else 1
        equal.append(_Entry(replace(page, size_bytes=largest, block_size=page.block_size * ratio), entry.stage))
    return equal


def _equal_groups(entries: list[_Entry]) -> list[list[_Entry]]:
    """Groups of equally many layers, every kind of layer split into as many as it needs (_get_kv_cache_groups_uniform_page_size)."""
    kinds: dict[_Page, list[_Entry]] = {}
    for entry in entries:
        kinds.setdefault(entry.page, []).append(entry)
    shortest, longest = min(map(len, kinds.values())), max(map(len, kinds.values()))
    size = longest if longest < shortest * PADDED_TO_LARGEST else shortest
    groups: list[list[_Entry]] = []
    for members in kinds.values():
        count = ceil(len(members) / size)
        groups.extend(members[start::count] for start in range(count))
    return groups


def _block_bytes(groups: list[list[_Entry]], pipeline: int) -> list[int]:
    """Bytes of one block on each stage: the pages of the group that has most there; 0 for a stage without any."""
    return [max(sum(entry.page.size_bytes for entry in group if entry.stage == stage) for group in groups) for stage in range(pipeline)]


def _request_blocks(groups: list[list[_Entry]], settings: Settings, max_length: int) -> int:
    """Blocks of a request of the greatest length, over all groups."""
    return sum(max(_page_blocks(entry.page, settings, max_length) for entry in group) for group in groups)


def _page_blocks(page: _Page, settings: Settings, max_length: int) -> int:
    """Blocks that one layer holds of a request (max_memory_usage_bytes of each kind of KVCacheSpec)."""
    match page.kind:
        case Reach.SLIDING:
            # One more, because a window need not begin with a block. Multi-step heads keep guesses - 1 tokens longer, which is a block at most now and then.
            return ceil(min(page.window - 1 + settings.in_flight_tokens, max_length) / page.block_size) + 1
        case Reach.CHUNKED:
            return ceil(min(page.window + settings.in_flight_tokens, max_length) / page.block_size)
        case "state":
            return (2 if settings.prefix_caching else 1) + settings.guesses
        case _:
            return ceil(ceil(max_length / settings.decode_context) / page.block_size)
