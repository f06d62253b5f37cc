//! Servers, secrets and who acts: what only the environment says.
//!
//! Each variable is named here once and read once, at the start. [`Servers::all`] is the
//! list that `config show` prints and that a test compares with `.env.sample`. Settings
//! that have a variable of their own beside `FERRY_<SECTION>__<KEY>` are here too
//! ([`Servers::of_settings`]); the flags of one command (`FERRY_LISTEN`, …) are with it.

use secrecy::{ExposeSecret, SecretString};

use crate::{exit::usage, files, system};

/// What `.env.sample` has where a person's own value goes.
const SAMPLES: [&str; 4] =
    ["client-id-of-the-application", "put-the-secret-here", "name-of-the-connection", "your-name"];

/// A variable of the environment and its value.
#[derive(Clone, Debug)]
pub struct Variable {
    /// As in the environment.
    pub name: &'static str,
    /// Whether its value is kept out of what is printed.
    secret: bool,
    value: Option<SecretString>,
}

impl Variable {
    /// The value; an empty one counts as absent.
    pub fn get(&self) -> Option<&str> {
        self.value.as_ref().map(ExposeSecret::expose_secret)
    }

    /// The value for people: secrets are hidden.
    pub fn shown(&self) -> &str {
        match self.get() {
            None => "(not set)",
            Some(_) if self.secret => "(set, hidden)",
            Some(value) => value,
        }
    }
}

/// A secret, and the variable that it came by.
#[derive(Debug)]
pub struct Secret {
    /// As in the environment: `REDIS_URL`, or `REDIS_URL_FILE` where a file has it.
    pub name: &'static str,
    value: SecretString,
}

impl Secret {
    /// The secret itself.
    pub fn text(&self) -> &str {
        self.value.expose_secret()
    }

    /// From its own variable, or from the file that the other one names, as platforms mount
    /// secrets: without the end of its line. `None` where neither is set.
    fn of(own: &Variable, file: &Variable) -> anyhow::Result<Option<Secret>> {
        let path = match (own.get(), file.get()) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(usage(format!("{} and {} are both set: keep one", own.name, file.name)));
            }
            (Some(value), None) => return Ok(Some(Secret { name: own.name, value: value.into() })),
            (None, Some(path)) => path,
        };
        let name = file.name;
        let text = String::from_utf8(files::read_once(name, path.as_ref())?)
            .map_err(|_| usage(format!("{name} {path} is no text in UTF-8")))?;
        let value = text.trim_end_matches(['\r', '\n']);
        if value.trim().is_empty() {
            return Err(usage(format!("{name} {path} is empty: write what {} would hold into it", own.name)));
        }
        Ok(Some(Secret { name, value: value.into() }))
    }
}

/// What the environment says.
#[derive(Clone, Debug)]
pub struct Servers {
    /// The tenant's bare host.
    pub domain: Variable,
    /// Instead of the domain: any base URL, for the simulator.
    pub base_url: Variable,
    /// The application that signs in.
    pub client_id: Variable,
    /// Its secret.
    client_secret: Variable,
    /// Instead of the secret: a file that holds it.
    client_secret_file: Variable,
    /// The application's database, which names the ledger too.
    database_url: Variable,
    /// Instead of that: a file that holds it.
    database_url_file: Variable,
    /// The ledger in a database of its own.
    pub ledger_url: Variable,
    /// The queue.
    redis_url: Variable,
    /// Instead of that: a file that holds it.
    redis_url_file: Variable,
    /// File with the certificate of the authority that signed Redis's, in PEM form.
    pub redis_ca_file: Variable,
    /// Setting `auth0.connection`.
    connection: Variable,
    /// Setting `auth0.limits`.
    plan: Variable,
    /// Who acts; else `USER`.
    person: Variable,
    /// Name of this machine, for people.
    pub host: String,
    /// Who is at the keyboard, for the audit: `user@host`.
    pub operator: String,
}

impl Servers {
    /// Reads the environment of this process.
    pub fn from_environment() -> Self {
        Servers::read(system::environment, system::user)
    }

    fn read(value: impl Fn(&'static str) -> Option<String>, acts: impl Fn() -> Option<String>) -> Self {
        let variable = |name, secret| Variable { name, secret, value: value(name).map(SecretString::from) };
        let (open, hidden) = (|name| variable(name, false), |name| variable(name, true));
        let host = value("HOSTNAME").unwrap_or_else(system::host);
        let person = open("FERRY_OPERATOR");
        let user = person.get().map(str::to_owned).or_else(|| value("USER")).or_else(acts);
        Servers {
            domain: open("AUTH0_DOMAIN"),
            base_url: open("AUTH0_BASE_URL"),
            client_id: open("AUTH0_CLIENT_ID"),
            client_secret: hidden("AUTH0_CLIENT_SECRET"),
            client_secret_file: open("AUTH0_CLIENT_SECRET_FILE"),
            database_url: hidden("DATABASE_URL"),
            database_url_file: open("DATABASE_URL_FILE"),
            ledger_url: hidden("FERRY_LEDGER_URL"),
            redis_url: hidden("REDIS_URL"),
            redis_url_file: open("REDIS_URL_FILE"),
            redis_ca_file: open("REDIS_CA_FILE"),
            connection: open("AUTH0_CONNECTION"),
            plan: open("AUTH0_PLAN"),
            operator: format!("{}@{host}", user.as_deref().unwrap_or("unknown")),
            person,
            host,
        }
    }

    /// Every server and secret, and who acts.
    pub fn all(&self) -> [&Variable; 12] {
        [
            &self.domain,
            &self.base_url,
            &self.client_id,
            &self.client_secret,
            &self.client_secret_file,
            &self.database_url,
            &self.database_url_file,
            &self.ledger_url,
            &self.redis_url,
            &self.redis_url_file,
            &self.redis_ca_file,
            &self.person,
        ]
    }

    /// The variable that names a file for what this one would hold, where it does.
    pub fn file_of(&self, variable: &Variable) -> Option<&Variable> {
        let names = |other: &&Variable| other.name.strip_suffix("_FILE") == Some(variable.name);
        self.all().into_iter().filter(|other| other.get().is_some()).find(names)
    }

    /// The secret of the application that signs in.
    pub fn client_secret(&self) -> anyhow::Result<Option<Secret>> {
        Secret::of(&self.client_secret, &self.client_secret_file)
    }

    /// The application's database, where it is named.
    pub fn database(&self) -> anyhow::Result<Option<Secret>> {
        Secret::of(&self.database_url, &self.database_url_file)
    }

    /// Variables that hold what `.env.sample` has in their place, one sentence for each.
    pub fn unfilled(&self) -> Vec<String> {
        let variables = self.all().into_iter().chain([&self.connection, &self.plan]);
        let sample = |variable: &&Variable| {
            let value = variable.get().unwrap_or_default();
            SAMPLES.contains(&value) || value.contains(".example.invalid")
        };
        variables
            .filter(sample)
            .map(|variable| format!("{} is as .env.sample has it: put your own in its place", variable.name))
            .collect()
    }

    /// Variables that are another name of a setting in section `auth0`, with its key there.
    pub fn of_settings(&self) -> [(&Variable, &'static str); 2] {
        [(&self.connection, "connection"), (&self.plan, "limits")]
    }

    /// Where the queue is, for what can't do without.
    pub fn required_redis(&self) -> anyhow::Result<Secret> {
        Secret::of(&self.redis_url, &self.redis_url_file)?.ok_or_else(|| {
            usage("a PostgreSQL ledger needs Redis for its queue: set REDIS_URL, for example redis://127.0.0.1:6379")
        })
    }

    /// What the queue's certificate has to be signed by, where that is not left to the system.
    pub fn redis_ca(&self) -> anyhow::Result<Option<Vec<u8>>> {
        // Without TLS there is no certificate to be looked at.
        let tls = |url: &Secret| url.text().starts_with("rediss://");
        let Some(path) = self.redis_ca_file.get() else { return Ok(None) };
        if !Secret::of(&self.redis_url, &self.redis_url_file)?.as_ref().is_some_and(tls) {
            return Ok(None);
        }
        let pem = files::read_once(self.redis_ca_file.name, path.as_ref())?;
        if !pem.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") {
            return Err(usage(format!(
                "REDIS_CA_FILE {path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
            )));
        }
        Ok(Some(pem))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::settings::DEFAULTS;

    impl Servers {
        /// As if the environment had these variables only.
        pub fn for_test(variables: &[(&'static str, &str)]) -> Self {
            let found = |name| variables.iter().find(|(known, _)| *known == name);
            Servers::read(
                |name| found(name).map(|(_, value)| (*value).to_owned()),
                || Some("uid 7".to_owned()),
            )
        }
    }

    #[test]
    fn the_sample_lists_every_variable_and_no_other() {
        let sample = include_str!("../.env.sample");
        let listed: BTreeSet<&str> = sample
            .lines()
            .filter(|line| !line.starts_with("# "))
            .filter_map(|line| line.trim_start_matches('#').split_once('='))
            .map(|(name, _)| name)
            .collect();
        let servers = Servers::for_test(&[]);
        let settings = servers.of_settings().map(|(variable, _)| variable);
        let known: BTreeSet<&str> =
            servers.all().into_iter().chain(settings).map(|variable| variable.name).collect();
        assert_eq!(listed, known);
        for name in known {
            assert!(DEFAULTS.contains(name), "`ferry config template` does not name {name}");
        }
    }

    #[test]
    fn a_sample_that_nobody_filled_in_is_told_variable_by_variable() {
        let sample = include_str!("../.env.sample");
        let lines = sample.lines().filter_map(|line| line.split_once('='));
        let filled: Vec<(&'static str, &str)> = lines.filter(|(name, _)| !name.starts_with('#')).collect();
        let unfilled = Servers::for_test(&filled).unfilled();
        for (name, value) in filled {
            let told = unfilled.iter().any(|line| line.starts_with(&format!("{name} is as .env.sample")));
            assert_eq!(told, value != "free", "{name}: {unfilled:?}");
        }
        assert!(Servers::for_test(&[("AUTH0_DOMAIN", "acme.eu.auth0.com")]).unfilled().is_empty());
    }

    #[test]
    fn a_secret_is_never_shown() {
        let servers =
            Servers::for_test(&[("REDIS_URL", "redis://:hunter2@r"), ("AUTH0_DOMAIN", "a.example")]);
        assert_eq!(servers.redis_url.shown(), "(set, hidden)");
        assert_eq!((servers.domain.shown(), servers.client_id.shown()), ("a.example", "(not set)"));
        assert!(!format!("{servers:?}").contains("hunter2"));
    }

    #[test]
    fn a_secret_comes_from_its_variable_or_from_a_file_and_never_from_both() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let of = |variables: &[(&'static str, &str)]| Servers::for_test(variables).database();
        assert!(of(&[]).unwrap().is_none());
        let own = of(&[("DATABASE_URL", "sqlite:a.db")]).unwrap().unwrap();
        assert_eq!((own.name, own.text()), ("DATABASE_URL", "sqlite:a.db"));
        let file = at("url", b"postgres://ann:hunter2@db/app\r\n");
        let secret = of(&[("DATABASE_URL_FILE", &file)]).unwrap().unwrap();
        assert_eq!((secret.name, secret.text()), ("DATABASE_URL_FILE", "postgres://ann:hunter2@db/app"));
        assert!(!format!("{secret:?}").contains("hunter2"));
        let wrong = |variables: &[(&'static str, &str)]| of(variables).unwrap_err().to_string();
        let both = wrong(&[("DATABASE_URL", "sqlite:a.db"), ("DATABASE_URL_FILE", &file)]);
        assert_eq!(both, "DATABASE_URL and DATABASE_URL_FILE are both set: keep one");
        let folder = folder.path().to_str().unwrap();
        for (path, word) in [
            (at("empty", b"\n"), "is empty: write what DATABASE_URL would hold into it"),
            (at("bytes", &[0xff, 0xfe]), "is no text in UTF-8"),
            (format!("{folder}/nosuch"), "can't be read"),
            (folder.to_owned(), "is a folder"),
        ] {
            let told = wrong(&[("DATABASE_URL_FILE", &path)]);
            assert!(told.starts_with(&format!("DATABASE_URL_FILE {path} {word}")), "{told}");
        }
    }

    #[test]
    fn an_operator_is_named_with_the_machine() {
        let of = |variables: &[(&'static str, &str)]| Servers::for_test(variables).operator;
        assert_eq!(of(&[("HOSTNAME", "ward-7"), ("USER", "root"), ("FERRY_OPERATOR", "ann")]), "ann@ward-7");
        assert_eq!(of(&[("HOSTNAME", "ward-7"), ("USER", "root")]), "root@ward-7");
        assert_eq!(of(&[("HOSTNAME", "ward-7")]), "uid 7@ward-7", "a service has no USER");
    }
}
