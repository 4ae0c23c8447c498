"""The OpenAI package beyond chat: completions, responses and embeddings, and every refusal as its own exception."""

import openai

from common import MESSAGES, MODEL, check, counting_client, os, raises, script

client, sent = counting_client(max_retries=0)
TAKES = {"prompt": 40, "completion": 10}

answer = client.completions.create(model=MODEL, prompt="Say", extra_headers=script(**TAKES))
check("completions: text and usage", answer.choices[0].text and answer.usage.completion_tokens == 10, answer)
chunks = list(client.completions.create(model=MODEL, prompt="Say", stream=True, extra_headers=script(**TAKES)))
check("completions: a stream brings text", "".join(c.choices[0].text for c in chunks).strip() != "", chunks)

answer = client.responses.create(model=MODEL, input="Say", extra_headers=script(cached=8, reasoning=4, **TAKES))
check("responses: text", answer.output_text.strip() != "", answer)
usage = answer.usage
counts = (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens, usage.total_tokens)
check("responses: usage", counts == (40, 8, 10, 50), usage)
events = list(client.responses.create(model=MODEL, input="Say", stream=True, extra_headers=script(**TAKES)))
check("responses: a stream brings text", any(e.type == "response.output_text.delta" for e in events), events)
check("responses: and ends with its usage", events[-1].response.usage.output_tokens == 10, events[-1])
with client.responses.stream(model=MODEL, input="Say", extra_headers=script(**TAKES)) as stream:
    final = stream.get_final_response()
check("responses: the package's own reading of a stream", final.usage.input_tokens == 40, final)

answer = client.embeddings.create(model=MODEL, input="Say", extra_headers=script(prompt=40))
check("embeddings: a vector and usage", list(answer.data[0].embedding) == [1, 0] and answer.usage.prompt_tokens == 40, answer)
check("nothing was sent twice", len(sent) == 6, sent)


def refused(key, kind, status, code, model=MODEL):
    own, sent = counting_client(api_key=key, max_retries=0 if status == 429 else 2)
    calls = {
        "chat": lambda: own.chat.completions.create(model=model, messages=MESSAGES, extra_headers=script()),
        "stream": lambda: own.chat.completions.create(
            model=model, messages=MESSAGES, stream=True, extra_headers=script()
        ),
        "responses": lambda: own.responses.create(model=model, input="Say", extra_headers=script()),
        "embeddings": lambda: own.embeddings.create(model=model, input="Say", extra_headers=script()),
    }
    for name, call in calls.items():
        error = raises(f"{name} {code}", kind, status, call)
        check("its code is the refusal's", error.code == code, error.body)
        check("its message is for people", " " in error.message and "urn:" not in error.message, error.message)
        check("its request has a number", bool(error.response.headers.get("x-bursar-request-id")))
    check(f"{code} is not retried", len(sent) == len(calls), sent)


key = os.environ["OPENAI_API_KEY"]
refused("bsr_" + "A" * 40, openai.AuthenticationError, 401, "invalid_api_key")
refused(os.environ["KEY_POOR"], openai.APIStatusError, 402, "insufficient_credits")
refused(os.environ["KEY_LIMITED"], openai.PermissionDeniedError, 403, "forbidden_model")
refused(key, openai.BadRequestError, 400, "unknown_model", model="no-such-model")
spent, _ = counting_client(api_key=os.environ["KEY_TIGHT"])
spent.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=script(**TAKES))
refused(os.environ["KEY_TIGHT"], openai.RateLimitError, 429, "rate_limited")

own, sent = counting_client(max_retries=2)
error = raises("a path that is not offered", openai.PermissionDeniedError, 403, own.files.list)
check("its code is the refusal's", error.code == "route_denied" and len(sent) == 1, (error.body, sent))
