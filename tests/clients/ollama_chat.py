"""The Ollama package: chat and generate, plain and streamed, embeddings, refusals as its exception. It never retries."""

import asyncio

import ollama

from common import MODEL, check, os, raises, script

MESSAGES = [{"role": "user", "content": "Say something."}]
TAKES = {"prompt": 40, "completion": 10}
OPTIONS = {"num_predict": 100}


def client_of(key=None):
    """A stock client, and the list of requests that it sends. Without a key it takes OLLAMA_API_KEY."""
    sent = []

    def prepare(request):
        request.headers.update(script(**TAKES))
        sent.append(request)

    headers = {"authorization": f"Bearer {key}"} if key else None
    return ollama.Client(headers=headers, event_hooks={"request": [prepare]}, trust_env=False), sent


def streamed(parts, text):
    parts = list(parts)
    return "".join(text(part) for part in parts), parts[-1]


def chat(client, model):
    answer = client.chat(model=model, messages=MESSAGES, options=OPTIONS)
    return answer.message.content, answer


def chat_stream(client, model):
    parts = client.chat(model=model, messages=MESSAGES, stream=True, options=OPTIONS)
    return streamed(parts, lambda part: part.message.content)


def generate(client, model):
    answer = client.generate(model=model, prompt="Say", options=OPTIONS)
    return answer.response, answer


def generate_stream(client, model):
    parts = client.generate(model=model, prompt="Say", stream=True, options=OPTIONS)
    return streamed(parts, lambda part: part.response)


def embed(client, model):
    answer = client.embed(model=model, input="Say")
    return str(answer.embeddings), answer


CALLS = [chat, chat_stream, generate, generate_stream, embed]

client, sent = client_of()
for call in CALLS:
    text, answer = call(client, MODEL)
    check(f"{call.__name__} brings something", text.strip() != "", text)
    expected = (40, None if call is embed else 10)
    check("and the provider's usage", (answer.prompt_eval_count, getattr(answer, "eval_count", None)) == expected, answer)
check("nothing was sent twice", len(sent) == len(CALLS), sent)


async def parallel():
    async def prepare(request):
        request.headers.update(script(**TAKES))

    async with ollama.AsyncClient(event_hooks={"request": [prepare]}, trust_env=False) as client:
        members = {"model": MODEL, "messages": MESSAGES, "options": OPTIONS}

        async def parts():
            return [part async for part in await client.chat(**members, stream=True)][-1]

        return await asyncio.gather(*[client.chat(**members) for _ in range(3)], *[parts() for _ in range(3)])


check("six at once, each with its usage", [a.eval_count for a in asyncio.run(parallel())] == [10] * 6)


def refused(key, status, model=MODEL):
    own, sent = client_of(key)
    for call in CALLS:
        error = raises(f"{call.__name__} {status}", ollama.ResponseError, status, lambda: call(own, model))
        check("its message is for people", " " in error.error and "{" not in error.error, error.error)
    check(f"{status} is not retried", len(sent) == len(CALLS), sent)


refused("bsr_" + "A" * 40, 401)
refused(os.environ["KEY_POOR"], 402)
refused(os.environ["KEY_LIMITED"], 403)
refused(os.environ["OLLAMA_API_KEY"], 400, model="no-such-model")
chat(client_of(os.environ["KEY_TIGHT"])[0], MODEL)
refused(os.environ["KEY_TIGHT"], 429)
