"""Plain and streamed completions at the same time, through the stock asynchronous client."""

import asyncio

import openai

from common import MESSAGES, MODEL, check, script

TIMES = 20


async def plain(client):
    answer = await client.chat.completions.create(
        model=MODEL, messages=MESSAGES, extra_headers=script(prompt=12, completion=5)
    )
    return answer.usage.completion_tokens


async def stream(client):
    headers = script(prompt=12, completion=5, chunk_delay_ms=20)
    chunks = await client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}, extra_headers=headers
    )
    usage = [chunk.usage async for chunk in chunks][-1]
    return usage.completion_tokens


async def main():
    async with openai.AsyncOpenAI(http_client=openai.DefaultAsyncHttpxClient(trust_env=False)) as client:
        counts = await asyncio.gather(*[plain(client) for _ in range(TIMES)], *[stream(client) for _ in range(TIMES)])
    check(f"{2 * TIMES} answers came, each with its usage", counts == [5] * (2 * TIMES), counts)


asyncio.run(main())
