//! The methods of filters: `priv_newFilter`, `priv_getFilterChanges`, `priv_getFilterLogs`,
//! `priv_uninstallFilter` (protocol specification, 7.14).

use coterie_core::GroupId;

use super::{
    error::{self, Refusal},
    objects,
    params::{self, Parameter, Params},
    results,
};
use crate::{
    jsonrpc::{self, Answer},
    service::{FilterId, LogFilter, PrivateLog, Service, Tenant, WatchError},
};

/// What Besu says of an id that it does not know.
const NOT_FOUND: &str = "Filter not found";
/// The same, of all logs of a filter.
const LOGS_NOT_FOUND: &str = "Logs filter not found";

/// A request about filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The group that is named.
    pub group: GroupId,
    /// What to do.
    pub action: Action,
}

/// What to do with a filter. `None`: a text that is no id, so that there is no such filter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the service's operation of this name")]
pub enum Action {
    Create(LogFilter),
    Changes(Option<FilterId>),
    Logs(Option<FilterId>),
    Uninstall(Option<FilterId>),
}

/// Does what was asked.
pub(super) async fn execute(service: &Service, tenant: &Tenant, request: Request) -> Answer {
    let Request { group, action } = request;
    // An id that no filter has: whether the group may be seen is found out in any case.
    let id = |id: Option<FilterId>| id.unwrap_or_default();
    match action {
        Action::Create(filter) => {
            let made = service.new_filter(tenant, group, filter);
            jsonrpc::result(&made.map_err(|it| error::watch(NOT_FOUND, &it))?)
        }
        Action::Changes(at) => {
            entries(NOT_FOUND, service.filter_changes(tenant, group, id(at)).await)
        }
        Action::Logs(at) => {
            entries(LOGS_NOT_FOUND, service.filter_logs(tenant, group, id(at)).await)
        }
        Action::Uninstall(at) => {
            let had = service.uninstall_filter(tenant, group, id(at));
            jsonrpc::result(&had.map_err(|it| error::watch(NOT_FOUND, &it))?)
        }
    }
}

fn entries(unknown: &str, logs: Result<Vec<PrivateLog>, WatchError>) -> Answer {
    let logs = logs.map_err(|it| error::watch(unknown, &it))?.into_iter();
    jsonrpc::result(&logs.map(results::LogEntry::from).collect::<Vec<_>>())
}

pub(super) fn create(params: &Params) -> Result<super::methods::Request, Refusal> {
    let group = params.group_text(0)?;
    let filter = objects::filter(params.at(1))?;
    request(params::group(group)?, Action::Create(filter))
}

pub(super) fn changes(params: &Params) -> Result<super::methods::Request, Refusal> {
    let (group, id) = of_filter(params)?;
    request(group, Action::Changes(id))
}

pub(super) fn logs(params: &Params) -> Result<super::methods::Request, Refusal> {
    let (group, id) = of_filter(params)?;
    request(group, Action::Logs(id))
}

pub(super) fn uninstall(params: &Params) -> Result<super::methods::Request, Refusal> {
    let (group, id) = of_filter(params)?;
    request(group, Action::Uninstall(id))
}

fn request(group: GroupId, action: Action) -> Result<super::methods::Request, Refusal> {
    Ok(super::methods::Request::Filter(Request { group, action }))
}

fn of_filter(params: &Params) -> Result<(GroupId, Option<FilterId>), Refusal> {
    let group = params.group_text(0)?;
    let id = params.text(1, Parameter::Filter, "a filter's id is expected: 16 bytes in hex")?;
    let id = params::bytes(id).and_then(|it| FilterId::try_from(it.as_ref()).ok());
    Ok((params::group(group)?, id))
}
