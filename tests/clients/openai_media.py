"""The OpenAI package beyond text: images, speech, transcripts, moderations, structured answers; its client for Azure.
And the Cohere package's rerankers. Each is charged what it says here, and refused as an exception of its package."""

import json
import pathlib

import cohere
import httpx
import openai
import pydantic
from cohere.core.api_error import ApiError

from common import MESSAGES, check, costs, counting_client, os, raises, script

SAMPLES = pathlib.Path(os.environ["SAMPLES"])
SOUND = ("speech.mp3", b"\xff\xfb\x90\x00" * 400, "audio/mpeg")
PICTURE = ("picture.png", b"\x89PNG\r\n\x1a\n" + b"\x00" * 400, "image/png")
PRICES = {"input_tokens": 2, "audio_input_tokens": 11, "image_input_tokens": 13, "output_tokens": 17}
PRICES |= {"images": 37, "seconds": 41, "characters": 43, "searches": 47}
TAKES = {"prompt": 40, "completion": 10}
TEXT = 40 * PRICES["input_tokens"] + 10 * PRICES["output_tokens"]


class Answer(pydantic.BaseModel):
    name: str


def recorded(name, model):
    """The script of a recorded answer, and what its usage costs where this model is asked for it."""
    file = SAMPLES / name
    expected = json.loads(file.with_name(file.name + ".expect.json").read_text())
    sold = PRICES if model == "tokens" else [model]
    usage = {meter: count for meter, count in (expected["usage"] or {}).items() if meter in sold}
    usage.pop("images" if model == "tokens" else "", None)
    script = {"replay": {"file": str(file), "content_type": expected["content_type"]}}
    return script, sum(PRICES[meter] * count for meter, count in usage.items())


def answered(content):
    usage = {"prompt_tokens": 40, "completion_tokens": 10, "total_tokens": 50}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    members = {"id": "c", "object": "chat.completion", "created": 1, "model": "tokens", "choices": [choice]}
    return {"body": json.dumps({**members, "usage": usage})}


def picture(client, **members):
    return client.images.generate(model="tokens", prompt="a cat", **members)


def transcript(client, model, **members):
    return client.audio.transcriptions.create(file=SOUND, model=model, **members)


def spoken(client, **members):
    with client.audio.speech.with_streaming_response.create(
        model="characters", voice="alloy", input="Grüße", **members
    ) as answer:
        return b"".join(answer.iter_bytes())


def parts(client, **members):
    with client.chat.completions.stream(
        model="tokens", messages=MESSAGES, stream_options={"include_usage": True}, **members
    ) as stream:
        return stream.get_final_completion()


def parsed(client, **members):
    return client.chat.completions.parse(model="tokens", messages=MESSAGES, response_format=Answer, **members)


def embedded(client, **members):
    return client.embeddings.create(model="tokens", input="Say", **members)


# What is called, what the mock provider shall do, what it costs, and what must hold of the answer.
CALLS = {
    "images": (
        lambda client, **m: client.images.generate(model="images", prompt="a cat", n=2, **m),
        ({}, 2 * PRICES["images"]),
        lambda answer: len(answer.data) == 2,
    ),
    "images by tokens": (picture, recorded("openai/images-tokens.json", "tokens"), lambda a: a.usage.output_tokens),
    "images streamed": (
        lambda client, **m: list(picture(client, stream=True, partial_images=1, **m)),
        recorded("openai/image-generation.sse", "tokens"),
        lambda events: events[-1].type == "image_generation.completed",
    ),
    "edits": (
        lambda client, **m: client.images.edit(image=PICTURE, prompt="a hat", model="tokens", **m),
        recorded("openai/images-edit-tokens.json", "tokens"),
        lambda answer: answer.usage.input_tokens_details.image_tokens == 389,
    ),
    "transcripts by tokens": (
        lambda client, **m: transcript(client, "tokens", **m),
        recorded("openai/transcription-tokens.json", "tokens"),
        lambda answer: answer.usage.output_tokens == 12,
    ),
    "transcripts by seconds": (
        lambda client, **m: transcript(client, "seconds", **m),
        recorded("openai/transcription-duration.json", "seconds"),
        lambda answer: answer.usage.seconds == 3,
    ),
    "transcripts in detail": (
        lambda client, **m: transcript(client, "seconds", response_format="verbose_json", **m),
        recorded("openai/transcription-verbose.json", "seconds"),
        lambda answer: answer.segments,
    ),
    "transcripts streamed": (
        lambda client, **m: list(transcript(client, "tokens", stream=True, **m)),
        recorded("openai/transcription.sse", "tokens"),
        lambda events: events[-1].type == "transcript.text.done",
    ),
    "speech": (
        spoken,
        ({"replay": {"file": str(SAMPLES / "openai/speech.sse"), "content_type": "audio/mpeg"}}, 5 * PRICES["characters"]),
        lambda sound: sound == (SAMPLES / "openai/speech.sse").read_bytes(),
    ),
    "moderations": (
        lambda client, **m: client.moderations.create(input="Say", **m),
        ({"replay": {"file": str(SAMPLES / "openai/moderation.json"), "content_type": "application/json"}}, 53),
        lambda answer: answer.results,
    ),
    "chat helper": (parts, (TAKES, TEXT), lambda answer: answer.usage.completion_tokens == 10),
    "structured": (
        parsed,
        (answered('{"name": "Ada"}'), TEXT),
        lambda answer: answer.choices[0].message.parsed == Answer(name="Ada"),
    ),
    "embeddings as Base64": (embedded, (TAKES, 80), lambda answer: answer.data[0].embedding == [1, 0]),
}
AZURE = ["images by tokens", "transcripts by tokens", "speech", "chat helper", "structured", "embeddings as Base64"]


def azure(key=None):
    """A stock client for Azure, which sends the key as `api-key` and the model in the path, and what it sends."""
    sent = []
    http = openai.DefaultHttpxClient(event_hooks={"request": [sent.append]}, trust_env=False)
    key = key or os.environ["OPENAI_API_KEY"]
    members = {"azure_endpoint": os.environ["GATEWAY"], "base_url": None, "api_version": "2024-10-21"}
    return openai.AzureOpenAI(api_key=key, http_client=http, **members), sent


def played(client, sent, names, what):
    for name in names:
        call, (told, price), held = CALLS[name]
        answer = call(client, extra_headers=costs(price, **told))
        check(f"{what}: {name}", bool(held(answer)), answer)
    check(f"{what}: nothing was sent twice", len(sent) == len(names), sent)


def refused(client, sent, names, what):
    for name in names:
        call = CALLS[name][0]
        error = raises(f"{what}: {name}", openai.APIStatusError, 402, lambda: call(client, extra_headers=script()))
        check("its code is the refusal's", error.code == "insufficient_credits", error.body)
    check(f"{what}: a 402 is not retried", len(sent) == len(names), sent)


played(*counting_client(), CALLS, "OpenAI")
refused(*counting_client(api_key=os.environ["KEY_POOR"]), CALLS, "OpenAI")
client, sent = azure()
played(client, sent, AZURE, "Azure")
deployed = [request.url.path for request in sent]
check("the model is in the path", all("/deployments/" in path for path in deployed), deployed)
check("the key goes as api-key", all("authorization" not in request.headers for request in sent))
refused(*azure(os.environ["KEY_POOR"]), AZURE, "Azure")

QUERY = {"model": "searches", "query": "Say", "documents": ["a", "b"]}
for kind in [cohere.ClientV2, cohere.Client]:
    http = httpx.Client(trust_env=False)
    told, price = recorded("cohere/rerank.json", "searches")
    options = {"additional_headers": costs(price, **told)}
    answer = kind(httpx_client=http).rerank(**QUERY, request_options=options)
    check(f"{kind.__name__}: rerank", answer.meta.billed_units.search_units == 1, answer)
    poor = kind(api_key=os.environ["KEY_POOR"], httpx_client=http)
    options = {"additional_headers": script()}
    error = raises("rerank", ApiError, 402, lambda: poor.rerank(**QUERY, request_options=options))
