//! Bytes on a TCP connection: for requests that no HTTP library would send.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one read may take.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A TCP connection.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An HTTP/1 answer taken apart as far as tests need it.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The head, as text.
    pub head: String,
    /// The body; chunked coding removed.
    pub body: Vec<u8>,
}

impl Raw {
    /// Connects.
    ///
    /// # Errors
    /// Nothing listens there.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(())
    }

    /// Reads one HTTP/1 answer; what follows it stays for the next call.
    ///
    /// # Errors
    /// The connection ends before, or nothing comes.
    pub async fn answer(&mut self) -> Result<RawAnswer> {
        let head_end = loop {
            match find(&self.read, b"\r\n\r\n") {
                Some(at) => break at.saturating_add(4),
                None => self.more().await.context("no whole head")?,
            }
        };
        let head = String::from_utf8_lossy(self.read.get(..head_end).unwrap_or_default()).into_owned();
        self.read.drain(..head_end);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no status line: {head}"))?;
        let body = self.body(&head, status).await?;
        Ok(RawAnswer { status, head, body })
    }

    /// Reads until the other side closes the connection.
    ///
    /// # Errors
    /// It stays open and silent.
    pub async fn rest(mut self) -> Result<Vec<u8>> {
        while self.read.len() < ANSWER_BYTES_MAX {
            let mut buffer = vec![0; 16 << 10];
            match timeout(READ_WITHIN, self.stream.read(&mut buffer)).await.context("the connection hangs")? {
                Ok(0) | Err(_) => break,
                Ok(n) => self.read.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            }
        }
        Ok(self.read)
    }

    /// Reads until `needle` has come.
    ///
    /// # Errors
    /// The connection ends before, or nothing comes.
    pub async fn read_until(&mut self, needle: &[u8]) -> Result<()> {
        while find(&self.read, needle).is_none() {
            self.more().await?;
        }
        Ok(())
    }

    /// Reads so many bytes.
    ///
    /// # Errors
    /// The connection ends before, or nothing comes.
    pub async fn take(&mut self, bytes: usize) -> Result<Vec<u8>> {
        while self.read.len() < bytes {
            self.more().await?;
        }
        Ok(self.read.drain(..bytes).collect())
    }

    /// Closes with a reset instead of an orderly end.
    ///
    /// # Errors
    /// The socket refuses the option.
    pub fn reset(self) -> Result<()> {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
        Ok(())
    }

    async fn body(&mut self, head: &str, status: u16) -> Result<Vec<u8>> {
        let head = head.to_ascii_lowercase();
        let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if status < 200 || status == 204 || status == 304 {
            return Ok(Vec::new());
        }
        if let Some(length) = value("content-length:") {
            let length: usize = length.parse()?;
            while self.read.len() < length {
                self.more().await.context("the body is short")?;
            }
            return Ok(self.read.drain(..length).collect());
        }
        if value("transfer-encoding:") == Some("chunked") {
            return self.chunked().await;
        }
        bail!("no body length: {head}")
    }

    async fn chunked(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                match find(&self.read, b"\r\n") {
                    Some(at) => break at,
                    None => self.more().await?,
                }
            };
            let line = String::from_utf8_lossy(self.read.get(..line_end).unwrap_or_default()).into_owned();
            let size =
                usize::from_str_radix(line.trim(), 16).with_context(|| format!("no chunk size: {line}"))?;
            let whole = line_end.saturating_add(size).saturating_add(4);
            while self.read.len() < whole {
                self.more().await?;
            }
            let chunk: Vec<u8> = self.read.drain(..whole).collect();
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(
                chunk.get(line_end.saturating_add(2)..whole.saturating_sub(2)).unwrap_or_default(),
            );
        }
    }

    async fn more(&mut self) -> Result<()> {
        let mut buffer = vec![0; 16 << 10];
        let n =
            timeout(READ_WITHIN, self.stream.read(&mut buffer)).await.context("the connection hangs")??;
        if n == 0 || self.read.len() > ANSWER_BYTES_MAX {
            bail!("the connection ended after {:?}", String::from_utf8_lossy(&self.read));
        }
        self.read.extend_from_slice(buffer.get(..n).unwrap_or_default());
        Ok(())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len().max(1)).position(|window| window == needle)
}
