"""boto3 for Bedrock, over TLS: Converse and InvokeModel, plain and streamed, refusals as botocore's own exceptions.

The key is AWS_BEARER_TOKEN_BEDROCK, which botocore sends over HTTPS alone; it trusts what AWS_CA_BUNDLE names.
"""

import json

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from common import check, os, retried, script

MODEL = "claude-sonnet-4.5"
CONVERSE = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "Say something."}]}]}
CONVERSE["inferenceConfig"] = {"maxTokens": 100}
BODY = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": [{"role": "user", "content": "Say"}]}
INVOKE = {"modelId": MODEL, "body": json.dumps(BODY)}
TAKES = {"prompt": 40, "completion": 10, "cached": 8}


def client_of(key=None, attempts=3):
    """A stock client, and the list of requests that it sends."""
    if key is not None:
        os.environ["AWS_BEARER_TOKEN_BEDROCK"] = key
    retries = Config(retries={"mode": "standard", "total_max_attempts": attempts})
    client = boto3.client("bedrock-runtime", region_name="us-east-1", config=retries)
    sent = []
    client.meta.events.register("before-call.*.*", lambda params, **_: params["headers"].update(script(**TAKES)))
    client.meta.events.register("before-send.*.*", lambda request, **_: sent.append(request))
    return client, sent


def read_stream(client):
    events = list(client.converse_stream(**CONVERSE)["stream"])
    text = "".join(e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e)
    return text, events[-1]["metadata"]["usage"]


def invoke_stream(client):
    events = client.invoke_model_with_response_stream(**INVOKE)["body"]
    events = [json.loads(event["chunk"]["bytes"]) for event in events]
    text = "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    return text, next(e["usage"] for e in events if e["type"] == "message_delta")


def counts(usage):
    names = [("inputTokens", "cacheReadInputTokens", "outputTokens")]
    names += [("input_tokens", "cache_read_input_tokens", "output_tokens")]
    return next(tuple(usage[name] for name in own) for own in names if own[0] in usage)


def converse(client):
    answer = client.converse(**CONVERSE)
    return answer["output"]["message"]["content"][0]["text"], answer["usage"]


def invoke(client):
    answer = json.loads(client.invoke_model(**INVOKE)["body"].read())
    return answer["content"][0]["text"], answer["usage"]


CALLS = {"Converse": converse, "ConverseStream": read_stream, "InvokeModel": invoke}
CALLS["InvokeModelWithResponseStream"] = invoke_stream

client, sent = client_of()
for name, call in CALLS.items():
    text, usage = call(client)
    check(f"{name} brings text", text.strip() != "", text)
    check(f"{name} brings the provider's usage", counts(usage) == (32, 8, 10), usage)
check("nothing was sent twice", len(sent) == len(CALLS), sent)
check("the key goes as a bearer token", sent[0].headers["Authorization"].startswith(b"Bearer bsr_"), sent[0].headers)


def refused(key, kind, status, code):
    own, sent = client_of(key, attempts=1 if status == 429 else 3)
    kind = getattr(own.exceptions, kind, ClientError)
    for name, call in CALLS.items():
        try:
            call(own)
        except ClientError as error:
            found = error.response
            print(f"{name} {status}: {type(error).__name__}: {error}")
            check(f"{name} raises {kind.__name__}", type(error) is kind, repr(error))
            check("its code is Amazon's", found["Error"]["Code"] == code, found)
            check("its message is for people", " " in found["Error"]["Message"], found)
            check("its status", found["ResponseMetadata"]["HTTPStatusCode"] == status, found)
        else:
            check(f"{name} raises", False)
    check(f"{status} is not retried", len(sent) == len(CALLS), sent)


key = os.environ["AWS_BEARER_TOKEN_BEDROCK"]
refused("bsr_" + "A" * 40, "ClientError", 401, "UnrecognizedClientException")
refused(os.environ["KEY_POOR"], "ServiceQuotaExceededException", 402, "ServiceQuotaExceededException")
refused(os.environ["KEY_LIMITED"], "AccessDeniedException", 403, "AccessDeniedException")
converse(client_of(os.environ["KEY_TIGHT"])[0])
refused(os.environ["KEY_TIGHT"], "ThrottlingException", 429, "ThrottlingException")
CONVERSE["modelId"] = INVOKE["modelId"] = "no-such-model"
refused(key, "ValidationException", 400, "ValidationException")
CONVERSE["modelId"] = MODEL

brisk, sent = client_of(os.environ["KEY_BRISK"], attempts=4)
retried(lambda: converse(brisk), sent)
