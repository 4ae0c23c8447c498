"""What the stock client makes of 402: its own exception, with a readable message, and no retry."""

import openai

from common import MESSAGES, MODEL, check, counting_client, script

client, sent = counting_client()
try:
    client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=script())
except openai.APIStatusError as error:
    print(f"openai.{type(error).__name__}: {error}")
    check("the status is 402", error.status_code == 402, error.status_code)
    check("the code is insufficient_credits", error.code == "insufficient_credits", error.body)
    check("the message is readable", isinstance(error.body, dict) and bool(error.body.get("message")), error.body)
    check("it was sent once", len(sent) == 1, sent)
else:
    check("an exception is raised", False)
