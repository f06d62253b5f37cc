//! The closed list of reasons, each with what a person can do about it.
//!
//! Codes are what reports group by, what metrics may carry as a label and what
//! `--code` selects. Texts of other systems never become codes.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($variant:ident = $text:literal, $origin:ident, $remedy:literal;)+) => {
        /// Why an item ended as it did, or why a try did not succeed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Code {
            $(#[doc = $remedy] #[serde(rename = $text)] $variant,)+
        }

        impl Code {
            /// All codes, in the order of this table.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The code as written in reports, databases and labels.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text),+ }
            }

            /// What a person can do about it.
            pub const fn remedy(self) -> &'static str {
                match self { $(Code::$variant => $remedy),+ }
            }

            /// Who found it.
            pub const fn found_by(self) -> FoundBy {
                match self { $(Code::$variant => FoundBy::$origin),+ }
            }
        }
    };
}

/// Where a code comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// A rule on the source record: trying again without changing the source can't help.
    Rule,
    /// Auth0, or the way to it.
    Target,
    /// The application's own row at write-back.
    Application,
    /// Ferry's worker.
    Worker,
}

codes! {
    KeyMissing = "KEY_MISSING", Rule, "Give the row a value in the key column, or map another column as key.";
    DuplicateKey = "DUPLICATE_KEY", Rule, "Several rows carry this key, so none of them is sent: map a column that is unique, or correct the keys.";
    EmailMissing = "EMAIL_MISSING", Rule, "Enter an address in the source, or move this user by hand: Auth0 database users need one.";
    EmailInvalid = "EMAIL_INVALID", Rule, "Correct the address in the source.";
    EmailTooLong = "EMAIL_TOO_LONG", Rule, "Shorten the address: at most 254 characters, 64 before the @.";
    DuplicateEmail = "DUPLICATE_EMAIL", Rule, "Another row has the same address after lower-casing, and was moved already, may sign in, or came first: merge the two people or correct one address.";
    Federated = "FEDERATED", Rule, "This user signs in with another provider: connect that provider at Auth0 instead of making a database user.";
    Disabled = "DISABLED", Rule, "Disabled in the source and left out: set inactive = \"block\" to carry such users as blocked.";
    AlreadyMigrated = "ALREADY_MIGRATED", Rule, "Nothing to do: the user was moved before. Where the application's table lacked the id, it has it now.";
    NotInPlan = "NOT_IN_PLAN", Rule, "New since the plan was made: a run without a plan, or a new plan, takes this user.";
    FieldTooLong = "FIELD_TOO_LONG", Rule, "Shorten the named field in the source to what Auth0 takes.";
    FieldInvalid = "FIELD_INVALID", Rule, "Correct the named field in the source, or say in the settings of the source what its values mean.";
    MetadataKeyForbidden = "METADATA_KEY_FORBIDDEN", Rule, "Map the column to another metadata key: Auth0 reserves this one.";
    InvalidUtf8 = "INVALID_UTF8", Rule, "The text is in another encoding: save a file as UTF-8; in a table, correct the bytes of this row.";
    RecordInvalid = "RECORD_INVALID", Rule, "Correct this record: it can't be read in the file's format.";
    PropertyTwice = "PROPERTY_TWICE", Rule, "This record names a property twice, and which value is right can't be known: leave one.";
    HashNeedsImport = "HASH_NEEDS_IMPORT", Rule, "A password hash enters Auth0 by a bulk import only: wait for the import strategy, or pass --discard-hashes to make users who must reset their password.";
    KeyDamaged = "KEY_DAMAGED", Rule, "A spreadsheet shortened this id, or wrote an error in its place: export it again from the database, as text.";
    EmailNotAscii = "EMAIL_NOT_ASCII", Rule, "Before the @ is a letter outside ASCII, or one that only looks Latin, and Auth0 takes none: correct it, or enter another address.";
    EmailDomainNotAscii = "EMAIL_DOMAIN_NOT_ASCII", Rule, "The domain has a letter outside ASCII: write the domain as xn--…, or correct a letter that only looks Latin.";
    EmailInvisible = "EMAIL_INVISIBLE", Rule, "The address holds an invisible character: enter it again by hand.";
    EmailSeveral = "EMAIL_SEVERAL", Rule, "There are several addresses in one place: leave one.";
    EmailSurrounded = "EMAIL_SURROUNDED", Rule, "Something is before or behind the address (a name, mailto:, brackets, a separator): leave the address alone.";

    UserRefused = "USER_REFUSED", Target, "Auth0 refused this user's data: correct the named field in the source and retry.";
    PasswordRefused = "PASSWORD_REFUSED", Target, "The connection's password policy refused a random password: check its complexity options and retry.";
    ConnectionUnknown = "CONNECTION_UNKNOWN", Target, "Create the connection, enable it for an application, or correct AUTH0_CONNECTION; then retry.";
    OperationNotSupported = "OPERATION_NOT_SUPPORTED", Target, "The connection is no database connection: choose one that is; then retry.";
    Ghost = "GHOST", Target, "Auth0 says the address is taken but finds no such user: DELETE /connections/{id}/users?email=… removes the half-made record; then retry.";
    AdoptUnverified = "ADOPT_UNVERIFIED", Target, "The account at Auth0 and the user here are not both verified: have the address confirmed; then retry.";
    AdoptAmbiguous = "ADOPT_AMBIGUOUS", Target, "Several accounts in the connection carry this address: remove all but one; then retry.";
    OtherConnection = "OTHER_CONNECTION", Target, "The address belongs to an account of another connection: link or remove it; then retry.";
    AdoptBlockedDiffers = "ADOPT_BLOCKED_DIFFERS", Target, "The account exists, and only one side lets the person sign in: block or unblock one of them; then retry.";
    AccountOfAnotherUser = "ACCOUNT_OF_ANOTHER_USER", Target, "The account with this address belongs to another user of the source, for whom it was made or adopted: correct one address, or merge the two people.";
    ChangedSinceMoved = "CHANGED_SINCE_MOVED", Target, "An earlier run moved this user, and the named fields changed since: change the account at Auth0, or correct the source; then retry, or begin a new run where a rule refuses the record now. With another address (field email) the key may be another person's by now: look who it is first.";
    IdTaken = "ID_TAKEN", Target, "The account under the id of this key was made from another source and has another address, or one that nobody confirmed: no id was written back. If it is the same person (the application is at another place now), make the addresses at Auth0 and in the source agree; then retry. If it is another application with the same keys, give it a migration.name of its own and begin a new run; an application that was moved before keeps its name.";
    ExistsByPolicy = "EXISTS_BY_POLICY", Target, "The account exists and the policy on_existing says not to adopt: change the policy and retry, or leave it.";
    TokenRefused = "TOKEN_REFUSED", Target, "Auth0 refuses the token: check AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET; then retry.";
    ScopeMissing = "SCOPE_MISSING", Target, "Grant the application create:users and read:users on the Management API; then retry.";
    RateLimited = "RATE_LIMITED", Target, "The tenant's limit was used up by others for too long: retry later or lower the plan's figure.";
    ServerError = "SERVER_ERROR", Target, "Auth0 answered with an error of its own several times: retry later.";
    TimedOut = "TIMED_OUT", Target, "Auth0 did not answer in time several times: retry later.";
    ConnectionLost = "CONNECTION_LOST", Target, "Auth0 could not be reached, or the connection broke, several times: check the network; then retry.";
    AnswerUnreadable = "ANSWER_UNREADABLE", Target, "Auth0's answer was not understood: see the log; then retry.";

    MissingAtTarget = "MISSING_AT_TARGET", Target, "The user was made and is not at Auth0 any more: find out who removed it. Once the application's row holds its id no more, a new run makes it again.";
    DiffersAtTarget = "DIFFERS_AT_TARGET", Target, "The named fields at Auth0 are not as the source has them: find out who changed them, and correct one side.";
    NotReadBack = "NOT_READ_BACK", Target, "Auth0 could not be asked for this user: ferry dead list names the batch, ferry dead redrive reads it again.";

    AppRowChanged = "APP_ROW_CHANGED", Application, "The application's row vanished, is hidden from Ferry's database user, carries another Auth0 id, or has another address by now (field email). Where the report names an Auth0 id, that account was made: remove it if it is nobody's; a new run reads the row again.";
    AppIdTaken = "APP_ID_TAKEN", Application, "Another row of the application carries this Auth0 id already: decide which is right; then retry.";
    AppRowRefused = "APP_ROW_REFUSED", Application, "The application's table refused the id (constraint, trigger or policy; the item's field has the database's code): correct the row or the rule; then retry.";
    AppKeyShared = "APP_KEY_SHARED", Application, "Several rows of the application carry this key, so nothing was written to any: map a column that is unique, or remove a row; then retry.";
    AppTableUnfit = "APP_TABLE_UNFIT", Application, "The application's table lost what write-back needs (column, type or privilege): run ferry migrate --app; work goes on by itself.";

    HandlerPanicked = "HANDLER_PANICKED", Worker, "A fault of Ferry: report it with the log; then retry.";
    CrashedWorker = "CRASHED_WORKER", Worker, "Workers died while holding this batch: look at memory and logs; then retry.";
    LedgerBusy = "LEDGER_BUSY", Worker, "Rows stayed locked by others: find the long transaction; work goes on by itself.";
    WrongTenant = "WRONG_TENANT", Worker, "This worker is set up for another tenant than the run: correct AUTH0_DOMAIN there (AUTH0_BASE_URL where that is set), or stop that worker. Nobody was sent.";
    TooManyFailures = "TOO_MANY_FAILURES", Worker, "More users failed than --max-failures allows: see run report, mend the cause, then ferry run resume.";
    FailureRate = "FAILURE_RATE", Worker, "A larger share of users failed than --max-failure-rate allows: see run report, mend the cause, then ferry run resume.";
    JobUnknown = "JOB_UNKNOWN", Worker, "The queue held a job this ledger does not know: a foreign producer, or a ledger restored from a backup. Nothing to do; ferry queue rebuild cleans up.";
    JobMismatch = "JOB_MISMATCH", Worker, "The queue held a job that names another run or batch than the ledger: find out who writes there.";
    SendAhead = "SEND_AHEAD", Worker, "The queue is newer than the ledger: was the ledger restored from a backup? Users already made are found again by their ids; ferry queue rebuild sends what is due.";
    DeadlineExceeded = "DEADLINE_EXCEEDED", Worker, "Nothing to do: the batch took long and was handed back with its results kept.";
    Undecodable = "UNDECODABLE", Worker, "A payload on the queue that no version of Ferry wrote: find out who writes there.";
    Interrupted = "INTERRUPTED", Worker, "Nothing to do: the work was handed back.";
}

impl Code {
    /// Whether `run retry` may take an item with this code up again: a record
    /// that a rule refused would only be refused again.
    pub const fn retryable(self) -> bool {
        !matches!(self.found_by(), FoundBy::Rule)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No such code.
#[derive(Debug, thiserror::Error)]
#[error("there is no code {0:?}: ferry run report names those of a run, such as EMAIL_INVALID")]
pub struct UnknownCode(pub String);

impl FromStr for Code {
    type Err = UnknownCode;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Code::ALL
            .iter()
            .copied()
            .find(|code| code.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_unique_parses_back_and_has_a_remedy() {
        let mut seen = std::collections::BTreeSet::new();
        for &code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} occurs twice");
            assert_eq!(code.as_str().parse::<Code>().unwrap(), code);
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert!(code.remedy().ends_with('.'), "{code} needs a remedy that is a sentence");
        }
    }

    #[test]
    fn only_what_a_rule_refused_is_beyond_retry() {
        assert!(!Code::EmailMissing.retryable());
        assert!(Code::Ghost.retryable() && Code::AppRowChanged.retryable() && Code::ServerError.retryable());
    }
}
