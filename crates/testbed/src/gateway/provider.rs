//! Somebody else's server behind Envoy: where it is, how it is known to be it, what it wants to be told.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail, ensure};
use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

/// Where systems keep the authorities that they trust: Debian and most, Fedora, Alpine and BSD.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Somebody else's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether TLS is spoken with it.
    pub tls: bool,
    /// The authorities that may have signed its certificate; none = the system's.
    pub authorities: Option<PathBuf>,
    /// Headers that replace those of requests: its own credential.
    pub headers: Vec<Header>,
}

/// A header of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

// === impl Provider ===

impl FromStr for Provider {
    type Err = Error;

    /// `HOST:PORT`, `http://HOST[:PORT]` or `https://HOST[:PORT]`.
    fn from_str(text: &str) -> Result<Self> {
        let uri: Uri = text.parse().context("it is no address such as https://api.example.com")?;
        let (tls, usual) = match uri.scheme_str() {
            None => (false, None),
            Some("http") => (false, Some(80)),
            Some("https") => (true, Some(443)),
            Some(other) => bail!("{other} is not spoken: http or https"),
        };
        ensure!(
            matches!(uri.path(), "" | "/") && uri.query().is_none(),
            "paths are not prefixed: name the host alone, clients send the rest"
        );
        let host = uri.host().filter(|host| !host.is_empty()).context("it names no host")?;
        let port = uri.port_u16().or(usual).context("it names no port")?;
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { host, port, tls, authorities: None, headers: Vec::new() })
    }
}

impl Provider {
    /// The cluster.
    pub(super) fn cluster(&self, name: &str) -> Result<Value> {
        let address = json!({"socket_address": {"address": self.host, "port_value": self.port}});
        let http1 = json!({"enable_trailers": true});
        let mut protocols = if self.tls {
            // As ALPN decides.
            json!({"auto_config": {"http_protocol_options": http1, "http2_protocol_options": {}}})
        } else {
            json!({"explicit_http_config": {"http_protocol_options": http1}})
        };
        protocols["@type"] =
            json!("type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
        let mut cluster = json!({
            "name": name,
            "type": if self.is_address() { "STATIC" } else { "LOGICAL_DNS" },
            "dns_lookup_family": "V4_PREFERRED",
            "connect_timeout": "10s",
            "load_assignment": {"cluster_name": name, "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address}}]},
            ]},
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocols,
            },
        });
        if self.tls {
            cluster["transport_socket"] = self.transport()?;
        }
        Ok(cluster)
    }

    /// TLS in which the server must prove that it is the one that was named.
    fn transport(&self) -> Result<Value> {
        let authorities = match &self.authorities {
            Some(file) => file.as_path(),
            None => AUTHORITIES.iter().map(Path::new).find(|file| file.exists()).context(
                "the system's certificate authorities are in none of the usual places: name their file",
            )?,
        };
        ensure!(authorities.exists(), "{} does not exist", authorities.display());
        let kind = if self.is_address() { "IP_ADDRESS" } else { "DNS" };
        let mut context = json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {"validation_context": {
                "trusted_ca": {"filename": authorities},
                "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": self.host}}],
            }},
        });
        if !self.is_address() {
            context["sni"] = json!(self.host);
        }
        Ok(json!({"name": "envoy.transport_sockets.tls", "typed_config": context}))
    }

    /// The route of all requests.
    pub(super) fn route(&self, cluster: &str) -> Value {
        let usual = if self.tls { 443 } else { 80 };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let host = if self.port == usual { host } else { format!("{host}:{}", self.port) };
        let added: Vec<Value> = self.headers.iter().map(Header::added).collect();
        json!({
            "match": {"prefix": "/"},
            "route": {"cluster": cluster, "timeout": "0s", "host_rewrite_literal": host},
            "request_headers_to_add": added,
        })
    }

    fn is_address(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_ok()
    }
}

// === impl Header ===

impl FromStr for Header {
    type Err = Error;

    /// `NAME: VALUE`; `$VARIABLE` in the value is taken from the environment.
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text, |name| std::env::var(name).ok())
    }
}

impl Header {
    fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let (name, value) = text.split_once(':').context("a header is written NAME: VALUE")?;
        let (name, mut rest) = (name.trim().to_ascii_lowercase(), value.trim());
        let mut value = String::new();
        while let Some((before, after)) = rest.split_once('$') {
            let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
            let (variable_name, behind) = after.split_at(end);
            ensure!(!variable_name.is_empty(), "a variable's name must follow $");
            let found = variable(variable_name).with_context(|| format!("${variable_name} is not set"))?;
            value.push_str(before);
            value.push_str(&found);
            rest = behind;
        }
        value.push_str(rest);
        ensure!(HeaderName::try_from(&name).is_ok(), "{name:?} is no header's name");
        ensure!(HeaderValue::try_from(&value).is_ok(), "the value of {name} is no header's value");
        Ok(Self { name, value })
    }

    fn added(&self) -> Value {
        json!({
            // Envoy would take a percent sign for the begin of a format.
            "header": {"key": self.name, "value": self.value.replace('%', "%%")},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_with_or_without_tls() {
        for (text, host, port, tls) in [
            ("localhost:11434", "localhost", 11_434, false),
            ("10.0.0.1:80", "10.0.0.1", 80, false),
            ("http://vllm", "vllm", 80, false),
            ("https://api.example.com", "api.example.com", 443, true),
            ("https://api.example.com/", "api.example.com", 443, true),
            ("https://[::1]:8443", "::1", 8_443, true),
        ] {
            let found: Provider = text.parse().unwrap_or_else(|error| panic!("{text}: {error:#}"));
            assert_eq!((&*found.host, found.port, found.tls), (host, port, tls), "{text}");
        }
        for text in ["", "localhost", "ftp://a:1", "https://", "https://a/openai", "https://a?b", "a b"] {
            assert!(text.parse::<Provider>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_host_that_it_is_told_has_a_port_where_that_is_not_the_usual_one() {
        for (text, told) in [
            ("https://a", "a"),
            ("https://a:8443", "a:8443"),
            ("http://a", "a"),
            ("http://[::1]:1", "[::1]:1"),
        ] {
            let route = text.parse::<Provider>().unwrap().route("c");
            assert_eq!(route.pointer("/route/host_rewrite_literal"), Some(&json!(told)));
        }
    }

    #[test]
    fn a_header_takes_variables_and_no_second_line() {
        let variable = |name: &str| (name == "KEY").then(|| "s%cret".to_owned());
        let header = Header::parse("Authorization: Bearer $KEY, $KEY.", variable).unwrap();
        assert_eq!((&*header.name, &*header.value), ("authorization", "Bearer s%cret, s%cret."));
        assert_eq!(header.added()["header"]["value"], json!("Bearer s%%cret, s%%cret."));
        for text in ["authorization", "a b: c", "a: $", "a: $NONE", "a: b\r\nc: d"] {
            assert!(Header::parse(text, variable).is_err(), "{text}");
        }
    }
}
