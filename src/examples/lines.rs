//! The examples of each command.

/// A command line, and what it does.
pub type Example = (&'static str, &'static str);

/// By the command's words. A command that has verbs has none of its own.
pub const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "demo",
        &[
            ("ferry demo", "1000 users, in a folder of its own"),
            (
                "ferry demo --users 200 --limits free",
                "as slowly as a free tenant allows: 2 requests a second",
            ),
        ],
    ),
    (
        "plan",
        &[
            ("ferry plan --preset medlogistics", "the table of DATABASE_URL, in numbers"),
            ("ferry plan users.csv --list", "each record that would not be sent, and why"),
            ("ferry plan --target", "ask Auth0 as well who would be created, adopted, skipped, or conflict"),
            ("ferry plan users.csv -o friday.plan", "keep it, for ferry run start --plan friday.plan"),
            (
                "ferry plan users.csv --detailed-exitcode",
                "7: there are users to move, 3: only records that need a person",
            ),
        ],
    ),
    (
        "check",
        &[
            ("ferry check", "exit code 0: all is well, 11: warnings, 10: errors"),
            ("ferry check --output json", "the same for a script"),
        ],
    ),
    (
        "run start",
        &[
            ("ferry run start --plan friday.plan", "what was planned; nothing else has to be given"),
            (
                "ferry run start users.csv --max-failures 50",
                "a file; stop when more than 50 users failed or conflict",
            ),
            ("ferry run start --preset medlogistics --yes", "the table of DATABASE_URL, without a question"),
        ],
    ),
    (
        "run list",
        &[
            ("ferry run list", "the newest first"),
            (
                "ferry run list --output json | jq -r '.[] | select(.state == \"paused\") | .run'",
                "paused runs",
            ),
        ],
    ),
    (
        "run show",
        &[
            ("ferry run show last", "the newest run"),
            (
                "ferry run show 01a22cd4 --output json | jq .pending",
                "users left, of the run whose id begins so",
            ),
        ],
    ),
    (
        "run watch",
        &[
            (
                "ferry run watch last",
                "on a terminal a live view: p pause, r resume, + and - the rate, q quit, ? help",
            ),
            ("ferry run watch last --plain", "lines, as in a pipe or a file"),
            ("ferry run watch last --output ndjson | jq .state", "the run as JSON, whenever it changes"),
        ],
    ),
    (
        "run pause",
        &[
            ("ferry run pause last", "asks, then pauses the newest run"),
            (
                "ferry run pause last --yes --reason \"call with the clinics\"",
                "without a question; the audit keeps the reason",
            ),
        ],
    ),
    (
        "run resume",
        &[
            ("ferry run resume last", "asks, then lets it go on"),
            ("ferry run resume last --confirm acme.eu.auth0.com", "for a tenant that auth0.production names"),
        ],
    ),
    ("run cancel", &[("ferry run cancel last", "shows how many users are left, then asks")]),
    (
        "run rate",
        &[
            ("ferry run rate last 10", "10 requests a second"),
            ("ferry run rate last private-500", "the limits of a plan"),
            ("ferry run rate last default", "the limits of the settings again"),
        ],
    ),
    (
        "run retry",
        &[
            ("ferry run retry last", "all who failed or are in conflict, unless a rule refused them"),
            ("ferry run retry last --code SERVER_ERROR", "those with one code"),
            (
                "ferry run retry last --where 'hospital=H-12 line=200..300'",
                "those of a filter; its keys: ferry user list --help",
            ),
        ],
    ),
    (
        "run report",
        &[
            ("ferry run report last", "as text with tables"),
            ("ferry run report last --output html > report.html", "one page for a browser or a printer"),
            ("ferry run report last --output csv > people.csv", "a line for each user that needs a person"),
        ],
    ),
    ("run restore-ids", &[("ferry run restore-ids last", "shows how many rows lack their id, then asks")]),
    ("run export", &[("ferry run export last > ids.csv", "key and auth0_user_id of each user")]),
    (
        "user show",
        &[
            ("ferry user show 1297", "in all runs, and how the account is at Auth0 now"),
            ("ferry user show 1297 --run last --offline", "in the newest run, by the ledger alone"),
            ("ferry user show 1297 --output json", "the same for a script"),
        ],
    ),
    (
        "user list",
        &[
            ("ferry user list", "the first 50 of the newest run"),
            (
                "ferry user list last --where 'state=failed code=SERVER_ERROR hospital=H-12 line=200..300'",
                "those of a filter",
            ),
            (
                "ferry user list last --where 'hospital=\"St. Mary\" state=conflict' --limit 1000 --output csv > conflicts.csv",
                "into a file",
            ),
            ("ferry user list last --after 50", "the next page"),
        ],
    ),
    (
        "batch list",
        &[
            ("ferry batch list", "the first 50 of the newest run"),
            ("ferry batch list last --where 'state=open job=leased'", "those that are worked on"),
        ],
    ),
    (
        "batch show",
        &[("ferry batch show 01a22b85-4246-7090-89e4-803e5577f14c", "an id from ferry batch list")],
    ),
    (
        "stop-all",
        &[(
            "ferry stop-all --yes --reason \"tenant is looked at\"",
            "immediately, for every run and every worker",
        )],
    ),
    ("resume-all", &[("ferry resume-all --reason \"tenant is well\"", "asks, then lets workers send again")]),
    (
        "queue list",
        &[
            ("ferry queue list", "what waits, where, and who works"),
            (
                "ferry queue list --output json | jq '.kinds[] | {kind, ready, leased}'",
                "two figures for a script",
            ),
        ],
    ),
    (
        "queue rebuild",
        &[("ferry queue rebuild --reason \"Redis came back empty\"", "counts what is lost, then asks")],
    ),
    (
        "dead list",
        &[
            ("ferry dead list", "those that wait for a person"),
            ("ferry dead list --where 'run=last code=CRASHED_WORKER older=1h'", "those of a filter"),
        ],
    ),
    ("dead show", &[("ferry dead show 7", "the letter with this number in ferry dead list")]),
    (
        "dead redrive",
        &[
            ("ferry dead redrive 7 --reason \"memory was raised\"", "one letter; asks first"),
            ("ferry dead redrive --run last --code CRASHED_WORKER", "all of a run with one code"),
        ],
    ),
    ("dead discard", &[("ferry dead discard 7 --reason \"job of a test ledger\"", "one letter; asks first")]),
    (
        "audit",
        &[
            ("ferry audit", "the last 50 orders"),
            ("ferry audit --run last --output json", "those about one run, for a script"),
        ],
    ),
    (
        "worker",
        &[
            ("ferry worker", "all roles; on SQLite the only process"),
            ("ferry worker --roles provision,relay", "no reading back, no reports"),
            ("ferry worker --listen 0.0.0.0:9464", "with /metrics, /livez and /readyz"),
        ],
    ),
    (
        "health",
        &[
            ("ferry health", "the worker whose --listen is FERRY_LISTEN, or 127.0.0.1:9464"),
            ("ferry health --at 127.0.0.1:9465 --live", "whether another one has to be started again"),
        ],
    ),
    (
        "simulate",
        &[
            (
                "ferry simulate --listen 127.0.0.1:8085 --limits private-100",
                "a tenant with the limits of a plan",
            ),
            ("ferry simulate --example 3000", "with the accounts that ferry seed --users 3000 expects there"),
            ("ferry simulate --latency 40 --server-errors 0.05", "slow, and 5 % of answers are errors"),
        ],
    ),
    (
        "seed",
        &[
            ("ferry seed --target app.db", "1000 users in a SQLite file"),
            ("ferry seed --target app.db --users 20000 --replace", "more, instead of an earlier example"),
        ],
    ),
    (
        "migrate",
        &[
            ("ferry migrate", "the ledger's tables; asks first"),
            ("ferry migrate --app --preset medlogistics", "and the application's column auth0_user_id"),
        ],
    ),
    (
        "completions",
        &[
            ("source <(ferry completions bash)", "for this shell"),
            ("ferry completions zsh > ~/.zfunc/_ferry", "for zsh, with ~/.zfunc in fpath"),
            ("ferry completions fish > ~/.config/fish/completions/ferry.fish", "for fish"),
        ],
    ),
    (
        "schema",
        &[
            ("ferry schema", "names, and the commands that print them"),
            ("ferry schema run > run.schema.json", "one, as JSON Schema"),
            ("ferry schema --all schemas", "all of them, into a folder"),
        ],
    ),
    ("man", &[("ferry man pages && man pages/ferry.1", "into a folder, and read one")]),
    (
        "config show",
        &[
            ("ferry config show", "secrets are masked"),
            ("ferry config show --config friday.toml", "with another file"),
        ],
    ),
    ("config check", &[("ferry config check && ferry check", "then the servers, too")]),
    ("config template", &[("ferry config template > ferry.toml", "a file to begin with")]),
];
