//! A real Prometheus and Alertmanager over the workers of a scenario, with the rules and routes of
//! `ops/`. Time in them runs 15 times as fast, so that minutes of a rule are seconds here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use ferry_testbed::{Worker, free_port};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Seconds of a rule in one second of a test. Processes are not faster: a restart is long here.
pub const FASTER: u64 = 15;

/// Both servers; they end when it is dropped.
pub struct Monitoring {
    targets: PathBuf,
    prometheus: (Worker, u16),
    alertmanager: Worker,
    /// What receivers were told and not told the end of.
    told: Arc<Mutex<BTreeSet<String>>>,
}

impl Monitoring {
    /// Starts both in this folder; `None` where one of the programs is not installed.
    pub async fn start(folder: &Path) -> Option<Monitoring> {
        let prometheus = program(&["prometheus"])?;
        let alertmanager = program(&["prometheus-alertmanager", "alertmanager"])?;
        fs::create_dir_all(folder).unwrap();
        let (asks, alerts) = (free_port(), free_port());
        let path = |name: &str| folder.join(name).display().to_string();
        for name in ["recording.yml", "alerts.yml"] {
            fs::write(path(name), faster(&ops(&format!("prometheus/{name}")))).unwrap();
        }
        fs::write(path("targets.json"), "[]").unwrap();
        let config = json!({
            "global": {
                "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s",
                "external_labels": { "ferry": "tests" },
            },
            "rule_files": ["recording.yml", "alerts.yml"],
            "alerting": { "alertmanagers": [{ "static_configs": [{ "targets": [format!("127.0.0.1:{alerts}")] }] }] },
            "scrape_configs": [{
                "job_name": "ferry",
                "file_sd_configs": [{ "files": ["targets.json"], "refresh_interval": "1s" }],
            }],
        });
        fs::write(path("prometheus.yml"), config.to_string()).unwrap(); // JSON is YAML
        let told = Arc::<Mutex<BTreeSet<String>>>::default();
        fs::write(path("alertmanager.yml"), routes(folder, receiver(told.clone()).await)).unwrap();

        let mut command = Command::new(alertmanager);
        command
            .arg(format!("--config.file={}", path("alertmanager.yml")))
            .arg(format!("--storage.path={}", path("alertmanager")))
            .arg(format!("--web.listen-address=127.0.0.1:{alerts}"))
            .arg("--cluster.listen-address=");
        let alertmanager = Worker::start(command, &folder.join("alertmanager.log"));
        let mut command = Command::new(prometheus);
        command
            .arg(format!("--config.file={}", path("prometheus.yml")))
            .arg(format!("--storage.tsdb.path={}", path("prometheus")))
            .arg(format!("--web.listen-address=127.0.0.1:{asks}"))
            .arg("--rules.alert.resend-delay=1s");
        let prometheus = (Worker::start(command, &folder.join("prometheus.log")), asks);
        Some(Monitoring { targets: folder.join("targets.json"), prometheus, alertmanager, told })
    }

    /// From now on these ports are scraped, and no others.
    pub fn scrape(&self, ports: &[u16]) {
        let targets: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let written = self.targets.with_extension("new");
        fs::write(&written, json!([{ "targets": targets }]).to_string()).unwrap();
        fs::rename(&written, &self.targets).unwrap(); // Prometheus never reads half of it
    }

    /// Alerts that fire, by Prometheus.
    pub async fn firing(&self) -> BTreeSet<String> {
        let alerts = get(self.prometheus.1, "/api/v1/alerts").await;
        let alerts = alerts["data"]["alerts"].as_array().expect("Prometheus answers with its alerts").clone();
        alerts.iter().filter(|alert| alert["state"] == "firing").map(|alert| name(&alert["labels"])).collect()
    }

    /// Alerts that people were told of, and not told the end of.
    pub fn told(&self) -> BTreeSet<String> {
        self.told.lock().unwrap().clone()
    }

    /// What Prometheus answers to a query: labels and number of each series.
    pub async fn ask(&self, query: &str) -> Result<Vec<(BTreeMap<String, String>, f64)>, String> {
        let mut path = url::Url::parse("http://prometheus/api/v1/query").unwrap();
        path.query_pairs_mut().append_pair("query", query);
        let answer =
            get(self.prometheus.1, &format!("{}?{}", path.path(), path.query().unwrap_or_default())).await;
        let Some(series) = answer["data"]["result"].as_array() else { return Err(answer.to_string()) };
        let number = |one: &Value| one["value"][1].as_str().and_then(|text| text.parse().ok());
        let labels = |one: &Value| serde_json::from_value(one["metric"].clone()).unwrap_or_default();
        Ok(series.iter().map(|one| (labels(one), number(one).unwrap_or(f64::NAN))).collect())
    }

    /// The number of the only series; `None` without one.
    pub async fn number(&self, query: &str) -> Option<f64> {
        self.ask(query).await.ok()?.first().map(|(_, number)| *number)
    }

    /// What both said, for a scenario that failed.
    pub fn said(&self) -> String {
        format!("{}\n{}", self.prometheus.0.said(), self.alertmanager.said())
    }
}

/// The text of a file of `ops/`.
fn ops(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ops").join(name)).unwrap()
}

/// The routes of `ops/`, with this receiver in place of those that people fill in.
fn routes(folder: &Path, port: u16) -> String {
    let secret = folder.join("receiver-secret");
    fs::write(&secret, "none").unwrap();
    let replaced = |line: &str| match line.trim_start() {
        url if url.contains("url: http") => {
            let (before, _) = line.split_once("http").unwrap();
            format!("{before}http://127.0.0.1:{port}/")
        }
        credentials if credentials.contains("credentials_file:") => {
            let (before, _) = line.split_once("credentials_file:").unwrap();
            format!("{before}credentials_file: {}}}", secret.display())
        }
        _ => line.to_owned(),
    };
    let routes = faster(&ops("alertmanager/alertmanager.yml"));
    routes.lines().map(|line| replaced(line) + "\n").collect()
}

/// Listens for what Alertmanager sends to people.
async fn receiver(told: Arc<Mutex<BTreeSet<String>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(notified(stream, told.clone()));
        }
    });
    port
}

/// One notification on a connection.
async fn notified(mut stream: TcpStream, told: Arc<Mutex<BTreeSet<String>>>) -> Option<()> {
    let (mut read, mut bytes) = (Vec::new(), [0; 4096]);
    let body = loop {
        let got = stream.read(&mut bytes).await.ok().filter(|got| *got > 0)?;
        read.extend_from_slice(&bytes[..got]);
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length = head.split_once("content-length: ")?.1.lines().next()?.trim().parse().ok()?;
        if body.len() >= length {
            break serde_json::from_str::<Value>(body).ok()?;
        }
    };
    for alert in body["alerts"].as_array()? {
        let mut told = told.lock().unwrap();
        match alert["status"].as_str()? {
            "firing" => drop(told.insert(name(&alert["labels"]))),
            _ => drop(told.remove(&name(&alert["labels"]))),
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.ok()
}

/// The first of these programs that is in the path.
fn program(names: &[&str]) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()))
}

fn name(labels: &Value) -> String {
    labels["alertname"].as_str().unwrap_or_default().to_owned()
}

async fn get(port: u16, path: &str) -> Value {
    let url = format!("http://127.0.0.1:{port}{path}");
    match reqwest::get(url).await {
        Ok(answer) => answer.json().await.unwrap_or_default(),
        Err(_) => Value::Null, // it begins, or the scenario ends
    }
}

/// Times in rules and routes: `[5m]`, `for: 30s`, `offset 1h`, and the like.
fn faster(text: &str) -> String {
    let mut shortened = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let digits = rest[at..].find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len() - at);
        let (before, number, after) = (&rest[..at], &rest[at..at + digits], &rest[at + digits..]);
        shortened.push_str(before);
        let seconds = match after.as_bytes().first() {
            Some(b's') => Some(1),
            Some(b'm') => Some(60),
            Some(b'h') => Some(3_600),
            Some(b'd') => Some(86_400),
            _ => None,
        };
        let alone = !after[1.min(after.len())..]
            .starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        let begins = before.is_empty() || before.ends_with(['[', ' ', ':', '(']);
        match (seconds.filter(|_| alone && begins), number.parse::<u64>()) {
            (Some(seconds), Ok(number)) => {
                shortened.push_str(&format!("{}ms", number * seconds * 1_000 / FASTER));
                rest = &after[1..];
            }
            _ => {
                shortened.push_str(number);
                rest = after;
            }
        }
    }
    shortened.push_str(rest);
    shortened
}

#[test]
fn times_are_shortened_and_names_are_not() {
    assert_eq!(
        faster("expr: x:ratio5m > 300 and rate(y[5m]) offset 1h\n    for: 30s\n# p95_5m 14.4 * 0.01"),
        "expr: x:ratio5m > 300 and rate(y[20000ms]) offset 240000ms\n    for: 2000ms\n# p95_5m 14.4 * 0.01"
    );
}
