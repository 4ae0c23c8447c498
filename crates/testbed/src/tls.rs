//! TLS of a run: an authority made for it alone, the certificate that its servers show, and clients that trust it.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{Certificate, KeyUsagePurpose};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The names and addresses of this machine, as clients call it.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// HTTP/2 and HTTP/1.1 as ALPN names them (RFC 9113, RFC 7301).
pub(crate) const ALPN: [&str; 2] = ["h2", "http/1.1"];

/// The files of a run's TLS, all PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The authority's certificate, for clients to trust.
    pub authority: PathBuf,
    /// The servers' certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The authority that a client trusts. It stays in memory for as long as the process, so that clients can be copied.
#[derive(Clone, Copy)]
pub struct Trust(&'static Arc<RootCertStore>);

/// A server with TLS before one without; ends when dropped.
#[derive(Debug)]
pub struct Front {
    /// Where it answers.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

/// A connection as HTTP needs it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

// === impl Tls ===

impl Tls {
    /// As [`Tls::make_for`], for this machine's own names.
    ///
    /// # Errors
    /// As there.
    pub fn make(folder: &Path) -> Result<Self> {
        Self::make_for(folder, &NAMES)
    }

    /// Makes an authority and a certificate for these names, and writes them into a folder. The authority's key is
    /// forgotten.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn make_for(folder: &Path, names: &[&str]) -> Result<Self> {
        let authority = authority()?;
        let key = KeyPair::generate()?;
        let mut server = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        server.distinguished_name.push(DnType::CommonName, "bursar testbed");
        server.use_authority_key_identifier_extension = true;
        server.key_usages.push(KeyUsagePurpose::DigitalSignature);
        server.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        let certificate = server.signed_by(&key, &authority.1)?;
        let write = |name: &str, text: String| {
            let file = folder.join(name);
            std::fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))?;
            Ok::<_, anyhow::Error>(file)
        };
        Ok(Self {
            authority: write("authority.pem", authority.0.pem())?,
            certificate: write("server.pem", certificate.pem())?,
            key: write("server.key", key.serialize_pem())?,
        })
    }

    /// What its clients trust: to be called once a run.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn trust(&self) -> Result<Trust> {
        let mut store = RootCertStore::empty();
        store.add(CertificateDer::from_pem_file(&self.authority)?)?;
        Ok(Trust(Box::leak(Box::new(Arc::new(store)))))
    }

    /// Takes TLS connections with its certificate.
    ///
    /// # Errors
    /// The files cannot be read.
    fn acceptor(&self) -> Result<TlsAcceptor> {
        let certificate = vec![CertificateDer::from_pem_file(&self.certificate)?];
        let key = PrivateKeyDer::from_pem_file(&self.key)?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
        let mut config = config.with_single_cert(certificate, key)?;
        config.alpn_protocols = ALPN.map(|name| name.as_bytes().to_vec()).to_vec();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn authority() -> Result<(Certificate, Issuer<'static, KeyPair>)> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "bursar testbed authority");
    params.key_usages.extend([KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign]);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?, Issuer::new(params, key)))
}

// === impl Front ===

impl Front {
    /// Starts on a free port of the loopback interface.
    ///
    /// # Errors
    /// No port can be bound, or the files cannot be read.
    pub async fn start(tls: &Tls, behind: SocketAddr) -> Result<Self> {
        let acceptor = tls.acceptor()?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("failed to bind the TLS server")?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    let mut behind = TcpStream::connect(behind).await?;
                    tokio::io::copy_bidirectional(&mut stream, &mut behind).await
                });
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Trust ===

impl Trust {
    /// Speaks TLS on a connection; the server must be one that is trusted, and agree to the protocol.
    ///
    /// # Errors
    /// It is not, or does not.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        http2: bool,
    ) -> Result<impl Stream + use<>> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions()?;
        let mut config = config.with_root_certificates(Arc::clone(self.0)).with_no_client_auth();
        let wanted = ALPN[usize::from(!http2)].as_bytes();
        config.alpn_protocols = vec![wanted.to_vec()];
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let stream = stream.with_context(|| format!("no TLS with {address}"))?;
        let agreed = stream.get_ref().1.alpn_protocol();
        ensure!(agreed == Some(wanted), "another protocol than {wanted:?} was agreed on: {agreed:?}");
        Ok(stream)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}
