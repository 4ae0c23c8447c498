"""What the client scripts share: a stock client that counts the requests it really sends.

Each package reads where to and with which key from its own environment variables (OPENAI_BASE_URL, OPENAI_API_KEY
and so on), as in any program that uses it. KEY_… are keys that are refused.
"""

import itertools
import json
import os
import sys
import time

MODEL = os.environ.get("MODEL", "gpt-5-mini")
MESSAGES = [{"role": "user", "content": "Say something."}]


NUMBERS = itertools.count(1)


def script(**members):
    """Extra headers that tell the mock provider what to do; other servers ignore them."""
    headers = {"x-tag": f"{os.environ['TAG']}-{next(NUMBERS)}"} if "TAG" in os.environ else {}
    return {**headers, "x-mock": json.dumps(members)}


def costs(micros, **members):
    """The same, saying beside it what the request must be charged, in millionths of a credit."""
    headers = script(**members)
    print("COSTS", headers["x-tag"], micros)
    return headers


def counting_client(**options):
    """A stock client of the openai package, and the list of requests that it sends."""
    import openai

    sent = []
    http = openai.DefaultHttpxClient(event_hooks={"request": [sent.append]}, trust_env=False)
    return openai.OpenAI(http_client=http, **options), sent


def check(what, held, found=""):
    """Ends the script with status 1 where something does not hold."""
    print(("ok: " if held else "NOT: ") + what, "" if held else found)
    if not held:
        sys.exit(1)


def raises(what, kind, status, call):
    """Checks that a call raises this exception with this status and readable words; returns the exception."""
    try:
        call()
    except kind as error:
        found = getattr(error, "status_code", None) or getattr(error, "code", None)
        print(f"{what}: {type(error).__module__}.{type(error).__name__}: {error}")
        check(f"{what} is {status}", found == status, found)
        return error
    except Exception as error:
        check(f"{what} raises {kind.__name__}", False, repr(error))
    check(f"{what} raises", False)


def retried(call, sent, seconds=1):
    """Calls until a 429 comes, which the client must wait for as long as it is told and then be answered.

    The key's plan must allow less than a handful of requests at once and refill within seconds.
    """
    for answered in range(1, 51):
        begin = time.monotonic()
        call()
        if len(sent) > answered:
            break
    check("a request was refused, and answered after a retry", len(sent) == answered + 1, (len(sent), answered))
    waited = time.monotonic() - begin
    check("the client waited", waited >= seconds, waited)
