//! `ferry user show`: one user, by its key in the source.

use std::sync::Arc;

use clap::Args;
use ferry_domain::SourceKey;
use ferry_operations::{
    RunName,
    user::{self, AccountNow, Job, Target, UserView},
};

use crate::{exit::Exit, options::Output, output, printed, setup::Setup, tenant, wiring};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The user's key in the source. Reports show it; an address, which they show as key-…, is typed in
    /// full
    pub key: String,
    /// Only in this run: its id, how it begins, or last
    #[arg(long, value_name = "RUN")]
    pub run: Option<RunName>,
    /// Ask the ledger alone, and not Auth0
    #[arg(long)]
    pub offline: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(setup: &Setup, options: Options) -> anyhow::Result<Exit> {
    let access = wiring::access(setup).await?;
    let target = if options.offline { None } else { target(setup).await };
    let asked = target.as_ref().map(|(tenant, target)| Target { tenant, directory: &*target.directory });
    let mut progress = output::Progress::new("runs", 0);
    let looked = &mut |at: usize, of: usize| {
        if at == 1 {
            progress.of("runs", of as u64);
        }
        progress.at(at as u64 - 1, "");
    };
    let found = user::show(&access, &SourceKey(options.key), options.run.as_ref(), asked, looked).await;
    progress.done();
    let found = found?;
    match options.output {
        Output::Json => printed::array(found)?,
        Output::Ndjson => printed::lines(found)?,
        Output::Table => found.iter().enumerate().for_each(|(at, user)| print(at, user)),
    }
    Ok(Exit::Done)
}

/// Auth0, or nothing where the environment does not name it: the ledger has the most of it.
async fn target(setup: &Setup) -> Option<(String, wiring::Target)> {
    let target = async {
        let auth0 = tenant::sign_in(&setup.servers, &setup.settings)?;
        let place = wiring::ledger_place(&setup.servers).await?;
        Ok((tenant::required(&setup.servers)?, wiring::target(auth0, &place, setup, &Arc::default())?))
    };
    let target: anyhow::Result<_> = target.await;
    match target {
        Ok(target) => Some(target),
        Err(error) => {
            output::say(&format!(
                "Note: Auth0 is not asked: {error:#}. --offline says so without this note."
            ));
            None
        }
    }
}

fn line(name: &str, what: &str) {
    output::data(&output::field(name, 11, what));
}

fn print(at: usize, user: &UserView) {
    if at > 0 {
        output::data("");
    }
    line("run", &format!("{} ({}, migration {})", user.run, user.run_state.as_str(), user.migration));
    line("place", &user.place);
    line("state", user.state);
    if let (Some(code), Some(remedy)) = (user.code, user.remedy) {
        let field = user.field.as_ref().map(|field| format!(" of {field}")).unwrap_or_default();
        line("code", &format!("{code}{field}"));
        line("remedy", remedy);
    }
    if let Some(other) = &user.other {
        line("see", other);
    }
    if let Some(id) = &user.auth0_user_id {
        line("account", id);
    }
    if let Some(now) = &user.now {
        line("now", &account(now));
    }
    if let Some(fields) = &user.discrepancies {
        let fields =
            if fields.is_empty() { "the account was not there".to_owned() } else { fields.join(", ") };
        line("read back", &format!("not as written: {fields}"));
    }
    line("batch", &user.batch);
    for Job { kind, state, attempts, rescues, code } in &user.jobs {
        let tries = match (attempts, rescues) {
            (0, 0) => String::new(),
            (attempts, 0) => format!(", failed tries: {attempts}"),
            (attempts, rescues) => format!(", failed tries: {attempts}, rescues: {rescues}"),
        };
        let why = code.map(|code| format!(", last {code}")).unwrap_or_default();
        line(kind.as_str(), &format!("{}{tries}{why}", state.as_str()));
    }
}

fn account(now: &AccountNow) -> String {
    match now {
        AccountNow::Elsewhere { tenant } => {
            format!("not asked: the run is of the tenant {tenant}, and the environment names another")
        }
        AccountNow::Gone => "Auth0 has no such account".to_owned(),
        AccountNow::Unknown { code, remedy } => format!("not known: {code}. {remedy}"),
        AccountNow::There { blocked, email_verified, differing } => {
            let signs_in = if *blocked { "blocked" } else { "may sign in" };
            let address = if *email_verified { "address verified" } else { "address not verified" };
            let compared = match differing.as_deref() {
                None => "not compared: the run keeps no record of it".to_owned(),
                Some([]) => "as this run has it".to_owned(),
                Some(fields) => format!("differs from this run in {}", fields.join(", ")),
            };
            format!("{signs_in}, {address}, {compared}")
        }
    }
}
