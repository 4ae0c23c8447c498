"""What the stock client makes of 429: it waits for as long as it is told and tries again.

The key's plan must allow less than a handful of requests at once and refill within seconds.
"""

import time

from common import MESSAGES, MODEL, check, counting_client, script

client, sent = counting_client(max_retries=3)
begin = time.monotonic()
for answered in range(1, 51):
    client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=script(prompt=12, completion=5))
    if len(sent) > answered:
        break
check("a request was refused, and answered after a retry", len(sent) > answered, (len(sent), answered))
check("the client waited", time.monotonic() - begin >= 0.5, time.monotonic() - begin)
