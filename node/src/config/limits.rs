//! Limits that leave others without effect: for `coterie config check`.
//!
//! All of them are allowed, and the node does with them what it can: warnings, never errors. Limits
//! that have nothing to do with each other are not compared.

use std::fmt::Display;

use super::{
    Config,
    check::{Problem, Severity},
};
use crate::{
    jsonrpc::socket::SocketLimits,
    rpc::auth::options::{AuthOptions, Source, TokenOptions},
    service::messages::PAGE_BYTES_MAX,
};

/// A limit by its key.
type Limit<T> = (&'static str, T);

/// Looks for limits that contradict each other.
pub(super) fn contradictions(config: &Config, found: &mut Vec<Problem>) {
    calls(config, found);
    if let AuthOptions::Tokens(tokens) = &config.rpc.options.auth {
        tenants(config, tokens, found);
    }
    payloads(config, found);
    times(config, found);
}

fn warn(key: &'static str, text: String, found: &mut Vec<Problem>) {
    found.push(Problem { severity: Severity::Warning, key, text });
}

/// Warns when a part's limit is above that of the whole.
fn within<T: PartialOrd + Display>(part: Limit<T>, whole: Limit<T>, found: &mut Vec<Problem>) {
    let ((key, part), (whole_key, whole)) = (part, whole);
    if part > whole {
        let text =
            format!("{part} is above {whole_key}, {whole}: one of them can use up what is for all");
        warn(key, text, found);
    }
}

fn calls(config: &Config, found: &mut Vec<Problem>) {
    let SocketLimits { subscriptions_max, subscriptions_per_connection_max, messages_max, .. } =
        config.rpc.options.sockets;
    within(
        ("rpc.ws.subscriptions_per_connection_max", subscriptions_per_connection_max),
        ("rpc.ws.subscriptions_max", subscriptions_max),
        found,
    );
    within(
        ("rpc.ws.messages_max", messages_max),
        ("rpc.requests_max", config.rpc.options.requests_max),
        found,
    );
}

fn tenants(config: &Config, tokens: &TokenOptions, found: &mut Vec<Problem>) {
    let (options, tenant) = (&config.rpc.options, tokens.tenants);
    let sockets = options.sockets;
    let subscriptions = ("rpc.auth.subscriptions_max", tenant.subscriptions_max);
    for (part, whole) in [
        (
            ("rpc.filters_per_tenant_max", config.rpc.filters_per_tenant_max),
            ("rpc.filters_max", config.rpc.filters_max),
        ),
        (
            ("rpc.auth.requests_max", tenant.requests_max),
            ("rpc.requests_max", options.requests_max),
        ),
        (
            ("rpc.auth.connections_max", tenant.connections_max),
            ("rpc.ws.connections_max", sockets.connections_max),
        ),
        (subscriptions, ("rpc.ws.subscriptions_max", sockets.subscriptions_max)),
        (
            ("rpc.ws.subscriptions_per_connection_max", sockets.subscriptions_per_connection_max),
            subscriptions,
        ),
    ] {
        within(part, whole, found);
    }
    if sockets.messages_max > tenant.requests_max {
        let text = format!(
            "{} is above rpc.auth.requests_max, {}: what is above it is refused, and does not wait",
            sockets.messages_max, tenant.requests_max
        );
        warn("rpc.ws.messages_max", text, found);
    }
    let (batch, calls) = (options.limits.batch_calls_max, tenant.calls_per_s);
    if batch > usize::try_from(calls).unwrap_or(usize::MAX) {
        let text = format!(
            "{batch} is above rpc.auth.calls_per_s, {calls}: of a longer batch a part is refused"
        );
        warn("rpc.batch_calls_max", text, found);
    }
    if matches!(tokens.source, Source::CredentialsFile(_)) {
        within(
            ("rpc.auth.login_attempts_per_user_per_min", tokens.login.per_user_per_min),
            ("rpc.auth.login_attempts_per_min", tokens.login.per_min),
            found,
        );
    }
}

fn payloads(config: &Config, found: &mut Vec<Problem>) {
    let limits = config.enclave.limits;
    let largest = limits.payload_bytes_max;
    let length = u64::try_from(largest).unwrap_or(u64::MAX);
    // One stranger may take a quarter of the room of all.
    if limits.stranger_payloads_max > 0 && limits.stranger_bytes_max.div_ceil(4) < length {
        let text = format!(
            "a quarter of {}, which one stranger may use, has no room for a payload of \
             enclave.limits.payload_bytes_max, {largest}, as a group's first one is",
            limits.stranger_bytes_max
        );
        warn("enclave.limits.stranger_bytes_max", text, found);
    }
    if limits.co_member_bytes_max < length {
        let text = format!(
            "{} has no room for a payload of enclave.limits.payload_bytes_max, {largest}",
            limits.co_member_bytes_max
        );
        warn("enclave.limits.co_member_bytes_max", text, found);
    }
    if limits.co_member_rate_per_s == 0 {
        let text = "at 0, no payload of a member is taken".to_owned();
        warn("enclave.limits.co_member_rate_per_s", text, found);
    } else if limits.co_member_rate_per_s < limits.stranger_rate_per_s {
        let text = format!(
            "{} is below enclave.limits.stranger_rate_per_s, {}: members may do less than strangers",
            limits.co_member_rate_per_s, limits.stranger_rate_per_s
        );
        warn("enclave.limits.co_member_rate_per_s", text, found);
    }
    let page = PAGE_BYTES_MAX.max(largest);
    if limits.message_bytes_max < page {
        let text = format!(
            "a group's history is given in messages of up to {page} bytes: {} is too few for new \
             members and for `coterie heal`",
            limits.message_bytes_max
        );
        warn("enclave.limits.message_bytes_max", text, found);
    }
}

fn times(config: &Config, found: &mut Vec<Problem>) {
    let (wait, whole) = (config.rpc.receipt_wait, config.rpc.options.limits.time_max);
    if wait >= whole {
        let text = format!(
            "{} is not below rpc.request_timeout_ms, {}: the request ends first, with an error",
            wait.as_millis(),
            whole.as_millis()
        );
        warn("rpc.receipt_wait_ms", text, found);
    }
    let timeouts = config.enclave.timeouts;
    if timeouts.connect > timeouts.request {
        let text = format!(
            "{} is above enclave.timeouts.request_ms, {}, which ends it first",
            timeouts.connect.as_millis(),
            timeouts.request.as_millis()
        );
        warn("enclave.timeouts.connect_ms", text, found);
    }
}
