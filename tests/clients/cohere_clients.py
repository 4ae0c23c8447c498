"""The Cohere package: both versions of its client, chat plain and streamed, embeddings, refusals as its exceptions."""

import asyncio

import cohere
import httpx
from cohere.core.api_error import ApiError

from common import MODEL, check, os, raises, retried, script

MESSAGES = [{"role": "user", "content": "Say something."}]
TAKES = {"prompt": 40, "completion": 10}


def client_of(key=None, kind=cohere.ClientV2, **options):
    """A stock client, and the list of requests that it sends."""
    sent = []
    http = httpx.Client(event_hooks={"request": [sent.append]}, trust_env=False)
    return kind(api_key=key, httpx_client=http, **options), sent


def extra():
    return {"additional_headers": script(**TAKES)}


def chat(client, model=MODEL):
    answer = client.chat(model=model, messages=MESSAGES, max_tokens=100, request_options=extra())
    return answer.message.content[0].text, answer.usage.billed_units


def stream(client, model=MODEL):
    events = list(client.chat_stream(model=model, messages=MESSAGES, max_tokens=100, request_options=extra()))
    text = "".join(e.delta.message.content.text for e in events if e.type == "content-delta")
    return text, events[-1].delta.usage.billed_units


def embed(client, model=MODEL):
    members = {"texts": ["Say"], "input_type": "search_query", "embedding_types": ["float"]}
    answer = client.embed(model=model, **members, request_options=extra())
    return str(answer.embeddings.float_), answer.meta.billed_units


def chat_1(client, model=MODEL):
    answer = client.chat(model=model, message="Say", max_tokens=100, request_options=extra())
    return answer.text, answer.meta.billed_units


def stream_1(client, model=MODEL):
    events = list(client.chat_stream(model=model, message="Say", max_tokens=100, request_options=extra()))
    text = "".join(e.text for e in events if e.event_type == "text-generation")
    return text, events[-1].response.meta.billed_units


def embed_1(client, model=MODEL):
    answer = client.embed(model=model, texts=["Say"], input_type="search_query", request_options=extra())
    return str(answer.embeddings), answer.meta.billed_units


CALLS = {cohere.ClientV2: [chat, stream, embed], cohere.Client: [chat_1, stream_1, embed_1]}

for kind, calls in CALLS.items():
    client, sent = client_of(kind=kind)
    for call in calls:
        text, units = call(client)
        check(f"{kind.__name__} {call.__name__} brings something", text.strip() != "", text)
        expected = (40, None if "embed" in call.__name__ else 10)
        check("and the provider's usage", (units.input_tokens, units.output_tokens) == expected, units)
    check("nothing was sent twice", len(sent) == len(calls), sent)


async def parallel():
    async with cohere.AsyncClientV2(httpx_client=httpx.AsyncClient(trust_env=False)) as client:
        members = {"model": MODEL, "messages": MESSAGES, "max_tokens": 100}

        async def streamed():
            events = [event async for event in client.chat_stream(**members, request_options=extra())]
            return events[-1].delta.usage.billed_units.output_tokens

        async def plain():
            return (await client.chat(**members, request_options=extra())).usage.billed_units.output_tokens

        return await asyncio.gather(*[plain() for _ in range(3)], *[streamed() for _ in range(3)])


check("six at once, each with its usage", asyncio.run(parallel()) == [10] * 6)


def refused(key, error, status, model=MODEL):
    for kind, calls in CALLS.items():
        own, sent = client_of(key, kind, **({"max_retries": 0} if status == 429 else {}))
        for call in calls:
            found = raises(f"{kind.__name__} {call.__name__} {status}", error, status, lambda: call(own, model))
            check("its message is for people", " " in found.body["message"], found.body)
        check(f"{status} is not retried", len(sent) == len(calls), sent)


refused("bsr_" + "A" * 40, cohere.errors.UnauthorizedError, 401)
refused(os.environ["KEY_POOR"], ApiError, 402)
refused(os.environ["KEY_LIMITED"], cohere.errors.ForbiddenError, 403)
refused(os.environ["CO_API_KEY"], cohere.errors.BadRequestError, 400, model="no-such-model")
chat(client_of(os.environ["KEY_TIGHT"])[0])
refused(os.environ["KEY_TIGHT"], cohere.errors.TooManyRequestsError, 429)

brisk, sent = client_of(os.environ["KEY_BRISK"], max_retries=3)
retried(lambda: chat(brisk), sent)
