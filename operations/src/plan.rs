//! What a run would do with each record: a plan, a file with a digest.
//!
//! A plan is made by the same code as a run, in a ledger of its own that is thrown
//! away, so that the counts (duplicates over the whole source included) are those of
//! the run. A set of addresses in memory would grow with the source.

mod listed;
pub mod target;

use ferry_domain::{
    Code, ItemState, RunId, SourceIdentity, Tally,
    plan::{Drift, PLAN_VERSION, PlanFile},
    ports::SourceWarning,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Access, Error, Kind,
    accept::Accept,
    planner::{self, How, Outcome, Subject},
};

pub use listed::{Record, Settled, each_settled, settled_of};

/// Why a plan is not what a run may start from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its file is something else.
    #[error("this is no plan of `ferry plan -o`: {0}")]
    NoPlan(String),
    /// Made by another version.
    #[error("made by Ferry {0}; make it again")]
    OtherVersion(String),
    /// It was edited.
    #[error("the plan was changed after it was made (digest {found}, it says {said}); make it again")]
    Edited {
        /// The digest of what is in the file.
        found: String,
        /// The digest it carries.
        said: String,
    },
    /// Made over another source.
    #[error("the plan is of {planned}, not of {given}")]
    OtherSource {
        /// The plan's.
        planned: SourceIdentity,
        /// The one given.
        given: SourceIdentity,
    },
    /// Settings that decide on records are not as they were.
    #[error(
        "mapping or settings changed since the plan{} (digest {now}, the plan has {planned}); make the plan again, or set them as they were",
        listed(differing)
    )]
    OtherRules {
        /// Which, where the plan says so.
        differing: Vec<String>,
        /// Digest of the settings.
        now: String,
        /// The plan's.
        planned: String,
    },
    /// Made for another tenant or connection.
    #[error("the plan is for {planned}, not for {now}")]
    OtherTarget {
        /// The plan's.
        planned: String,
        /// The settings'.
        now: String,
    },
    /// The file is not as it was.
    #[error(
        "{source_name} changed since the plan (digest {now}, the plan has {planned}); make the plan again, or --accept {}",
        Accept::SourceChanged
    )]
    FileChanged {
        /// The source.
        source_name: SourceIdentity,
        /// Its digest.
        now: String,
        /// The plan's.
        planned: String,
    },
    /// Planned users of the table are not as they were.
    #[error(
        "{source_name} changed since the plan: {} users changed, {} vanished, {} new (digest of those to send {now}, the plan has {planned}); make the plan again, or --accept {} (then whoever is new is sent too)",
        drift.changed, drift.vanished, drift.added, Accept::SourceChanged
    )]
    UsersChanged {
        /// The source.
        source_name: SourceIdentity,
        /// The users that differ.
        drift: Drift,
        /// Digest of the users.
        now: String,
        /// The plan's.
        planned: String,
    },
}

/// `: a, b`; empty for none.
fn listed(differing: &[String]) -> String {
    if differing.is_empty() { String::new() } else { format!(": {}", differing.join(", ")) }
}

impl Refusal {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Refusal::NoPlan(_) => Kind::Wrong,
            _ => Kind::Refused,
        }
    }
}

/// A plan that was made, and what else its source showed.
pub struct Made {
    /// The plan.
    pub plan: PlanFile,
    /// The run in the scratch ledger, whose records can be listed by [`each_settled`].
    pub run: RunId,
    /// What a person should know of the source as a whole.
    pub warnings: Vec<SourceWarning>,
}

/// Makes a plan. `scratch` has a ledger that is thrown away afterwards; `ledger` is the one that
/// knows who was moved before, where there is one. `read` is told how many records were read so far.
///
/// # Errors
/// When the source can't be read, or changes meanwhile; when the migration's name does not fit its
/// users, and that is not `accepted`.
pub async fn make(
    scratch: &Access,
    ledger: Option<&Access>,
    subject: &mut Subject,
    accepted: &[Accept],
    read: &mut (dyn FnMut(u64) + Send),
) -> Result<Made, Error> {
    let never = std::future::pending(); // nothing of a scratch ledger stays behind
    let outcome =
        planner::plan(scratch, subject, How { ledger, accepted, ..How::default() }, read, never).await?;
    let mut warnings = subject.source.warnings();
    warnings.extend(outcome.since.warnings());
    let Outcome { run, planned, users, moved, source_digest, .. } = outcome;
    let settled = settled_of(scratch, run.id, &planned).await?;
    let mut plan = PlanFile {
        ferry_plan: PLAN_VERSION,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        migration: subject.migration.clone(),
        mapping: subject.mapping.clone(),
        rules_digest: subject.rules_digest(),
        target: subject.target(),
        source: subject.source.identity(),
        source_digest,
        tally: planned.tally,
        settled: settled.iter().map(|settled| (reason(settled), settled.count)).collect(),
        users,
        moved,
        made_with: subject.made_with.clone(),
        digest: String::new(),
    };
    plan.digest = plan.compute_digest();
    Ok(Made { plan, run: run.id, warnings })
}

/// How a plan's file names a reason: state, code, and the field where there is one.
fn reason(settled: &Settled) -> String {
    let field = settled.field.as_deref().map(|field| format!(" {field}")).unwrap_or_default();
    format!("{} {}{field}", settled.state.as_str(), settled.code)
}

/// Reads a plan from the bytes of its file.
///
/// # Errors
/// When it is no plan, is of another version, or was changed by hand.
pub fn read(bytes: &[u8]) -> Result<PlanFile, Refusal> {
    let plan: PlanFile = serde_json::from_slice(bytes).map_err(|error| Refusal::NoPlan(error.to_string()))?;
    if plan.ferry_plan != PLAN_VERSION {
        return Err(Refusal::OtherVersion(plan.made_by));
    }
    let found = plan.compute_digest();
    if found != plan.digest {
        return Err(Refusal::Edited { found, said: plan.digest });
    }
    Ok(plan)
}

/// Whether a plan is of this source, made by these settings. `accepted`: a changed file is taken as it is.
///
/// # Errors
/// Says what is not as planned.
pub(crate) fn check(plan: &PlanFile, subject: &Subject, accepted: bool) -> Result<(), Refusal> {
    let given = subject.source.identity();
    if plan.source != given {
        return Err(Refusal::OtherSource { planned: plan.source.clone(), given });
    }
    let now = subject.rules_digest();
    if plan.rules_digest != now {
        let differing = match plan.made_with.rules.is_empty() {
            true => Vec::new(), // a plan of an earlier version
            false => plan.made_with.differing(&subject.made_with),
        };
        return Err(Refusal::OtherRules { differing, now, planned: plan.rules_digest.clone() });
    }
    let now = subject.target();
    if !plan.target.is_empty() && plan.target != now {
        return Err(Refusal::OtherTarget { planned: plan.target.clone(), now });
    }
    let now = &subject.spec.source_digest;
    if plan.source_digest != *now && !accepted {
        let (now, planned) = (now.clone(), plan.source_digest.clone());
        return Err(Refusal::FileChanged { source_name: given, now, planned });
    }
    Ok(())
}

/// Compares a table's planned users one by one: new ones are no drift. Of users who had an id then
/// those who changed since are.
///
/// # Errors
/// When users changed or vanished, unless that was accepted.
pub(crate) fn check_users(plan: &PlanFile, outcome: &Outcome, accepted: bool) -> Result<(), Refusal> {
    let mut drift = plan.users.drift(&outcome.users);
    drift.changed += plan.moved.changed(&outcome.moved);
    let beyond = outcome.planned.settled.iter().filter(|group| group.code == Code::NotInPlan);
    drift.added += beyond.map(|group| group.count.unsigned_abs()).sum::<u64>();
    if !drift.is_stale() || accepted {
        return Ok(());
    }
    let (now, planned) = (outcome.users.digest(), plan.users.digest());
    Err(Refusal::UsersChanged { source_name: plan.source.clone(), drift, now, planned })
}

/// A plan as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlanView {
    /// Where the users come from.
    pub source: String,
    /// Preset or `mapping`.
    pub mapping: String,
    /// Records in the source.
    pub records: i64,
    /// Users that would be sent.
    pub accepted: i64,
    /// Records that a rule refuses: they would be `failed`.
    pub rejected: i64,
    /// Records that a rule leaves out.
    pub skipped: i64,
    /// Users that an earlier run moved, and that changed since: they would be `conflict`.
    pub conflicting: i64,
    /// Those that would not be sent, by reason.
    pub by_code: Vec<Settled>,
    /// What a person should know of the source as a whole.
    pub warnings: Vec<SourceWarning>,
    /// Digest of the file, or of all users of a table.
    pub source_digest: String,
    /// Digest of the plan.
    pub digest: String,
}

impl From<&Made> for PlanView {
    fn from(made: &Made) -> Self {
        PlanView { warnings: made.warnings.clone(), ..PlanView::from(&made.plan) }
    }
}

impl From<&PlanFile> for PlanView {
    fn from(plan: &PlanFile) -> Self {
        let Tally { source, pending, failed, skipped, conflict, .. } = plan.tally;
        let by_code = plan.settled.iter().filter_map(|(reason, count)| {
            let mut words = reason.splitn(3, ' ');
            let (state, code) = (ItemState::parse(words.next()?)?, words.next()?.parse().ok()?);
            Some(Settled::new(state, code, words.next().map(str::to_owned), *count))
        });
        let mut by_code: Vec<Settled> = by_code.collect();
        by_code.sort_by_key(|settled| settled.state == ItemState::Skipped);
        PlanView {
            source: plan.source.to_string(),
            mapping: plan.mapping.clone(),
            records: source,
            accepted: pending,
            rejected: failed,
            skipped,
            conflicting: conflict,
            by_code,
            warnings: Vec::new(),
            source_digest: match plan.source_digest.as_str() {
                "" => plan.users.digest(),
                digest => digest.to_owned(),
            },
            digest: plan.digest.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ferry_domain::plan::MadeWith;

    use super::*;
    use crate::views::tests::{Nobody, run_view};

    fn subject() -> Subject {
        let run = run_view(ferry_domain::RunState::Planned);
        Subject {
            source: Box::new(Nobody(run.source)),
            migration: run.migration,
            mapping: "mapping".into(),
            mapping_digest: "m".into(),
            made_with: MadeWith::default(),
            spec: run.spec,
        }
    }

    /// A plan of this source by these settings.
    fn plan(subject: &Subject) -> PlanFile {
        let mut plan = PlanFile {
            ferry_plan: PLAN_VERSION,
            made_by: "0.1.0".into(),
            migration: subject.migration.clone(),
            mapping: subject.mapping.clone(),
            rules_digest: subject.rules_digest(),
            target: subject.target(),
            source: subject.source.identity(),
            source_digest: subject.spec.source_digest.clone(),
            tally: Tally { source: 6, pending: 2, failed: 2, skipped: 2, ..Tally::default() },
            settled: [
                ("failed EMAIL_INVALID".to_owned(), 1),
                ("failed FIELD_INVALID app_metadata.a b".to_owned(), 1),
                ("skipped DISABLED".to_owned(), 2),
            ]
            .into(),
            users: Default::default(),
            moved: Default::default(),
            made_with: subject.made_with.clone(),
            digest: String::new(),
        };
        plan.digest = plan.compute_digest();
        plan
    }

    #[test]
    fn a_file_that_is_no_plan_of_ours_is_told_from_one_that_was_changed() {
        let good = plan(&subject());
        assert_eq!(read(&serde_json::to_vec(&good).unwrap()), Ok(good.clone()));
        let nothing = read(b"id,email").unwrap_err();
        assert_eq!(nothing.kind(), Kind::Wrong);
        assert!(nothing.to_string().contains("no plan of `ferry plan -o`"), "{nothing}");
        let later = PlanFile { ferry_plan: PLAN_VERSION + 1, made_by: "9.0".into(), ..good.clone() };
        let later = read(&serde_json::to_vec(&later).unwrap()).unwrap_err();
        assert_eq!(later, Refusal::OtherVersion("9.0".into()));
        let edited = PlanFile { tally: Tally::default(), ..good.clone() };
        let edited = read(&serde_json::to_vec(&edited).unwrap()).unwrap_err();
        assert_eq!(edited.kind(), Kind::Refused);
        assert!(edited.to_string().contains(&good.digest), "{edited}");
    }

    #[test]
    fn a_plan_holds_for_its_source_rules_target_and_bytes_only() {
        let mut now = subject();
        let planned = plan(&now);
        assert_eq!(check(&planned, &now, false), Ok(()));

        now.spec.source_digest = "other bytes".into();
        let changed = check(&planned, &now, false).unwrap_err().to_string();
        assert!(changed.contains("other bytes") && changed.contains("--accept SOURCE_CHANGED"), "{changed}");
        assert_eq!(check(&planned, &now, true), Ok(()));

        now.spec.tenant = "other.eu.auth0.com".into();
        let text = check(&planned, &now, true).unwrap_err().to_string();
        assert!(text.starts_with("the plan is for acme.eu.auth0.com / Users, not for other"), "{text}");
        now.mapping_digest = "other".into();
        assert!(matches!(check(&planned, &now, true), Err(Refusal::OtherRules { .. })));
        now.source = Box::new(Nobody(SourceIdentity { kind: "csv".into(), location: "/other.csv".into() }));
        assert!(matches!(check(&planned, &now, true), Err(Refusal::OtherSource { .. })));
    }

    #[test]
    fn settings_that_changed_since_the_plan_are_named() {
        let mut subject = subject();
        subject.made_with.rule("source.inactive", &"block".into());
        let planned = plan(&subject);
        subject.mapping_digest = "other".into();
        subject.made_with.rule("source.inactive", &"skip".into());
        let text = check(&planned, &subject, false).unwrap_err().to_string();
        assert!(
            text.contains("since the plan: source.inactive (block in the plan, skip now) (digest"),
            "{text}"
        );
        let earlier = PlanFile { made_with: MadeWith::default(), ..planned };
        let text = check(&earlier, &subject, false).unwrap_err().to_string();
        assert!(text.contains("since the plan (digest"), "{text}");
    }

    #[test]
    fn a_plan_made_without_a_tenant_holds_for_any() {
        let mut without = subject();
        without.spec.tenant = String::new();
        assert_eq!(without.target(), "");
        assert_eq!(check(&plan(&without), &subject(), false), Ok(()));
    }

    #[test]
    fn a_plan_is_shown_by_reason_with_what_to_do() {
        let view = PlanView::from(&plan(&subject()));
        assert_eq!((view.records, view.accepted, view.rejected, view.skipped), (6, 2, 2, 2));
        assert_eq!(view.by_code.len(), 3);
        assert_eq!(view.by_code[1].field.as_deref(), Some("app_metadata.a b"));
        let first = serde_json::to_value(&view.by_code[0]).unwrap();
        assert_eq!(
            (&first["state"], &first["code"], &first["count"]),
            (&"failed".into(), &"EMAIL_INVALID".into(), &1.into())
        );
        assert_eq!(first["remedy"], Code::EmailInvalid.remedy());
    }
}
