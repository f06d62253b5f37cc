//! Servers that a test may hurt: PostgreSQL and Redis of its own, in its own folder.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Longer than a slow machine needs to start a server.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A port of this machine.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} was not ready after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server process; killed when it is dropped.
#[derive(Debug)]
struct Process(Option<Child>);

impl Process {
    fn signal(&mut self, name: &str) {
        if let Some(mut child) = self.0.take() {
            let _ = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("KILL");
    }
}

/// PostgreSQL with `fsync`, as in production, because it gets killed here.
#[derive(Debug)]
pub struct OwnPostgres {
    /// Where it listens.
    pub port: u16,
    folder: PathBuf,
    options: Vec<String>,
    process: Process,
}

impl OwnPostgres {
    /// Makes a cluster below `folder` (or in it, when that is a mount of its own) and starts it.
    pub fn start(folder: &Path, options: &[&str]) -> OwnPostgres {
        let data = folder.join("data");
        fs::create_dir_all(folder).unwrap();
        let mut init = as_postgres("initdb", folder);
        init.arg("-D").arg(&data).args(["-U", "ferry", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
        let made = init.args(["--no-sync", "--no-instructions"]).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut server =
            OwnPostgres { port: free_port(), folder: folder.to_owned(), options, process: Process(None) };
        server.up();
        server
    }

    /// One of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://ferry@127.0.0.1:{}/{database}", self.port)
    }

    /// Starts it, for the first time or again.
    pub fn up(&mut self) {
        let data = self.folder.join("data");
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut command = as_postgres("postgres", &self.folder);
        command.arg("-D").arg(&data).args(["-p", &self.port.to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        for option in &self.options {
            command.args(["-c", option]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Process(Some(command.spawn().unwrap()));
        wait_for("PostgreSQL", || {
            let word = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
            word.lines().nth(7).is_some_and(|state| state.starts_with("ready"))
        });
    }

    /// The immediate shutdown: the server has no time to write anything down.
    pub fn crash(&mut self) {
        self.process.signal("QUIT");
    }

    /// The fast shutdown of an operator.
    pub fn down(&mut self) {
        self.process.signal("INT");
    }
}

/// A program of PostgreSQL, with fewer rights than root where the test has those.
fn as_postgres(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(postgres_bin().join(program));
    if is_root() {
        let (user, group) = postgres_user();
        let _ = Command::new("chown").arg(format!("{user}:{group}")).arg(folder).status();
        command.uid(user).gid(group);
    }
    command.current_dir(folder);
    command
}

/// Whether the test may do everything.
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"))
}

fn postgres_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody")).unwrap_or((65_534, 65_534))
}

/// The newest PostgreSQL below /usr/lib, else what is in PATH.
fn postgres_bin() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            let bin = entry.path().join("bin");
            bin.join("initdb").is_file().then_some((version, bin))
        })
        .collect();
    found.sort();
    found.pop().map_or_else(PathBuf::new, |(_, bin)| bin)
}

/// Lets every user through to a folder below.
pub fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).unwrap();
}

/// A Redis (or Valkey) of its own.
#[derive(Debug)]
pub struct OwnRedis {
    /// Where it listens.
    pub port: u16,
    folder: PathBuf,
    options: Vec<String>,
    process: Process,
    /// Only held, to be removed.
    _home: Option<TempDir>,
}

impl OwnRedis {
    /// Without options it keeps nothing on disk.
    pub fn start(folder: &Path, options: &[&str]) -> OwnRedis {
        fs::create_dir_all(folder).unwrap();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let (port, folder, process) = (free_port(), folder.to_owned(), Process(None));
        let mut server = OwnRedis { port, folder, options, process, _home: None };
        server.up();
        server
    }

    /// In a folder that goes with it; `None`, said on stderr, where no program is installed.
    pub fn private(options: &[&str]) -> Option<OwnRedis> {
        if redis_program().is_none() {
            eprintln!("skipped: neither redis-server nor valkey-server is installed");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let mut server = OwnRedis::start(home.path(), options);
        server._home = Some(home);
        Some(server)
    }

    /// A Sentinel that watches this server; it takes a free port of its own.
    pub fn sentinel(&self) -> OwnRedis {
        let home = tempfile::tempdir().unwrap();
        let settings = home.path().join("sentinel.conf");
        fs::write(&settings, format!("sentinel monitor main 127.0.0.1 {} 1\n", self.port)).unwrap();
        let options = vec![settings.display().to_string(), "--sentinel".to_owned()];
        let (port, folder) = (free_port(), home.path().to_owned());
        let mut server = OwnRedis { port, folder, options, process: Process(None), _home: Some(home) };
        server.up();
        server
    }

    /// For clients.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it, for the first time or again, with what its options kept.
    pub fn up(&mut self) {
        let path = self.folder.join("log");
        let log = fs::File::create(&path).unwrap();
        let mut command = Command::new(redis_program().unwrap_or("redis-server"));
        // A file of settings comes before all options.
        let own = [&self.port.to_string(), "--bind", "127.0.0.1"].map(str::to_owned);
        let sentinel = self.options.iter().any(|option| option == "--sentinel");
        match sentinel {
            true => command.args(&self.options).arg("--port").args(own),
            false => command.arg("--port").args(own).args(["--save", ""]).args(&self.options),
        };
        command.arg("--dir").arg(&self.folder);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Process(Some(command.spawn().unwrap()));
        wait_for("Redis", || {
            let said = fs::read_to_string(&path).unwrap_or_default();
            said.contains("Ready to accept connections") || said.contains("Sentinel ID is")
        });
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.signal("KILL");
    }

    /// SIGTERM, as an operator stops it.
    pub fn stop(&mut self) {
        self.process.signal("TERM");
    }

    /// Where it keeps what it keeps.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn redis_program() -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    ["redis-server", "valkey-server"].into_iter().find(is_there)
}
