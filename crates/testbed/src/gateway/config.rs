//! Envoy's configuration for one run, as JSON. `envoy/envoy.yaml` is the same for people to copy.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::provider::Provider;
use crate::tls::{ALPN, Tls};

/// Above every body cap in use, so that the filter's own 413 comes first.
const BUFFER_BYTES_MAX: u64 = 4 << 20;
/// The last net for a stream that nobody ends.
const IDLE_NET: &str = "60s";

/// The cluster without endpoints.
const NOBODY: &str = "nobody";
/// The cluster whose endpoint refuses connections.
const CLOSED: &str = "closed";
/// Reserved (RFC 6335: port 1, TCPMUX); nobody listens there.
const CLOSED_PORT: u16 = 1;

/// Whether the filter holds request headers until the body has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Headers {
    /// Headers wait: nothing reaches the upstream before admission.
    #[default]
    Hold,
    /// Headers go on at once; the body waits.
    Stream,
}

impl Headers {
    /// The name in the plugin's configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Stream => "stream",
        }
    }
}

/// What stands in a listener's filter chain before the router.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Nothing.
    None,
    /// A module without configuration.
    Plain {
        /// The module.
        wasm: PathBuf,
    },
    /// The filter.
    Bursar {
        /// The module.
        wasm: PathBuf,
        /// Its mode.
        headers: Headers,
        /// Its configuration.
        plugin: Value,
    },
}

impl Filter {
    /// The filter as another module, with shared data of its own.
    pub(crate) fn with_module(mut self, module: &Path, prefix: &str) -> Self {
        if let Self::Bursar { wasm, plugin, .. } = &mut self {
            *wasm = module.to_path_buf();
            plugin["prefix"] = prefix.into();
        }
        self
    }
}

/// One listener.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Its port; 0 = a free one.
    pub port: u16,
    /// What it shows, where it speaks TLS.
    pub tls: Option<Tls>,
    /// Its filter.
    pub filter: Filter,
    /// Where requests go.
    pub upstream: SocketAddr,
    /// Somebody else's server that they go to instead.
    pub provider: Option<Provider>,
    /// Whether HTTP/2 is spoken to the upstream.
    pub upstream_http2: bool,
    /// Routes before the one that leads there.
    pub routes: Vec<Route>,
}

/// A route for the requests that name it in [`ROUTE_HEADER`].
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub name: &'static str,
    /// Where it leads.
    pub to: To,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug)]
pub enum To {
    /// Nowhere: Envoy answers itself, with this status.
    Direct(u16),
    /// Nowhere: Envoy redirects.
    Redirect,
    /// A cluster without endpoints.
    Nobody,
    /// A port at which nobody listens.
    Closed,
    /// The upstream.
    Upstream {
        /// The route's time limit, in milliseconds; 0 = none.
        timeout_ms: u64,
        /// How long the stream may be idle, in milliseconds; 0 = the listener's.
        idle_ms: u64,
        /// How often a failed or broken try is repeated.
        retries: u32,
    },
}

/// The request header that chooses a [`Route`].
pub const ROUTE_HEADER: &str = "x-route";

/// One Envoy.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its listeners.
    pub listeners: Vec<Listener>,
    /// The ledger.
    pub ledger: SocketAddr,
    /// The admin port; 0 = a free one.
    pub admin_port: u16,
    /// The access log's file; none = no access log.
    pub access_log: Option<PathBuf>,
    /// How what can change reaches it.
    pub delivery: Delivery,
}

/// How a part of the configuration reaches Envoy: with the rest, or from a file that it watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// With the rest; nothing can be changed.
    #[default]
    Static,
    /// The listeners, from this file (LDS).
    Listeners(PathBuf),
    /// The filter, from this file (ECDS).
    Filter(PathBuf),
}

impl Config {
    /// The whole configuration.
    ///
    /// # Errors
    /// A provider's TLS cannot be had.
    pub fn to_json(&self) -> Result<Value> {
        let listeners: Vec<Value> = self.listeners.iter().map(|listener| self.listener(listener)).collect();
        let upstream = |listener: &Listener| match (&listener.provider, upstream_name(&listener.name)) {
            (Some(provider), name) => provider.cluster(&name),
            (None, name) => Ok(cluster(&name, listener.upstream, listener.upstream_http2)),
        };
        let mut clusters = self.listeners.iter().map(upstream).collect::<Result<Vec<Value>>>()?;
        clusters.push(cluster("ledger", self.ledger, false));
        clusters.push(cluster(CLOSED, SocketAddr::from(([127, 0, 0, 1], CLOSED_PORT)), false));
        clusters.push(json!({"name": NOBODY, "type": "STATIC", "load_assignment": {"cluster_name": NOBODY}}));
        let resources = match &self.delivery {
            Delivery::Listeners(_) => json!({"clusters": clusters}),
            Delivery::Static | Delivery::Filter(_) => json!({"listeners": listeners, "clusters": clusters}),
        };
        Ok(json!({
            "node": {"id": "envoy", "cluster": "testbed"},
            "dynamic_resources": match &self.delivery {
                Delivery::Listeners(file) => json!({"lds_config": watched(file)}),
                Delivery::Static | Delivery::Filter(_) => json!({}),
            },
            "admin": {"address": address("127.0.0.1", self.admin_port)},
            "stats_config": {
                "stats_tags": stats_tags(),
                "stats_matcher": {"reject_all": false},
            },
            "static_resources": resources,
        }))
    }

    /// The file that Envoy watches, and what stands in it; nothing where it watches none.
    #[must_use]
    pub fn watched(&self, version: u64) -> Option<(&Path, Value)> {
        let typed = |kind: &str, mut resource: Value| {
            if let Some(resource) = resource.as_object_mut() {
                resource.insert("@type".to_owned(), json!(format!("type.googleapis.com/{kind}")));
            }
            resource
        };
        let (file, resources) = match &self.delivery {
            Delivery::Static => return None,
            Delivery::Listeners(file) => {
                let listener =
                    |own: &Listener| typed("envoy.config.listener.v3.Listener", self.listener(own));
                (file, self.listeners.iter().map(listener).collect::<Vec<_>>())
            }
            Delivery::Filter(file) => {
                let filters = self.listeners.iter().filter_map(|own| http_filter(&own.filter)).take(1);
                let filter = |filter| typed("envoy.config.core.v3.TypedExtensionConfig", filter);
                (file, filters.map(filter).collect())
            }
        };
        Some((file, json!({"version_info": version.to_string(), "resources": resources})))
    }

    fn listener(&self, listener: &Listener) -> Value {
        let mut filters: Vec<Value> = match (&self.delivery, http_filter(&listener.filter)) {
            (_, None) => Vec::new(),
            (Delivery::Static | Delivery::Listeners(_), Some(filter)) => vec![filter],
            (Delivery::Filter(file), Some(filter)) => vec![json!({
                "name": filter.get("name"),
                "config_discovery": {
                    "config_source": watched(file),
                    "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
                },
            })],
        };
        filters.push(json!({
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }));
        let upstream = upstream_name(&listener.name);
        let mut routes: Vec<Value> = listener.routes.iter().map(|own| route(own, &upstream)).collect();
        routes.extend(manage(&listener.filter));
        routes.push(match &listener.provider {
            Some(provider) => provider.route(&upstream),
            None => json!({"match": {"prefix": "/"}, "route": {"cluster": upstream, "timeout": "0s"}}),
        });
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": listener.name,
            "codec_type": "AUTO",
            "use_remote_address": true,
            "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
            "http_protocol_options": {"enable_trailers": true},
            "request_timeout": IDLE_NET,
            "stream_idle_timeout": IDLE_NET,
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "access_log": self.access_log.iter().map(|file| access_log(file)).collect::<Vec<_>>(),
            "route_config": {"virtual_hosts": [{
                "name": "all",
                "domains": ["*"],
                "routes": routes,
            }]},
            "http_filters": filters,
        });
        let mut chain = json!({"filters": [{"name": "http", "typed_config": manager}]});
        if let Some(tls) = &listener.tls {
            chain["transport_socket"] = downstream_tls(tls);
        }
        json!({
            "name": listener.name,
            "address": address("127.0.0.1", listener.port),
            "per_connection_buffer_limit_bytes": BUFFER_BYTES_MAX,
            "filter_chains": [chain],
        })
    }
}

fn downstream_tls(tls: &Tls) -> Value {
    let file = |file: &Path| json!({"filename": file});
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ALPN,
                "tls_certificates": [
                    {"certificate_chain": file(&tls.certificate), "private_key": file(&tls.key)},
                ],
            },
        },
    })
}

fn http_filter(filter: &Filter) -> Option<Value> {
    let (name, wasm, vm_id, hold, configuration) = match filter {
        Filter::None => return None,
        Filter::Plain { wasm } => ("plain", wasm, "plain", false, None),
        Filter::Bursar { wasm, headers, plugin } => {
            ("bursar", wasm, "bursar", *headers == Headers::Hold, Some(plugin))
        }
    };
    let mut config = json!({
        "name": name,
        "root_id": name,
        "failure_policy": "FAIL_RELOAD",
        "allow_on_headers_stop_iteration": hold,
        "vm_config": {
            "vm_id": vm_id,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": wasm}},
        },
    });
    if let (Some(plugin), Some(config)) = (configuration, config.as_object_mut()) {
        // As text: a google.protobuf.Struct would reach the plugin as protobuf bytes, not as JSON.
        let value =
            json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": plugin.to_string()});
        config.insert("configuration".to_owned(), value);
    }
    Some(json!({
        "name": name,
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": config},
    }))
}

fn cluster(name: &str, endpoint: SocketAddr, http2: bool) -> Value {
    let protocol = if http2 {
        json!({"http2_protocol_options": {}})
    } else {
        json!({"http_protocol_options": {"enable_trailers": true}})
    };
    json!({
        "name": name,
        "type": "STATIC",
        // Envoy counts this time even while it is not let run: on a busy machine a short one fails requests that
        // nothing is wrong with.
        "connect_timeout": "10s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": address(&endpoint.ip().to_string(), endpoint.port())}},
        ]}]},
        // The 200 streams of a test at once, and then some.
        "circuit_breakers": {"thresholds": [
            {"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096, "max_retries": 4096},
        ]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": protocol,
        }},
    })
}

/// Customers' own calls, to the ledger and past the filter: the key is for the ledger to see.
fn manage(filter: &Filter) -> Option<Value> {
    let off = json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true});
    matches!(filter, Filter::Bursar { .. }).then(|| {
        json!({
            "match": {"prefix": "/manage/v1/"},
            "route": {"cluster": "ledger", "timeout": "5s"},
            "typed_per_filter_config": {"bursar": off},
        })
    })
}

fn route(route: &Route, upstream: &str) -> Value {
    let chosen = json!({
        "prefix": "/",
        "headers": [{"name": ROUTE_HEADER, "string_match": {"exact": route.name}}],
    });
    let to = |cluster: &str| json!({"match": chosen, "route": {"cluster": cluster, "timeout": "0s"}});
    match route.to {
        To::Direct(status) => {
            let body = json!({"inline_string": "Envoy's own words."});
            json!({"match": chosen, "direct_response": {"status": status, "body": body}})
        }
        To::Redirect => json!({"match": chosen, "redirect": {"path_redirect": "/elsewhere"}}),
        To::Nobody => to(NOBODY),
        To::Closed => to(CLOSED),
        To::Upstream { timeout_ms, idle_ms, retries } => {
            let mut action = json!({"cluster": upstream, "timeout": seconds(timeout_ms)});
            if let Some(action) = action.as_object_mut().filter(|_| idle_ms > 0) {
                action.insert("idle_timeout".to_owned(), seconds(idle_ms));
            }
            if let Some(action) = action.as_object_mut().filter(|_| retries > 0) {
                let policy = json!({"retry_on": "5xx,reset,connect-failure", "num_retries": retries});
                action.insert("retry_policy".to_owned(), policy);
            }
            json!({"match": chosen, "route": action})
        }
    }
}

/// A duration as the configuration writes it.
fn seconds(ms: u64) -> Value {
    json!(format!("{}.{:03}s", ms / 1_000, ms % 1_000))
}

fn watched(file: &Path) -> Value {
    json!({"path_config_source": {"path": file}, "resource_api_version": "V3"})
}

fn upstream_name(listener: &str) -> String {
    format!("upstream-{listener}")
}

fn address(host: &str, port: u16) -> Value {
    json!({"socket_address": {"address": host, "port_value": port}})
}

/// Labels of the filter's metrics: part of their names until these expressions take them out.
fn stats_tags() -> Value {
    json!([
        {"tag_name": "plan", "regex": r"^wasmcustom\.bursar\.requests(\.plan\.([^.]+))\."},
        {"tag_name": "outcome", "regex": r"^wasmcustom\.bursar\.requests\..*(\.outcome\.([^.]+))$"},
        {"tag_name": "result", "regex": r"^wasmcustom\.bursar\.ledger_calls(\.result\.([^.]+))$"},
    ])
}

fn access_log(file: &Path) -> Value {
    json!({
        "name": "file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": file,
            "log_format": {"json_format": {
                "start": "%START_TIME%",
                "method": "%REQ(:METHOD)%",
                "path": "%REQ(:PATH)%",
                "protocol": "%PROTOCOL%",
                "tag": "%REQ(X-TAG)%",
                "status": "%RESPONSE_CODE%",
                "details": "%RESPONSE_CODE_DETAILS%",
                "flags": "%RESPONSE_FLAGS%",
                "received": "%BYTES_RECEIVED%",
                "sent": "%BYTES_SENT%",
                "duration": "%DURATION%",
                "upstream": "%UPSTREAM_HOST%",
                "authorization": "%REQ(AUTHORIZATION)%",
                "bursar": "%FILTER_STATE(wasm.bursar:PLAIN)%",
            }},
        },
    })
}
