"""Streamed completions through the stock client, with and without asking for usage."""

from common import MESSAGES, MODEL, check, counting_client, script

client, sent = counting_client()
ask = {"model": MODEL, "messages": MESSAGES, "stream": True, "extra_headers": script(prompt=12, completion=5)}

chunks = list(client.chat.completions.create(**ask))
text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
check("a stream brings text", text.strip() != "", chunks)
check("without asking there is no usage", all(chunk.usage is None for chunk in chunks), chunks)
check("without asking every chunk has a choice", all(chunk.choices for chunk in chunks), chunks)

chunks = list(client.chat.completions.create(**ask, stream_options={"include_usage": True}))
check("on asking the last chunk has the usage", chunks[-1].usage.completion_tokens == 5, chunks[-1])
check("nothing was sent twice", len(sent) == 2, sent)
