"""The Anthropic package: messages plain, streamed and asynchronous, tokens counted, refusals as its own exceptions."""

import asyncio

import anthropic

from common import check, os, raises, retried, script

MODEL = "claude-sonnet-4.5"
MESSAGES = [{"role": "user", "content": "Say something."}]
TAKES = {"prompt": 40, "completion": 10, "cached": 8}


def client_of(key=None, **options):
    """A stock client, and the list of requests that it sends."""
    sent = []
    http = anthropic.DefaultHttpxClient(event_hooks={"request": [sent.append]}, trust_env=False)
    return anthropic.Anthropic(http_client=http, api_key=key, **options), sent


def ask(client, model=MODEL, **members):
    return client.messages.create(
        model=model, max_tokens=100, messages=MESSAGES, extra_headers=script(**TAKES), **members
    )


def counts(usage):
    return (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens)


client, sent = client_of()
answer = ask(client)
check("the answer has text", answer.content[0].text.strip() != "", answer)
check("the usage is the provider's", counts(answer.usage) == (32, 8, 10), answer.usage)

events = list(ask(client, stream=True))
check("a stream has its events", [e.type for e in events[:3]] == ["message_start", "content_block_start", "ping"] or
      [e.type for e in events[:2]] == ["message_start", "content_block_start"], [e.type for e in events])
check("and ends with its usage", [e.usage.output_tokens for e in events if e.type == "message_delta"] == [10], events)
with client.messages.stream(model=MODEL, max_tokens=100, messages=MESSAGES, extra_headers=script(**TAKES)) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
check("the package's own reading of a stream", text.strip() != "" and counts(final.usage) == (32, 8, 10), final)

counted = client.messages.count_tokens(model=MODEL, messages=MESSAGES, extra_headers=script(prompt=17))
check("tokens can be counted, free of charge", counted.input_tokens == 17, counted)
check("nothing was sent twice", len(sent) == 4, sent)

# As the package's versions before 2 send it, and most other clients of this API.
header = {"x-api-key": client.api_key, "authorization": anthropic.Omit()}
older, sent = client_of(default_headers=header)
check("the key may come as x-api-key", counts(ask(older).usage) == (32, 8, 10))
check("and did", "x-api-key" in sent[0].headers and "authorization" not in sent[0].headers, sent[0].headers)


async def parallel():
    async with anthropic.AsyncAnthropic(http_client=anthropic.DefaultAsyncHttpxClient(trust_env=False)) as client:

        async def streamed():
            members = {"model": MODEL, "max_tokens": 100, "messages": MESSAGES}
            async with client.messages.stream(**members, extra_headers=script(**TAKES)) as stream:
                return await stream.get_final_message()

        return await asyncio.gather(*[ask(client) for _ in range(5)], *[streamed() for _ in range(5)])


answers = asyncio.run(parallel())
check("ten at once, each with its usage", [counts(a.usage) for a in answers] == [(32, 8, 10)] * 10, answers)


def refused(key, kind, status, shape, model=MODEL):
    own, sent = client_of(key, max_retries=0 if status == 429 else 2)
    for name, call in {
        "create": lambda: ask(own, model),
        "stream": lambda: ask(own, model, stream=True),
    }.items():
        error = raises(f"{name} {status}", kind, status, call)
        check("its type is Anthropic's", error.body["error"]["type"] == shape, error.body)
        check("its message is for people", " " in error.body["error"]["message"], error.body)
    check(f"{status} is not retried", len(sent) == 2, sent)


refused("bsr_" + "A" * 40, anthropic.AuthenticationError, 401, "authentication_error")
refused(os.environ["KEY_POOR"], anthropic.PaymentRequiredError, 402, "billing_error")
refused(os.environ["KEY_LIMITED"], anthropic.PermissionDeniedError, 403, "permission_error")
refused(os.environ["ANTHROPIC_API_KEY"], anthropic.BadRequestError, 400, "invalid_request_error", model="no-such-model")
ask(client_of(os.environ["KEY_TIGHT"])[0])
refused(os.environ["KEY_TIGHT"], anthropic.RateLimitError, 429, "rate_limit_error")

brisk, sent = client_of(os.environ["KEY_BRISK"], max_retries=3)
retried(lambda: ask(brisk), sent)

own, sent = client_of(os.environ["ANTHROPIC_API_KEY"], max_retries=2)
error = raises("a path that is not offered", anthropic.PermissionDeniedError, 403, own.messages.batches.list)
check("its type is Anthropic's", error.body["error"]["type"] == "permission_error" and len(sent) == 1, (error.body, sent))
