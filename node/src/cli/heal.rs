//! `coterie heal`: asks a running node, over its API, to take a group's history over again.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use coterie_node::config::Config;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::{HealArgs, out};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Does what was typed.
pub(super) fn run(args: &HealArgs) -> Result<()> {
    let url = match (&args.node.rpc, &args.node.config) {
        (Some(url), _) => url.clone(),
        (None, Some(path)) => Url::parse(&format!("http://{}", Config::load(path)?.rpc.listen))?,
        (None, None) => bail!("name the node with --config or --rpc"),
    };
    let giver = args.from.as_ref().map(ToString::to_string);
    let request = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "coterie_heal",
        "params": [args.group.to_base64(), giver],
    });
    let token = args.token_file.as_deref().map(read_token).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reply = runtime.block_on(ask(url, &request, token))?;
    outcome(reply)?;
    out::line(
        "the node takes the history over again; its log and coterie_groupStatus tell how it ends",
    )
}

/// The token in a file, which a line's end may follow.
fn read_token(path: &Path) -> Result<Zeroizing<String>> {
    let text = fs::read_to_string(path);
    let text = Zeroizing::new(text.with_context(|| format!("cannot read {}", path.display()))?);
    Ok(Zeroizing::new(text.trim().to_owned()))
}

async fn ask(url: Url, request: &Value, token: Option<Zeroizing<String>>) -> Result<Reply> {
    let unreachable = format!("no node answers at {}", url.origin().ascii_serialization());
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let mut request = client.post(url).json(request);
    if let Some(token) = token {
        request = request.bearer_auth(token.as_str());
    }
    let response = request.send().await.context(unreachable)?;
    response.json().await.context("what answers there is no JSON-RPC server")
}

#[derive(Debug, Deserialize)]
struct Reply {
    error: Option<Failure>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    message: String,
    data: Option<Value>,
}

fn outcome(reply: Reply) -> Result<()> {
    let Some(error) = reply.error else { return Ok(()) };
    let word = |name: &str| error.data.as_ref()?.get(name)?.as_str();
    match (word("code"), word("detail")) {
        (Some("METHOD_NOT_ENABLED"), _) => {
            bail!("this port answers no operators: set rpc.operator_methods = true")
        }
        (Some("GROUP_UNKNOWN"), _) => {
            bail!("the node knows nothing of this group: name a member with --from KEY")
        }
        (Some("RECIPIENT_UNKNOWN"), Some(detail)) => {
            bail!(
                "{detail}: is it the right key? Its node must be one of enclave.peers, or known to one of them, and run. A node that has just started may not have found its peers yet"
            )
        }
        (Some("UNAUTHORIZED"), _) => {
            bail!(
                "the node asks for a good token that permits coterie:heal, in the file of --token-file"
            )
        }
        (_, Some(detail)) => bail!("the node refused: {detail}"),
        (_, None) => bail!("the node refused: {}", error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: Value, want: Option<&str>) {
        let got = outcome(serde_json::from_value(reply).unwrap()).err().map(|it| it.to_string());
        match want {
            None => assert_eq!(got, None),
            Some(word) => assert!(got.as_ref().is_some_and(|it| it.contains(word)), "{got:?}"),
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        check(json!({"jsonrpc": "2.0", "id": 1, "result": true}), None);
        let error = |data: Value| json!({"error": {"code": -1, "message": "No", "data": data}});
        check(error(json!({"code": "METHOD_NOT_ENABLED"})), Some("rpc.operator_methods = true"));
        check(error(json!({"code": "GROUP_UNKNOWN"})), Some("--from KEY"));
        check(error(json!({"code": "UNAUTHORIZED"})), Some("--token-file"));
        let unknown = json!({"code": "RECIPIENT_UNKNOWN", "detail": "no peer is known for K"});
        check(error(unknown), Some("no peer is known for K: is it the right key?"));
        check(error(json!({"code": "X", "detail": "a reason"})), Some("a reason"));
        check(error(json!("text")), Some("No"));
        check(json!({"error": {"code": -1, "message": "No"}}), Some("No"));
    }
}
