//! Which token opens which door.

use crate::support::{ADMIN, EDGE, Server, bearer};

const ADMIN_PATHS: &[(&str, &str)] = &[
    ("GET", "/v1/accounts"),
    ("POST", "/v1/accounts"),
    ("GET", "/v1/accounts/a"),
    ("PATCH", "/v1/accounts/a"),
    ("POST", "/v1/accounts/a/plan"),
    ("GET", "/v1/accounts/a/keys"),
    ("POST", "/v1/accounts/a/keys"),
    ("DELETE", "/v1/accounts/a/keys/k"),
    ("POST", "/v1/accounts/a/grants"),
    ("GET", "/v1/accounts/a/balance"),
    ("GET", "/v1/accounts/a/entries"),
    ("GET", "/v1/accounts/a/usage"),
    ("GET", "/v1/plans"),
];
const EDGE_PATHS: &[(&str, &str)] = &[("POST", "/v1/edge/sync"), ("GET", "/v1/edge/catalog")];

#[test]
fn every_door_takes_its_own_token_only() {
    let server = Server::start();
    for (paths, own, other) in [(ADMIN_PATHS, ADMIN, EDGE), (EDGE_PATHS, EDGE, ADMIN)] {
        for (method, path) in paths {
            let body = (*method != "GET").then_some(b"{}".as_slice());
            let call = |headers: &[(&str, &str)]| server.call(method, path, headers, body);
            let none = call(&[]);
            none.problem(401, "unauthenticated");
            assert_eq!(none.header("www-authenticate"), Some("Bearer realm=\"bursar\""));
            call(&[("authorization", &bearer("a-token-nobody-knows"))]).problem(401, "unauthenticated");
            call(&[("authorization", own)]).problem(401, "unauthenticated");
            call(&[("authorization", &format!("Basic {own}"))]).problem(401, "unauthenticated");
            let twice = bearer(own);
            call(&[("authorization", &twice), ("authorization", &twice)]).problem(401, "unauthenticated");
            call(&[("authorization", &bearer(other))]).problem(403, "wrong_credential");
            let right = call(&[("authorization", &bearer(own))]);
            assert!(![401, 403].contains(&right.status), "{method} {path}: {right:?}");
        }
    }
}

#[test]
fn the_scheme_is_read_in_any_case() {
    let server = Server::start();
    assert_eq!(
        server.call("GET", "/v1/plans", &[("authorization", &format!("bearer {ADMIN}"))], None).status,
        200
    );
}

#[test]
fn operations_are_open() {
    let server = Server::start();
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(server.call("GET", path, &[], None).status, 200, "{path}");
    }
}
