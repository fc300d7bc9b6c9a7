//! What web pages may ask, by the headers that their browsers send.
//!
//! A page may send a request to any address without asking first; only the answer is kept from it. A
//! page can also have its own name point to an address that it could not reach otherwise ("DNS
//! rebinding"). So both its origin and the name under which it found this node are looked at before
//! anything is done. Programs that are no browsers send no `Origin`. Headers: RFC 6454, RFC 9110.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Server;

/// Origins of web pages that a browser lets call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// None but this node's own.
    None,
    /// These, too.
    Origins(Vec<HeaderValue>),
    /// Any.
    Any,
}

/// Names under which this node is called (the `Host` header).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// IP addresses, `localhost` and these, in lower case: no page can have those point here.
    Names(Vec<String>),
    /// Any.
    Any,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Foreign {
    Origin,
    Host,
}

/// Refuses what pages may not ask.
pub(super) async fn guard(
    State(server): State<Arc<Server>>,
    request: Request,
    next: Next,
) -> Response {
    match judge(&server.cors, &server.hosts, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(foreign) => foreign.into_response(),
    }
}

impl IntoResponse for Foreign {
    fn into_response(self) -> Response {
        let text = match self {
            Self::Origin => "this origin is not in rpc.cors_origins",
            Self::Host => "the name of this host is not in rpc.host_allowlist",
        };
        (StatusCode::FORBIDDEN, text).into_response()
    }
}

fn judge(cors: &Cors, hosts: &Hosts, headers: &HeaderMap) -> Result<(), Foreign> {
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let known = match (hosts, host) {
        (Hosts::Any, _) | (Hosts::Names(_), None) => true,
        (Hosts::Names(names), Some(host)) => is_known(host, names),
    };
    if !known {
        return Err(Foreign::Host);
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let may_call = match cors {
        Cors::Any => true,
        Cors::Origins(origins) => origins.contains(origin),
        Cors::None => false,
    };
    // Where the page itself is from, as behind a proxy that serves both.
    let is_own = host.is_some_and(|host| {
        let schemes: [&[u8]; 2] = [b"http://", b"https://"];
        schemes.iter().any(|it| origin.as_bytes().strip_prefix(*it) == Some(host))
    });
    if may_call || is_own { Ok(()) } else { Err(Foreign::Origin) }
}

fn is_known(host: &[u8], names: &[String]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let name = authority.host().to_ascii_lowercase();
    let address = name.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(&name);
    address.parse::<IpAddr>().is_ok()
        || name == "localhost"
        || name.ends_with(".localhost")
        || names.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cors: &Cors, host: &'static str, origin: Option<&'static str>, want: Option<Foreign>) {
        let headers = [(header::HOST, Some(host)), (header::ORIGIN, origin)];
        let headers = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::from_static(value?))));
        let hosts = Hosts::Names(vec!["node.example".to_owned()]);
        let judged = judge(cors, &hosts, &headers.collect()).err();
        assert_eq!(judged, want, "{cors:?} {host} {origin:?}");
    }

    #[test]
    fn pages_call_only_from_origins_that_may() {
        let listed = Cors::Origins(vec![HeaderValue::from_static("https://a.example")]);
        let (here, no) = ("127.0.0.1:8545", Some(Foreign::Origin));
        for cors in [&Cors::None, &Cors::Any, &listed] {
            check(cors, here, None, None);
            // A page of this very address.
            check(cors, "node.example", Some("https://node.example"), None);
        }
        check(&Cors::Any, here, Some("https://b.example"), None);
        check(&Cors::None, here, Some("https://a.example"), no);
        check(&listed, here, Some("https://a.example"), None);
        check(&listed, here, Some("https://b.example"), no);
        check(&listed, here, Some("null"), no);
        check(&Cors::None, here, Some("http://127.0.0.1:3000"), no);
    }

    #[test]
    fn names_that_a_page_can_have_point_here_are_not_known() {
        let known = ["127.0.0.1:8545", "localhost", "[::1]:8545", "10.1.2.3", "LOCALHOST:1"];
        for host in known.into_iter().chain(["a.localhost:8545", "node.example:80", "Node.Example"])
        {
            check(&Cors::None, host, None, None);
        }
        for host in ["evil.example", "evil.example:8545", "localhost.evil.example", "a b", ""] {
            check(&Cors::None, host, None, Some(Foreign::Host));
            check(&Cors::Any, host, Some("http://evil.example"), Some(Foreign::Host));
        }
        // Its own origin does not help.
        let origin = Some("http://evil.example:8545");
        check(&Cors::None, "evil.example:8545", origin, Some(Foreign::Host));
        let headers = [(header::HOST, HeaderValue::from_static("evil.example"))];
        assert_eq!(judge(&Cors::None, &Hosts::Any, &headers.into_iter().collect()), Ok(()));
    }
}
