"""A plain completion and the list of models, through the stock client."""

from common import MESSAGES, MODEL, check, counting_client, script

client, sent = counting_client()
answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=script(prompt=12, completion=5))
check("the answer has text", bool(answer.choices[0].message.content), answer)
check("the usage is the provider's", (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12, 5), answer.usage)
check("models can be listed", [model.id for model in client.models.list()] != [])
check("nothing was sent twice", len(sent) == 2, sent)
