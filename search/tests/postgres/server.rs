//! A PostgreSQL server of a test: in a directory and on a port of its own, without the system's ones being touched.

use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The user of the databases; the server trusts whoever it lets in.
const USER: &str = "samara";
/// A server may take so long to start or to stop.
const LIMIT: Duration = Duration::from_secs(30);

/// A server that runs until it is dropped.
pub struct Server {
    directory: TempDir,
    programs: Programs,
    port: u16,
    /// Where it listens.
    addresses: Vec<String>,
    process: Option<Child>,
}

/// Where the server's programs are, and who may run them.
struct Programs {
    bin: PathBuf,
    /// Libraries that the system lacks.
    libraries: Option<PathBuf>,
    /// Of whom the server refuses to be run by the superuser: another one.
    user: Option<&'static str>,
}

impl Programs {
    /// `SAMARA_POSTGRES` names their directory, and `SAMARA_POSTGRES_LIBRARIES` that of their libraries, as `cargo xtask test` found them.
    fn find(directory: &Path) -> Self {
        let given = std::env::var_os("SAMARA_POSTGRES").expect("SAMARA_POSTGRES names the directory of PostgreSQL's programs");
        let libraries = std::env::var_os("SAMARA_POSTGRES_LIBRARIES").map(PathBuf::from);
        let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let has = |user: &&str| {
            Command::new("id")
                .arg(user)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        let mut programs = Self { bin: given.into(), libraries, user: None };
        if is_root {
            programs.user = ["postgres", "nobody"].into_iter().find(has);
            if let Some(libraries) = programs.libraries.clone() {
                // They are in the superuser's cache, where nobody else may look: the tree is copied.
                let root = libraries.parent().expect("a tree of programs").to_owned();
                let copy = directory.join("programs");
                run(Command::new("cp").arg("-a").arg(&root).arg(&copy));
                run(Command::new("chmod").args(["-R", "a+rX"]).arg(&copy));
                programs.bin = copy.join(programs.bin.strip_prefix(&root).expect("programs of one tree"));
                programs.libraries = Some(copy.join(libraries.strip_prefix(&root).expect("libraries of one tree")));
            }
        }
        programs
    }

    fn command(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        let mut command = match self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                let group = Command::new("id").args(["-g", user]).output().expect("`id` runs").stdout;
                let group = String::from_utf8_lossy(&group).trim().to_owned();
                command.args(["--reuid", user, "--regid", &group, "--clear-groups"]).arg(program);
                command
            }
        };
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.stdin(Stdio::null());
        command
    }
}

impl Server {
    /// Starts a server for this machine.
    pub fn start() -> Self {
        Self::start_for(None)
    }

    /// Starts a server whose database `studies` is reached by encrypted connections alone, and writes the certificate that it is known by to a file.
    pub fn start_encrypted(certificate: &Path) -> Self {
        let mut server = Self::start();
        server.stop();
        let data = server.directory.path().join("data");
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (public, secret) = (own.cert.pem(), own.signing_key.serialize_pem());
        fs::write(certificate, &public).unwrap();
        fs::write(data.join("server.crt"), public).unwrap();
        fs::write(data.join("server.key"), secret).unwrap();
        fs::set_permissions(data.join("server.key"), Permissions::from_mode(0o600)).unwrap();
        fs::write(data.join("pg_hba.conf"), "hostnossl template1 all 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 trust\n")
            .unwrap();
        let mut configuration = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        configuration += "\nssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n";
        fs::write(data.join("postgresql.conf"), configuration).unwrap();
        if let Some(user) = server.programs.user {
            run(Command::new("chown").args(["-R", user]).arg(&data));
        }
        server.resume();
        server
    }

    /// Starts a server that listens at another address, too, and trusts those of its network: an address and how many bits of it are the network's.
    pub fn start_for(network: Option<(&str, u8)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let programs = Programs::find(directory.path());
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        if let Some(user) = programs.user {
            run(Command::new("chown").arg(user).arg(&data));
        }
        let mut make = programs.command("initdb");
        make.current_dir(&data).args([
            "--auth",
            "trust",
            "--username",
            USER,
            "--no-sync",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
            "-D",
        ]);
        run(make.arg(&data));
        let mut addresses = vec!["127.0.0.1".to_owned()];
        if let Some((address, bits)) = network {
            addresses.push(address.to_owned());
            let trusted =
                format!("{}host all all {address}/{bits} trust\n", fs::read_to_string(data.join("pg_hba.conf")).unwrap());
            fs::write(data.join("pg_hba.conf"), trusted).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { directory, programs, port, addresses, process: None };
        server.resume();
        server
    }

    /// Starts the server where it was stopped.
    pub fn resume(&mut self) {
        let data = self.directory.path().join("data");
        let log = File::options().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let mut command = self.programs.command("postgres");
        command.current_dir(&data).stdout(log.try_clone().unwrap()).stderr(log);
        command.arg("-D").arg(&data).args(["-p", &self.port.to_string(), "-k", "", "-c", "fsync=off"]);
        let process = command.args(["-c", &format!("listen_addresses={}", self.addresses.join(","))]).spawn().unwrap();
        self.process = Some(process);
        let started = Instant::now();
        while postgres::Client::connect(&self.url("template1"), postgres::NoTls).is_err() {
            assert!(started.elapsed() < LIMIT, "the server does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops the server, with all connections.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // Its own fast shutdown.
        run(Command::new("kill").args(["-INT", &process.id().to_string()]));
        let started = Instant::now();
        while process.try_wait().unwrap().is_none() {
            if started.elapsed() > LIMIT {
                process.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the server wrote.
    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Of a database, seen from this machine.
    pub fn url(&self, database: &str) -> String {
        self.url_at("127.0.0.1", database)
    }

    /// Of a database, seen from elsewhere.
    pub fn url_at(&self, address: &str, database: &str) -> String {
        format!("postgres://{USER}@{address}:{}/{database}", self.port)
    }

    /// A connection to a database.
    pub fn client(&self, database: &str) -> postgres::Client {
        postgres::Client::connect(&self.url(database), postgres::NoTls).unwrap()
    }

    /// Makes a database; its URL.
    pub fn database(&self, name: &str) -> String {
        self.client("template1").batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        self.url(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
