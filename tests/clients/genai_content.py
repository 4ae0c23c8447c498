"""The google-genai package: content plain, streamed and asynchronous, tokens counted, refusals as its exceptions."""

import asyncio

from google import genai
from google.genai import errors, types

from common import check, os, raises, retried, script

MODEL = "gemini-2.5-flash"
TAKES = {"prompt": 40, "completion": 10, "cached": 8, "reasoning": 4}


def client_of(key=None, **options):
    """A stock client, and the list of requests that it sends."""
    sent = []
    args = {"event_hooks": {"request": [sent.append]}, "trust_env": False}
    return genai.Client(api_key=key, http_options=types.HttpOptions(client_args=args, **options)), sent


def config(**members):
    headers = script(**{**TAKES, **members})
    return types.GenerateContentConfig(max_output_tokens=100, http_options=types.HttpOptions(headers=headers))


def counts(answer):
    usage = answer.usage_metadata
    return (
        usage.prompt_token_count,
        usage.cached_content_token_count,
        usage.candidates_token_count,
        usage.thoughts_token_count,
        usage.total_token_count,
    )


client, sent = client_of()
answer = client.models.generate_content(model=MODEL, contents="Say something.", config=config())
check("the answer has text", answer.text.strip() != "", answer)
check("the usage is the provider's", counts(answer) == (40, 8, 6, 4, 50), answer.usage_metadata)
check("the key goes as x-goog-api-key", "x-goog-api-key" in sent[0].headers, sent[0].headers)

chunks = list(client.models.generate_content_stream(model=MODEL, contents="Say something.", config=config()))
check("a stream brings text", "".join(chunk.text or "" for chunk in chunks).strip() != "", chunks)
check("and ends with its usage", counts(chunks[-1]) == (40, 8, 6, 4, 50), chunks[-1])

chat = client.chats.create(model=MODEL)
check("a chat answers", chat.send_message("Say something.", config=config()).text.strip() != "")

headers = types.HttpOptions(headers=script(prompt=17))
counted = client.models.count_tokens(
    model=MODEL, contents="Say", config=types.CountTokensConfig(http_options=headers)
)
check("tokens can be counted, free of charge", counted.total_tokens == 17, counted)
check("nothing was sent twice", len(sent) == 4, sent)


headers = types.HttpOptions(headers=script(prompt=40))
embedded = client.models.embed_content(
    model=MODEL, contents="Say", config=types.EmbedContentConfig(http_options=headers)
)
check("text can be embedded", embedded.embeddings[0].values == [1, 0.5], embedded)

# Vertex AI, whose paths are longer.
args = {"event_hooks": {"request": [sent.append]}, "trust_env": False}
options = types.HttpOptions(client_args=args, base_url=os.environ["GOOGLE_GEMINI_BASE_URL"])
vertex = genai.Client(vertexai=True, api_key=os.environ["GEMINI_API_KEY"], http_options=options)
answer = vertex.models.generate_content(model=MODEL, contents="Say something.", config=config())
check("Vertex AI: the usage is the provider's", counts(answer) == (40, 8, 6, 4, 50), answer.usage_metadata)
chunks = list(vertex.models.generate_content_stream(model=MODEL, contents="Say something.", config=config()))
check("Vertex AI: a stream ends with its usage", counts(chunks[-1]) == (40, 8, 6, 4, 50), chunks[-1])
check("Vertex AI: it was its own path", "/publishers/google/models/" in sent[-1].url.path, sent[-1].url)


async def parallel():
    # Over httpx: aiohttp, where it is installed, would be taken instead.
    args = {"trust_env": False}
    client = genai.Client(http_options=types.HttpOptions(async_client_args=args)).aio
    plain = [client.models.generate_content(model=MODEL, contents="Say", config=config()) for _ in range(5)]

    async def streamed():
        chunks = await client.models.generate_content_stream(model=MODEL, contents="Say", config=config())
        return [chunk async for chunk in chunks][-1]

    return await asyncio.gather(*plain, *[streamed() for _ in range(5)])


answers = asyncio.run(parallel())
check("ten at once, each with its usage", [counts(a) for a in answers] == [(40, 8, 6, 4, 50)] * 10, answers)


def refused(key, status, shape, model=MODEL):
    own, sent = client_of(key)
    for name, call in {
        "generate_content": lambda: own.models.generate_content(model=model, contents="Say", config=config()),
        "generate_content_stream": lambda: list(
            own.models.generate_content_stream(model=model, contents="Say", config=config())
        ),
    }.items():
        error = raises(f"{name} {status}", errors.ClientError, status, call)
        check("its status is Google's", error.status == shape, error.status)
        check("its message is for people", " " in (error.message or ""), error.details)
    check(f"{status} is not retried", len(sent) == 2, sent)


refused("bsr_" + "A" * 40, 401, "UNAUTHENTICATED")
refused(os.environ["KEY_POOR"], 402, "FAILED_PRECONDITION")
refused(os.environ["KEY_LIMITED"], 403, "PERMISSION_DENIED")
refused(os.environ["GEMINI_API_KEY"], 400, "INVALID_ARGUMENT", model="no-such-model")
tight, _ = client_of(os.environ["KEY_TIGHT"])
tight.models.generate_content(model=MODEL, contents="Say", config=config())
refused(os.environ["KEY_TIGHT"], 429, "RESOURCE_EXHAUSTED")

patient = types.HttpRetryOptions(attempts=5, initial_delay=0.6, exp_base=1.5, jitter=0)
brisk, sent = client_of(os.environ["KEY_BRISK"], retry_options=patient)
retried(lambda: brisk.models.generate_content(model=MODEL, contents="Say", config=config()), sent, seconds=0.6)

own, sent = client_of(os.environ["GEMINI_API_KEY"])
error = raises("a path that is not offered", errors.ClientError, 403, own.caches.list)
check("its status is Google's", error.status == "PERMISSION_DENIED" and len(sent) == 1, (error.details, sent))
