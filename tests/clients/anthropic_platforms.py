"""The Anthropic package's clients for Bedrock and Vertex AI: plain, streamed, tokens counted, refusals."""

import os

import anthropic

from common import check, raises, script

MODEL = "claude-sonnet-4.5"
ASK = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Say something."}]}
TAKES = {"prompt": 40, "completion": 10, "cached": 8}


def client_of(kind, key, **options):
    """A stock client, and the list of requests that it sends."""
    sent = []
    http = anthropic.DefaultHttpxClient(event_hooks={"request": [sent.append]}, trust_env=False)
    return kind(http_client=http, **options, **key), sent


def bedrock(key=None):
    key = key or os.environ["AWS_BEARER_TOKEN_BEDROCK"]
    options = {"aws_region": "us-east-1", "base_url": os.environ["GATEWAY"]}
    return client_of(anthropic.AnthropicBedrock, {"api_key": key}, **options)


def vertex(key=None):
    key = key or os.environ["ANTHROPIC_API_KEY"]
    options = {"region": "global", "project_id": "p", "base_url": os.environ["GATEWAY"] + "/v1"}
    return client_of(anthropic.AnthropicVertex, {"access_token": key}, **options)


def create(client):
    answer = client.messages.create(**ASK, extra_headers=script(**TAKES))
    return answer.content[0].text, answer.usage


def stream(client):
    with client.messages.stream(**ASK, extra_headers=script(**TAKES)) as stream:
        text = "".join(stream.text_stream)
        return text, stream.get_final_message().usage


CALLS = [create, stream]
REFUSALS = [
    ("bsr_" + "A" * 40, anthropic.AuthenticationError, 401),
    (os.environ["KEY_POOR"], anthropic.PaymentRequiredError, 402),
    (os.environ["KEY_LIMITED"], anthropic.PermissionDeniedError, 403),
]

for name, kind in {"Bedrock": bedrock, "Vertex AI": vertex}.items():
    client, sent = kind()
    for call in CALLS:
        text, usage = call(client)
        counts = (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens)
        check(f"{name}: {call.__name__} brings text", text.strip() != "", text)
        check("and the provider's usage", counts == (32, 8, 10), usage)
    check("nothing was sent twice", len(sent) == len(CALLS), sent)
    for key, error, status in REFUSALS:
        own, sent = kind(key)
        for call in CALLS:
            raises(f"{name}: {call.__name__} {status}", error, status, lambda: call(own))
        check(f"{status} is not retried", len(sent) == len(CALLS), sent)

counted = vertex()[0].messages.count_tokens(
    model=MODEL, messages=ASK["messages"], extra_headers=script(prompt=17)
)
check("tokens can be counted, free of charge", counted.input_tokens == 17, counted)
