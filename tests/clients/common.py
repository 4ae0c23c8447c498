"""What the client scripts share: a stock client that counts the requests it really sends.

OPENAI_BASE_URL and OPENAI_API_KEY say where to and with which key, as for any program that uses the package.
"""

import json
import os
import sys

import openai

MODEL = os.environ.get("MODEL", "gpt-5-mini")
MESSAGES = [{"role": "user", "content": "Say something."}]


def script(**members):
    """Extra headers that tell the mock provider what to do; other servers ignore them."""
    headers = {"x-tag": os.environ["TAG"]} if "TAG" in os.environ else {}
    return {**headers, "x-mock": json.dumps(members)}


def counting_client(**options):
    """A stock client, and the list of requests that it sends."""
    sent = []
    http = openai.DefaultHttpxClient(event_hooks={"request": [sent.append]}, trust_env=False)
    return openai.OpenAI(http_client=http, **options), sent


def check(what, held, found=""):
    """Ends the script with status 1 where something does not hold."""
    print(("ok: " if held else "NOT: ") + what, "" if held else found)
    if not held:
        sys.exit(1)
