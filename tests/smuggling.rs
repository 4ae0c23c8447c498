//! Requests whose framing lies, on HTTP/1 and HTTP/2: the provider sees one request for each that was admitted, with
//! its own bytes and the edge's edit, and nothing of any other.

use anyhow::{Context, Result, bail, ensure};
use e2e::ground::{Ground, Part, together};
use e2e::{funded, still_serves};
use testbed::mock::{SCRIPT_HEADER, TAG_HEADER};
use testbed::raw::Raw;
use testbed::request::{CHAT_PATH, Chat};
use testbed::{Account, Stack, keys};

/// What the attacker would have the provider see: the path is exempt, so that the filter would let it pass.
const HIDDEN: &str = "GET /public/hidden HTTP/1.1\r\nhost: x\r\n\r\n";

/// The headers of a request, as both protocols have them.
fn headers(chat: &Chat, key: &str) -> Vec<(String, String)> {
    let own = [
        ("content-type", "application/json".to_owned()),
        ("authorization", format!("Bearer {key}")),
        (TAG_HEADER, chat.tag.clone()),
        (SCRIPT_HEADER, chat.script.header()),
    ];
    own.map(|(name, value)| (name.to_owned(), value)).into()
}

/// An HTTP/1 request with these further lines, and behind them these bytes.
fn http1(chat: &Chat, key: &str, lines: &str, behind: &str) -> Vec<u8> {
    let headers: String =
        headers(chat, key).iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\n{headers}{lines}\r\n{behind}").into_bytes()
}

fn chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n", body.len())
}

/// A streamed request, so that the edge edits it.
fn edited() -> Chat {
    Chat::stream("gpt-5-mini").max_tokens(10).takes(10, 5)
}

/// Checks that the provider got a request whole, once, with its own bytes and the edge's edit between them.
fn got(stack: &Stack, chat: &Chat) -> Result<()> {
    let seen = stack.mock.record.tagged(&chat.tag);
    let [seen] = seen.as_slice() else { bail!("the provider got it {} times", seen.len()) };
    ensure!(seen.complete, "not whole: {seen:?}");
    let (sent, found) = (chat.body(), seen.text.clone().unwrap_or_default());
    let kept = sent.bytes().zip(found.bytes()).take_while(|(a, b)| a == b).count();
    let (before, after) = found.split_at(kept);
    let more = found.len().checked_sub(sent.len()).with_context(|| format!("bytes are missing: {found}"))?;
    let added = after.get(..more).unwrap_or_default();
    ensure!(format!("{before}{}", &after[added.len()..]) == sent, "more than an insertion: {found}");
    ensure!(added.contains(r#""include_usage":true"#) && added.len() < 60, "added: {added}");
    if let Some(length) = seen.header("content-length") {
        ensure!(length == seen.body_bytes.to_string(), "announced {length}: {seen:?}");
        ensure!(seen.header("transfer-encoding").is_none(), "two framings: {seen:?}");
    }
    Ok(())
}

/// Checks that the provider did not get a request whole, nor what was hidden in one.
fn got_nothing(stack: &Stack, chat: &Chat) -> Result<()> {
    let seen = stack.mock.record.all();
    let hidden = seen.iter().find(|seen| seen.path.contains("hidden"));
    ensure!(hidden.is_none(), "smuggled: {hidden:?}");
    let whole = seen.iter().find(|seen| seen.complete && seen.tag.as_ref() == Some(&chat.tag));
    ensure!(whole.is_none(), "refused, and whole at the provider: {whole:?}");
    Ok(())
}

/// HTTP/1 requests that say two things about their length, or something that is no length.
fn lying_http1(body: &str) -> Vec<(&'static str, String, String)> {
    let length = body.len();
    let chunked = "transfer-encoding: chunked\r\n";
    let own = format!("content-length: {length}\r\n");
    let end = "0\r\n\r\n";
    vec![
        ("a length and chunks", format!("{own}{chunked}"), format!("{}{end}{HIDDEN}", chunk(body))),
        (
            "chunks and a length",
            format!("{chunked}content-length: 5\r\n"),
            format!("{}{end}{HIDDEN}", chunk(body)),
        ),
        ("no chunks and a length", format!("{chunked}{own}"), format!("{end}{HIDDEN}")),
        ("two lengths", format!("{own}content-length: 0\r\n"), format!("{body}{HIDDEN}")),
        ("two lengths in one", format!("content-length: {length}, 0\r\n"), format!("{body}{HIDDEN}")),
        ("a length with a sign", format!("content-length: +{length}\r\n"), format!("{body}{HIDDEN}")),
        ("a negative length", "content-length: -1\r\n".to_owned(), format!("{body}{HIDDEN}")),
        ("a length in hexadecimal", format!("content-length: 0x{length:x}\r\n"), format!("{body}{HIDDEN}")),
        ("a length beyond 64 bits", "content-length: 18446744073709551617\r\n".to_owned(), HIDDEN.to_owned()),
        (
            "a space before the colon",
            format!("transfer-encoding : chunked\r\n{own}"),
            format!("{body}{HIDDEN}"),
        ),
        (
            "another coding",
            "transfer-encoding: xchunked\r\n".to_owned(),
            format!("{}{end}{HIDDEN}", chunk(body)),
        ),
        (
            "chunked, and then not",
            "transfer-encoding: chunked, identity\r\n".to_owned(),
            format!("{}{end}{HIDDEN}", chunk(body)),
        ),
        ("a folded line", format!("transfer-encoding:\r\n chunked\r\n{own}"), format!("{body}{HIDDEN}")),
        ("a NUL in a value", format!("{own}x-nul: a\0b\r\n"), format!("{body}{HIDDEN}")),
        ("a negative chunk", chunked.to_owned(), format!("-5\r\n{body}\r\n{end}{HIDDEN}")),
        ("a chunk in 0x", chunked.to_owned(), format!("0x{}{end}{HIDDEN}", chunk(body))),
        (
            "a chunk beyond 64 bits",
            chunked.to_owned(),
            format!("10000000000000001\r\n{body}\r\n{end}{HIDDEN}"),
        ),
        ("a chunk that is longer", chunked.to_owned(), format!("{:x}\r\n{body}{end}{HIDDEN}", length - 2)),
    ]
}

/// Sends one of them.
async fn lie_on_http1(stack: &Stack, account: &Account, number: usize) -> Result<()> {
    let chat = edited();
    let (name, lines, behind) = lying_http1(&chat.body()).swap_remove(number);
    let answer = async {
        let mut raw = Raw::connect(stack.address()?).await?;
        raw.write(&http1(&chat, &account.key, &lines, &behind)).await?;
        raw.rest().await
    };
    let said = answer.await.context(name)?;
    let said = String::from_utf8_lossy(&said);
    // A body that turns out bad behind an admitted head may end the connection instead.
    let is_refusal = said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.1 501");
    ensure!(said.is_empty() || is_refusal, "{name}: {said}");
    ensure!(said.matches("HTTP/1.1").count() <= 1, "{name}: what was hidden is answered: {said}");
    got_nothing(stack, &chat).context(name)
}

async fn lies_on_http1(stack: &Stack, account: &Account) -> Result<()> {
    let all = 0..lying_http1(&edited().body()).len();
    // At once: Envoy lets a second pass before it closes a connection that it has refused.
    let lies = all.map(|number| Box::pin(lie_on_http1(stack, account, number)) as Part<'_, ()>);
    together(lies.collect()).await?;
    still_serves(stack, account).await
}

/// A body that ends before its announced length, and one behind which another request begins.
async fn short_and_long_on_http1(stack: &Stack, account: &Account) -> Result<()> {
    for lines in [
        |length: usize| format!("content-length: {}\r\n", length + 40),
        |_| "transfer-encoding: chunked\r\n".to_owned(),
    ] {
        let chat = edited();
        let body = chat.body();
        let lines = lines(body.len());
        let behind = if lines.starts_with("transfer") { chunk(&body) } else { body };
        let mut raw = Raw::connect(stack.address()?).await?;
        raw.write(&http1(&chat, &account.key, &lines, &behind)).await?;
        raw.reset()?;
        still_serves(stack, account).await?;
        got_nothing(stack, &chat).context("a short body")?;
    }
    // What stands behind the announced end is a request of its own: with a good key, with a bad one.
    let chats: Vec<Chat> = (0..4).map(|_| edited()).collect();
    let unknown = keys::with_bad_checksum(&account.key);
    let mut bytes = Vec::new();
    for (chat, key) in chats.iter().zip([&*account.key, &account.key, &unknown, &account.key]) {
        let body = chat.body();
        let is_chunked = chat.tag == chats[1].tag;
        let (lines, body) = if is_chunked {
            let (first, second) = body.split_at(body.len() / 2);
            (
                "transfer-encoding: chunked\r\n".to_owned(),
                format!("{}{}0\r\n\r\n", chunk(first), chunk(second)),
            )
        } else {
            (format!("content-length: {}\r\n", body.len()), body)
        };
        bytes.extend(http1(chat, key, &lines, &body));
    }
    let mut raw = Raw::connect(stack.address()?).await?;
    raw.write(&bytes).await?;
    for (chat, status) in chats.iter().zip([200, 200, 401]) {
        let answer = raw.answer().await?;
        ensure!(answer.status == status, "{status} expected: {}", answer.head);
        if status == 200 { got(stack, chat)? } else { got_nothing(stack, chat)? }
    }
    // A refusal before the body has come may end the connection: then what follows is no request.
    match raw.answer().await {
        Ok(answer) if answer.status == 200 => got(stack, &chats[3]),
        Ok(answer) => bail!("{}", answer.head),
        Err(_) => got_nothing(stack, &chats[3]),
    }
}

/// The body is sent when it is asked for, once.
async fn expect_on_http1(stack: &Stack, account: &Account) -> Result<()> {
    let chat = edited();
    let lines = format!("content-length: {}\r\nexpect: 100-continue\r\n", chat.body().len());
    let mut raw = Raw::connect(stack.address()?).await?;
    raw.write(&http1(&chat, &account.key, &lines, "")).await?;
    let answer = raw.answer().await?;
    ensure!(answer.status == 100, "{}", answer.head);
    raw.write(chat.body().as_bytes()).await?;
    let answer = raw.answer().await?;
    ensure!(answer.status == 200, "{}", answer.head);
    got(stack, &chat)
}

// === HTTP/2, by hand (RFC 9113, RFC 7541) ===

/// Types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// Flags of frames.
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A field without index and compression.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = Vec::new();
        match text.len().checked_sub(127) {
            None => bytes.extend(u8::try_from(text.len())),
            Some(mut rest) => {
                bytes.push(127);
                while rest >= 128 {
                    bytes.extend(u8::try_from(rest % 128 + 128));
                    rest /= 128;
                }
                bytes.extend(u8::try_from(rest));
            }
        }
        bytes.extend_from_slice(text.as_bytes());
        bytes
    };
    [vec![0], text(name), text(value)].concat()
}

/// Names and values.
type Fields<'a> = &'a [(&'a str, &'a str)];

/// How a stream ended.
#[derive(Debug, PartialEq)]
enum End {
    /// With an answer of status 200.
    Served,
    /// With another answer, a reset, or the end of the connection.
    Refused,
}

/// Sends the frames of stream 1 and waits for its end.
async fn http2(stack: &Stack, frames: &[Vec<u8>]) -> Result<End> {
    let mut raw = Raw::connect(stack.address()?).await?;
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])];
    raw.write(&[&preface, frames].concat().concat()).await?;
    let mut served = None;
    loop {
        // Whatever ends the connection ends the stream.
        let Ok(head) = raw.take(9).await else { return Ok(End::Refused) };
        let length = head.iter().take(3).fold(0, |length, byte| length << 8 | usize::from(*byte));
        let Ok(payload) = raw.take(length).await else { return Ok(End::Refused) };
        match (head[3], head[8]) {
            (SETTINGS, 0) if head[4] & ACK == 0 => raw.write(&frame(SETTINGS, ACK, 0, &[])).await?,
            (GOAWAY, _) | (RST_STREAM, 1) => return Ok(End::Refused),
            (HEADERS, 1) => {
                // 200 has a place of its own in the static table (8).
                let status = payload.first().copied();
                served.get_or_insert(status == Some(0x88));
            }
            _ => {}
        }
        if [DATA, HEADERS].contains(&head[3]) && head[8] == 1 && head[4] & END_STREAM != 0 {
            return Ok(if served == Some(true) { End::Served } else { End::Refused });
        }
    }
}

/// The fields of a request's head, with these further ones.
fn fields(chat: &Chat, key: &str, path: &str, more: Fields<'_>) -> Vec<u8> {
    let pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", path)];
    let own = headers(chat, key);
    let own = own.iter().map(|(name, value)| (&**name, &**value));
    pseudo
        .into_iter()
        .chain(own)
        .chain(more.iter().copied())
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

async fn lies_on_http2(stack: &Stack, account: &Account) -> Result<()> {
    let (shorter, longer) = ("5".to_owned(), (edited().body().len() + 40).to_string());
    let injected = format!("a\r\n\r\n{HIDDEN}");
    let chunked = ("transfer-encoding", "chunked");
    let cases: &[(&str, &str, Fields<'_>)] = &[
        ("a length below the body's", CHAT_PATH, &[("content-length", &shorter)]),
        ("a length above the body's", CHAT_PATH, &[("content-length", &longer)]),
        ("two lengths", CHAT_PATH, &[("content-length", &longer), ("content-length", &shorter)]),
        ("a length with a sign", CHAT_PATH, &[("content-length", "+5")]),
        ("chunks", CHAT_PATH, &[chunked]),
        ("a connection header", CHAT_PATH, &[("connection", "transfer-encoding")]),
        ("a line end in a value", CHAT_PATH, &[("x-more", &injected)]),
        ("a NUL in a value", CHAT_PATH, &[("x-more", "a\0b")]),
        ("a line end in a name", CHAT_PATH, &[("x-more\r\ntransfer-encoding", "chunked")]),
        ("a name in capitals", CHAT_PATH, &[("Content-Length", &shorter)]),
        ("a late pseudo-header", CHAT_PATH, &[(":path", "/public/hidden")]),
        ("a line end in the path", "/v1/chat/completions HTTP/1.1\r\nhost: x\r\n\r\nGET /public/hidden", &[]),
    ];
    let lies = cases.iter().map(|(name, path, more)| {
        Box::pin(async move {
            let chat = edited();
            let head = frame(HEADERS, END_HEADERS, 1, &fields(&chat, &account.key, path, more));
            let body = frame(DATA, END_STREAM, 1, chat.body().as_bytes());
            let end = http2(stack, &[head, body]).await.context(*name)?;
            ensure!(end == End::Refused, "{name} is served");
            got_nothing(stack, &chat).context(*name)
        }) as Part<'_, ()>
    });
    together(lies.collect()).await?;
    still_serves(stack, account).await
}

/// What is unusual and right: a head in many frames, a body in many, a true length, trailers that say lengths.
async fn odd_on_http2(stack: &Stack, account: &Account) -> Result<()> {
    for is_long in [false, true] {
        let chat = edited();
        let body = chat.body();
        let fields = fields(&chat, &account.key, CHAT_PATH, &[("content-length", &body.len().to_string())]);
        let mut frames: Vec<Vec<u8>> = fields
            .chunks(if is_long { 7 } else { 40 })
            .enumerate()
            .map(|(n, part)| frame(if n == 0 { HEADERS } else { CONTINUATION }, 0, 1, part))
            .collect();
        frames.push(frame(CONTINUATION, END_HEADERS, 1, &[]));
        frames.extend(body.as_bytes().chunks(11).map(|part| frame(DATA, 0, 1, part)));
        frames.push(if is_long {
            let trailers = [field("content-length", "5"), field("transfer-encoding", "chunked")].concat();
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers)
        } else {
            frame(DATA, END_STREAM, 1, &[])
        });
        let end = http2(stack, &frames).await?;
        // Envoy refuses trailers that have no place there. The announced body may have gone on by then: then as one
        // request, with its own bytes.
        if end == End::Served {
            got(stack, &chat)?
        } else {
            got_nothing(stack, &chat).or_else(|_| got(stack, &chat))?
        }
        ensure!(end == End::Served || is_long, "a head in many frames is refused");
    }
    Ok(())
}

#[tokio::test]
async fn framing_that_lies_reaches_nobody() -> Result<()> {
    for ground in Ground::MIXED {
        let stack = ground.setup("smuggling").start().await?;
        let account = funded(&stack, "50").await?;
        let all = async {
            lies_on_http1(&stack, &account).await.context("HTTP/1")?;
            short_and_long_on_http1(&stack, &account).await.context("HTTP/1, lengths")?;
            expect_on_http1(&stack, &account).await.context("HTTP/1, expect")?;
            lies_on_http2(&stack, &account).await.context("HTTP/2")?;
            odd_on_http2(&stack, &account).await.context("HTTP/2, odd")
        };
        all.await.with_context(|| format!("{ground:?}"))?;
        stack.finish().await.with_context(|| format!("{ground:?}"))?;
    }
    Ok(())
}
