//! Whether a person agrees: by a flag, or at a terminal.

use std::{
    collections::BTreeSet,
    fmt::Display,
    io::{IsTerminal, stdin},
    sync::atomic::{AtomicBool, Ordering},
};

use clap::Args;
use ferry_operations::consent::{self, Ask, Said};
use tokio_util::sync::CancellationToken;

use crate::{
    exit::{refused, usage},
    setup::Setup,
};

/// Set by `--no-input`, before any command asks.
static NEVER_ASK: AtomicBool = AtomicBool::new(false);

/// From now on nobody is asked: what needs an answer ends with how to give it.
pub fn never_ask() {
    NEVER_ASK.store(true, Ordering::Relaxed);
}

fn can_ask() -> bool {
    stdin().is_terminal() && !NEVER_ASK.load(Ordering::Relaxed)
}

/// Agreement to a bulk action, and why.
#[derive(Clone, Debug, Args)]
pub struct Consent {
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    /// Agree by the tenant's name; what sends to a tenant of auth0.production needs it. Can be repeated
    #[arg(long, value_name = "TENANT")]
    pub confirm: Vec<String>,
    /// The reason, to be kept in the audit
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// The tenants that a command concerns.
pub struct Concerned<'a> {
    tenants: BTreeSet<String>,
    /// Those that have to be named; none where nothing is sent.
    production: &'a [String],
}

impl<'a> Concerned<'a> {
    /// By what sends to them.
    pub fn sends(tenants: impl IntoIterator<Item = String>, setup: &'a Setup) -> Self {
        Concerned { tenants: tenants.into_iter().collect(), production: &setup.settings.auth0.production }
    }

    /// By what stops, or changes nothing at Auth0: in a hurry nobody should have to type a name.
    pub fn holds(tenants: impl IntoIterator<Item = String>) -> Self {
        Concerned { tenants: tenants.into_iter().collect(), production: &[] }
    }
}

impl Consent {
    /// Whether a person agrees. `needed` says whether this is asked about at all where no tenant has
    /// to be named.
    ///
    /// # Errors
    /// When nobody can be asked, and when a tenant is named that it does not concern.
    pub fn agreed(
        &self,
        needed: bool,
        question: &dyn Display,
        concerned: &Concerned<'_>,
    ) -> anyhow::Result<bool> {
        match self.to_ask(concerned)? {
            Ask::Nothing => Ok(true),
            Ask::YesOrNo if !needed => Ok(true),
            ask => answered(&ask, question),
        }
    }

    /// The same, where something has to go on until the answer comes. `None` when `stop` came first.
    ///
    /// # Errors
    /// As [`Consent::agreed`].
    pub async fn agreed_until(
        &self,
        stop: &CancellationToken,
        question: &dyn Display,
        concerned: &Concerned<'_>,
    ) -> anyhow::Result<Option<bool>> {
        let ask = self.to_ask(concerned)?;
        if ask == Ask::Nothing {
            return Ok(Some(true));
        }
        let (tell, answer) = tokio::sync::oneshot::channel();
        let question = question.to_string();
        // A thread of its own, which ends with the process: nothing can end a read of the terminal.
        std::thread::spawn(move || tell.send(answered(&ask, &question)));
        tokio::select! {
            answer = answer => answer.unwrap_or(Ok(false)).map(Some),
            () = stop.cancelled() => Ok(None),
        }
    }

    /// To be asked before long work: whether agreement can be had at all.
    ///
    /// # Errors
    /// As [`Consent::agreed`], where a tenant has to be named.
    pub fn can_be_had(&self, concerned: &Concerned<'_>) -> anyhow::Result<()> {
        match self.to_ask(concerned)? {
            Ask::Names(tenants) if !can_ask() => Err(not_named(&tenants)),
            _ => Ok(()),
        }
    }

    fn to_ask(&self, concerned: &Concerned<'_>) -> anyhow::Result<Ask> {
        let said = Said { yes: self.yes, names: &self.confirm };
        consent::to_ask(said, &concerned.tenants, concerned.production)
            .map_err(|other| refused(other.to_string()))
    }
}

/// Asks on a terminal; elsewhere only `--yes` is an answer.
///
/// # Errors
/// When nobody can be asked.
pub fn confirmed(yes: bool, question: &dyn Display) -> anyhow::Result<bool> {
    if yes { Ok(true) } else { answered(&Ask::YesOrNo, question) }
}

fn answered(ask: &Ask, question: &dyn Display) -> anyhow::Result<bool> {
    match ask {
        Ask::Nothing => Ok(true),
        Ask::YesOrNo if can_ask() => {
            let answer = typed(&format!("{question} [y/N] "))?;
            Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
        }
        Ask::YesOrNo => Err(usage(format!("{question} There is nobody to ask: pass --yes to agree"))),
        Ask::Names(tenants) if can_ask() => named(tenants, question),
        Ask::Names(tenants) => Err(not_named(tenants).context(question.to_string())),
    }
}

fn not_named(tenants: &[String]) -> anyhow::Error {
    let flags: Vec<String> = tenants.iter().map(|tenant| format!("--confirm {tenant}")).collect();
    usage(format!(
        "The settings name {} in auth0.production, and there is nobody to ask: pass {} to agree",
        tenants.join(" and "),
        flags.join(" ")
    ))
}

fn named(tenants: &[String], question: &dyn Display) -> anyhow::Result<bool> {
    eprintln!("{question}");
    for tenant in tenants {
        let answer = typed(&format!("This is production. Type {tenant} to agree: "))?;
        if !answer.eq_ignore_ascii_case(tenant) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn typed(prompt: &str) -> anyhow::Result<String> {
    eprint!("{prompt}");
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}
