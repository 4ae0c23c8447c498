//! Classification: from method and path to what the request is.

use crate::config::{Config, Dialect, Route, RouteAction, Unmatched};

/// What a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Passed without key, plan or charge.
    Exempt,
    /// Refused with 403.
    Deny,
    /// Charged a flat price: the catalog's name of it.
    Flat(String),
    /// Metered from the answer.
    Meter(Dialect),
}

impl Operation {
    /// The name in the journal, metrics and the access log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Exempt => "exempt",
            Self::Deny => "deny",
            Self::Flat(_) => "flat",
            Self::Meter(Dialect::OpenaiChat) => "chat",
            Self::Meter(Dialect::Items) => "items",
        }
    }
}

/// Classifies a request; `path` may carry a query.
#[must_use]
pub fn classify(config: &Config, method: &[u8], path: &[u8]) -> Operation {
    let bare = path.split(|b| *b == b'?').next().unwrap_or_default();
    let own = config.routes.iter().find(|route| route.matches(method, bare));
    if let Some(route) = own {
        return operation(&route.action);
    }
    match (method, bare) {
        (b"POST", b"/v1/chat/completions") => Operation::Meter(Dialect::OpenaiChat),
        (b"POST", b"/v1/images/generations") => Operation::Meter(Dialect::Items),
        (b"GET", b"/v1/models") => Operation::Exempt,
        (b"GET", model) if model.starts_with(b"/v1/models/") => Operation::Exempt,
        _ => match &config.unmatched {
            Unmatched::Deny => Operation::Deny,
            Unmatched::Exempt => Operation::Exempt,
            Unmatched::Flat(name) => Operation::Flat(name.clone()),
        },
    }
}

impl Route {
    fn matches(&self, method: &[u8], path: &[u8]) -> bool {
        let method_fits = self.methods.is_empty() || self.methods.iter().any(|m| m.as_bytes() == method);
        let exact = self.path.as_ref().is_none_or(|own| own.as_bytes() == path);
        let begins = self.prefix.as_ref().is_none_or(|own| path.starts_with(own.as_bytes()));
        method_fits && exact && begins
    }
}

fn operation(action: &RouteAction) -> Operation {
    match action {
        RouteAction::Exempt => Operation::Exempt,
        RouteAction::Deny => Operation::Deny,
        RouteAction::Flat(name) => Operation::Flat(name.clone()),
        RouteAction::Meter(dialect) => Operation::Meter(*dialect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(extra: &str) -> Config {
        let json = format!(r#"{{"ledger":{{"cluster":"l"}},"headers":"hold"{extra}}}"#);
        Config::parse(json.as_bytes()).expect("valid")
    }

    #[test]
    fn built_in_routes_and_unmatched() {
        let deny = config("");
        let flat = config(r#","unmatched":{"flat":"other"}"#);
        for (method, path, expected) in [
            ("POST", "/v1/chat/completions", Operation::Meter(Dialect::OpenaiChat)),
            ("POST", "/v1/chat/completions?x=1", Operation::Meter(Dialect::OpenaiChat)),
            ("POST", "/v1/images/generations", Operation::Meter(Dialect::Items)),
            ("GET", "/v1/models", Operation::Exempt),
            ("GET", "/v1/models/gpt-5", Operation::Exempt),
            ("DELETE", "/v1/models/gpt-5", Operation::Deny),
            ("GET", "/v1/chat/completions", Operation::Deny),
            ("POST", "/v1/chat/completions/", Operation::Deny),
        ] {
            assert_eq!(classify(&deny, method.as_bytes(), path.as_bytes()), expected, "{method} {path}");
        }
        assert_eq!(classify(&flat, b"GET", b"/x"), Operation::Flat("other".to_owned()));
    }

    #[test]
    fn own_routes_come_first() {
        let config = config(
            r#","routes":[{"path":"/v1/models","action":"deny"},{"prefix":"/p/","methods":["GET"],"action":{"flat":"search"}}]"#,
        );
        assert_eq!(classify(&config, b"GET", b"/v1/models"), Operation::Deny);
        assert_eq!(classify(&config, b"GET", b"/p/x?y"), Operation::Flat("search".to_owned()));
        assert_eq!(classify(&config, b"POST", b"/p/x"), Operation::Deny);
    }
}
