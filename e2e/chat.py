"""Clients of a model: bounded numbers of chat completions, streamed, by the openai package; each answer is checked for its end.

A program of its own, `python -m e2e.chat`, because it runs inside the cluster's network namespace, where the addresses of Services are routed.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, dataclass

import openai


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request."""

    tokens: int
    """Completion tokens by the engine's own count, which comes after the last chunk."""
    finish_reason: str | None
    """None when the stream ended without saying why: it was cut."""
    text: str
    error: str | None

    @property
    def complete(self) -> bool:
        """The stream said that it ended, and why."""
        return self.error is None and self.finish_reason in ("stop", "length")


async def ask(client: openai.AsyncOpenAI, model: str, prompt: str, max_tokens: int, *, show: bool = False) -> Answer:
    """Send one streamed chat completion that ends by its length."""
    tokens, finish_reason, text = 0, None, ""
    try:
        stream = await client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": prompt}],
            max_tokens=max_tokens,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True},
        )
        async for chunk in stream:
            for choice in chunk.choices:
                if choice.delta.content:
                    text += choice.delta.content
                    if show:
                        print(choice.delta.content, end="", flush=True)
                finish_reason = choice.finish_reason or finish_reason
            tokens = chunk.usage.completion_tokens if chunk.usage else tokens
    except (openai.OpenAIError, OSError) as error:
        return Answer(tokens, finish_reason, text, f"{type(error).__name__}: {error}")
    return Answer(tokens, finish_reason, text, None)


async def run(url: str, model: str, *, requests: int, concurrency: int, max_tokens: int) -> list[Answer]:
    """Send that many requests, never more at once than `concurrency`, none repeated."""
    places = asyncio.Semaphore(concurrency)
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=600) as client:

        async def one(number: int) -> Answer:
            async with places:
                return await ask(client, model, f"Tell me about number {number}.", max_tokens)

        return list(await asyncio.gather(*(one(number) for number in range(requests))))


def main() -> int:
    """Print one JSON object per answer; with --show the one answer as it streams."""
    parser = argparse.ArgumentParser(prog="python -m e2e.chat", description=__doc__)
    parser.add_argument("--url", required=True, help="base URL, ending in /v1")
    parser.add_argument("--model", required=True)
    parser.add_argument("--requests", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--show", action="store_true", help="print one answer while it comes")
    options = parser.parse_args()
    if options.show:
        answer = asyncio.run(_shown(options.url, options.model, options.max_tokens))
        print()
        return 0 if answer.complete else 1
    answers = asyncio.run(run(options.url, options.model, requests=options.requests, concurrency=options.concurrency, max_tokens=options.max_tokens))
    for answer in answers:
        print(json.dumps(asdict(answer)))
    return 0 if all(answer.complete for answer in answers) else 1


async def _shown(url: str, model: str, max_tokens: int) -> Answer:
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=120) as client:
        return await ask(client, model, "What runs containers?", max_tokens, show=True)


if __name__ == "__main__":
    sys.exit(main())
