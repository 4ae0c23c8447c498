"""What the stock client makes of 429: it waits for as long as it is told and tries again."""

from common import MESSAGES, MODEL, counting_client, retried, script

client, sent = counting_client(max_retries=3)
TAKES = {"prompt": 12, "completion": 5}
retried(lambda: client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=script(**TAKES)), sent)
