//! What Redis means by an error, in words, with what to do about it.
//!
//! The client's texts name scripts by digest and say nothing of addresses or passwords; what
//! is not known here is passed on as it came.

use ferry_domain::ports::QueueError;

/// An error that is known.
struct Known {
    /// A part of the server's or client's text, in lower case.
    sign: &'static str,
    /// What it means; follows "Redis at host:port".
    means: &'static str,
    /// What to do.
    remedy: &'static str,
    /// Whether it may pass by itself.
    passes: bool,
}

const fn known(sign: &'static str, means: &'static str, remedy: &'static str, passes: bool) -> Known {
    Known { sign, means, remedy, passes }
}

const CLUSTER: &str = "is a node of a Redis Cluster";
const SINGLE: &str = "Ferry needs a single server: point REDIS_URL at one that is not part of a cluster";
const SENTINEL: &str = "is a Sentinel, which watches servers and holds no jobs";
const MASTER: &str = "REDIS_URL has to name the server itself, the master that the Sentinel watches (its own host and port, often 6379, not 26379); after a fail-over that is another address";
const REPLICA: &str = "is a read-only replica";
const PRIMARY: &str = "REDIS_URL has to name the primary; after a fail-over that is another address";
const PASSWORD: &str = "refuses the user or the password";
const SIGN_IN: &str = "Correct them in REDIS_URL; special characters of a password are escaped there (@ is %40, / is %2F, # is %23, % is %25)";

/// The first that fits is taken.
const KNOWN: &[Known] = &[
    known("readonly", REPLICA, PRIMARY, true),
    known(
        "oom command not allowed",
        "is full and refuses to store anything",
        "Give it more memory (CONFIG SET maxmemory), or remove what others keep there",
        true,
    ),
    known(
        "\"oom\"",
        "is full and refuses to store anything",
        "Give it more memory (CONFIG SET maxmemory), or remove what others keep there",
        true,
    ),
    known("non local key in a cluster", CLUSTER, SINGLE, false),
    known("hash to the same slot", CLUSTER, SINGLE, false),
    known("crossslot", CLUSTER, SINGLE, false),
    known("moved", CLUSTER, SINGLE, false),
    known("clusterdown", CLUSTER, SINGLE, false),
    known("not allowed in cluster mode", CLUSTER, SINGLE, false),
    // Every server that keeps data knows these two; a Sentinel knows neither.
    known("unknown command 'select'", SENTINEL, MASTER, false),
    known("unknown command 'evalsha'", SENTINEL, MASTER, false),
    known(
        "unknown command",
        "does not know a command that workers need",
        "Take Redis 7 or later, or Valkey 8 or later, with no command renamed or switched off",
        false,
    ),
    known(
        "can't run this command",
        "does not let this user run a command that workers need",
        "Give the user the commands and keys that README.md lists under Redis",
        true,
    ),
    known(
        "no permissions",
        "does not let this user use a command or key that workers need",
        "Give the user the commands and keys that README.md lists under Redis",
        true,
    ),
    known(
        "noperm",
        "does not let this user use a command or key that workers need",
        "Give the user the commands and keys that README.md lists under Redis",
        true,
    ),
    known(
        "can't access at least one of the keys",
        "does not let this user use a key that workers need",
        "Give the user the commands and keys that README.md lists under Redis",
        true,
    ),
    known("wrongpass", PASSWORD, SIGN_IN, true),
    known("noauth", PASSWORD, SIGN_IN, true),
    known("authentication", PASSWORD, SIGN_IN, true),
    known("password", PASSWORD, SIGN_IN, true),
    known("loading", "is loading its data", "Wait until it has", true),
    known(
        "db index is out of range",
        "has no database of that number",
        "Correct the number at the end of REDIS_URL",
        false,
    ),
    known(
        "switch database",
        "has no database of that number",
        "Correct the number at the end of REDIS_URL",
        false,
    ),
    known(
        "unknownissuer",
        "shows a certificate of an authority that this machine does not trust",
        "Set REDIS_CA_FILE to the authority's certificate, or add it to the system's",
        false,
    ),
    known(
        "invalid peer certificate",
        "shows a certificate that does not hold",
        "The certificate has to name the host of REDIS_URL and be valid today",
        false,
    ),
    known(
        "max number of clients",
        "has as many clients as it takes (maxclients)",
        "Raise maxclients, or end other clients",
        true,
    ),
    known(
        "connection reset",
        "closed the connection",
        "If it speaks TLS, write rediss:// in REDIS_URL; if maxclients is reached, raise it",
        true,
    ),
    known(
        "broken pipe",
        "closed the connection",
        "If it speaks TLS, write rediss:// in REDIS_URL; if maxclients is reached, raise it",
        true,
    ),
    known(
        "timed out",
        "does not answer in time",
        "Start it, or correct REDIS_URL; rediss:// is for servers that speak TLS",
        true,
    ),
    known("lookup address", "has no address", "Correct the host in REDIS_URL", true),
    known("connection refused", "does not accept connections", "Start it, or correct REDIS_URL", true),
];

/// Why a server can never be the queue, whatever its settings, by the mode that it names: what
/// it is, and what to do.
pub(super) fn unfit(mode: &str) -> Option<(&'static str, &'static str)> {
    match mode {
        "cluster" => Some((CLUSTER, SINGLE)),
        "sentinel" => Some((SENTINEL, MASTER)),
        _ => None,
    }
}

/// What a copy of another server is, and what to do.
pub(super) const COPY: (&str, &str) = (REPLICA, PRIMARY);

/// A server as its errors speak of it.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// `host:port/db`, without any secret.
    pub(super) place: String,
    /// Whether it is spoken to by TLS.
    pub(super) tls: bool,
}

impl Server {
    /// An error in words.
    pub(super) fn error(&self, doing: &'static str, said: &str) -> QueueError {
        let lower = said.to_lowercase();
        let place = &self.place;
        let Some(known) = KNOWN.iter().find(|known| lower.contains(known.sign)) else {
            return QueueError { doing, reason: format!("Redis at {place}: {said}"), passes: true };
        };
        let Known { means, remedy, passes, .. } = known;
        QueueError { doing, reason: format!("Redis at {place} {means}. {remedy}"), passes: *passes }
    }

    /// It answers, and can never be the queue.
    pub(super) fn unfit(&self, doing: &'static str, mode: &str) -> Option<QueueError> {
        let (means, remedy) = unfit(mode)?;
        let reason = format!("Redis at {} {means}. {remedy}", self.place);
        Some(QueueError { doing, reason, passes: false })
    }

    /// No answer came.
    pub(super) fn silent(&self, doing: &'static str, seconds: u64) -> QueueError {
        let remedy = match self.tls {
            true => "Start it, or correct REDIS_URL; rediss:// is for servers that speak TLS",
            false => "Start it, or correct REDIS_URL",
        };
        let reason = format!("Redis at {} does not answer within {seconds} s. {remedy}", self.place);
        QueueError { doing, reason, passes: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> (String, bool) {
        let server = Server { place: "cache:6379/0".into(), tls: false };
        let error = server.error("took no push", text);
        (error.reason, error.passes)
    }

    #[test]
    fn what_servers_and_client_say_becomes_a_cause_and_a_remedy() {
        for (text, words, passes) in [
            (
                "ReadOnly: You can't write against a read only replica.",
                ["read-only replica", "primary"],
                true,
            ),
            (
                "An error was signalled by the server - \"OOM\": command not allowed when used memory > 'maxmemory'.",
                ["is full", "maxmemory"],
                true,
            ),
            (
                "ERR Error running script (call to f_0123): @user_script:3: OOM command not allowed",
                ["is full", "maxmemory"],
                true,
            ),
            ("Moved: 1571 127.0.0.1:7401", ["Redis Cluster", "single server"], false),
            (
                "CrossSlot: Keys in request don't hash to the same slot",
                ["Redis Cluster", "single server"],
                false,
            ),
            (
                "Script attempted to access a non local key in a cluster node",
                ["Redis Cluster", "single server"],
                false,
            ),
            (
                "The user executing the script can't run this command or subcommand",
                ["this user", "README.md"],
                true,
            ),
            (
                "NoPerm: User svc has no permissions to run the 'evalsha' command",
                ["this user", "README.md"],
                true,
            ),
            ("Password authentication failed- AuthenticationFailed", ["refuses", "%40"], true),
            ("NOAUTH: Authentication required.", ["refuses", "%40"], true),
            ("LOADING Redis is loading the dataset in memory", ["is loading", "Wait"], true),
            (
                "Redis server refused to switch database - Server(ResponseError): DB index is out of range",
                ["no database of that number", "REDIS_URL"],
                false,
            ),
            (
                "unknown command 'EVALSHA', with args beginning with: '5a1c' '6' '{ferry}:provision'",
                ["is a Sentinel", "the master"],
                false,
            ),
            (
                "Redis server refused to switch database - Server(ResponseError): unknown command 'SELECT'",
                ["is a Sentinel", "REDIS_URL"],
                false,
            ),
            (
                "Redis server refused to switch database - SELECT is not allowed in cluster mode",
                ["Redis Cluster", "single server"],
                false,
            ),
            ("ERR unknown command 'FUNCTION'", ["does not know a command", "Redis 7"], false),
            ("invalid peer certificate: UnknownIssuer", ["does not trust", "REDIS_CA_FILE"], false),
            ("IoError: timed out", ["does not answer in time", "REDIS_URL"], true),
            (
                "failed to lookup address information: Name or service not known",
                ["no address", "REDIS_URL"],
                true,
            ),
            ("Connection reset by peer (os error 104)", ["closed", "rediss://"], true),
        ] {
            let (told, may_pass) = said(text);
            for word in words {
                assert!(told.contains(word), "{text}: {told}");
            }
            assert!(told.starts_with("Redis at cache:6379/0 "), "{told}");
            assert!(!told.contains("f_0123"), "{told}");
            assert_eq!(may_pass, passes, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_passed_on() {
        assert_eq!(said("ERR something new").0, "Redis at cache:6379/0: ERR something new");
    }
}
