//! `cargo xtask setup` on a machine that has nothing: no emulator on the path, an empty cache in a scratch home, and programs
//! in place of apt's, dpkg's and Rust's that need no network and write down how they were called.

#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// A scratch machine.
struct Machine(tempfile::TempDir);

const FILES: [&str; 4] =
    ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"];

/// Packages by name and version; a directory of that name is packed as what they hold.
const PACKAGES: [(&str, &str); 4] =
    [("libslate1", "1:2.0"), ("qemu-system-arm", "1:7.2"), ("qemu-system-misc", "1:7.2"), ("dataset-fashion-mnist", "0.1")];

const APT_GET: &str = r#"
[ "$1" = --version ] && exit
echo "apt-get $*" >> "$SCRATCH/log"
case " $* " in
*" update "*) echo "W: Failed to fetch http://stranger" >&2; exit 100 ;;
*" -s "*dataset*) echo "Inst dataset-fashion-mnist (0.1 Debian:12/stable [all])" ;;
*" -s "*)
  [ -e "$SCRATCH/no-such-package" ] && { echo "E: Unable to locate package qemu-system-arm" >&2; exit 100; }
  echo "Inst libc6 (2.36 Debian:12/stable [amd64])"
  echo "Inst libslate1 (1:2.0 Debian:12/stable [amd64])"
  echo "Inst qemu-system-arm (1:7.2 Debian:12/stable [amd64])"
  echo "Inst qemu-system-misc (1:7.2 Debian:12/stable [amd64])" ;;
*" download "*)
  [ -e "$SCRATCH/offline" ] && exit 100
  for package; do case "$package" in *=*)
    name=${package%%:*}
    case "$package" in dataset*) file=dataset-fashion-mnist_0.1_all ;; qemu*) file=${name}_1%3a7.2_amd64 ;;
      libslate1*) file=libslate1_1%3a2.0_amd64 ;; *) exit 100 ;; esac
    cp "$SCRATCH/packages/$name.tar" "$file.deb" ;;
  esac; done ;;
*) echo "this would change the system" >&2; exit 1 ;;
esac
"#;

/// An emulator that starts only where the loader is told of a library that this system lacks.
const EMULATOR: &str = r#"
[ -e "$LD_LIBRARY_PATH/libslate.so.1" ] || exit 127
echo "QEMU emulator version 7.2.22 (Debian 1:7.2)"
"#;

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.program("bin/apt-get", APT_GET);
        machine.program("bin/dpkg-query", "echo 'libc6 amd64 installed'; echo 'libslate1 i386 installed'");
        machine.program("bin/dpkg-deb", "[ \"$1\" = --version ] || tar -xf \"$2\" -C \"$3\"");
        machine.program("bin/rustc", "echo \"$SCRATCH/sysroot\"");
        machine.program("bin/rustup", "shift 2; for target; do mkdir -p \"$SCRATCH/sysroot/lib/rustlib/$target/lib\"; done");
        machine.program("cargo", "[ \"$2\" = --version ] || { echo \"cargo $*\" >> \"$SCRATCH/log\"; exit 1; }");
        machine.program("packages/qemu-system-arm/usr/bin/qemu-system-arm", EMULATOR);
        machine.program("packages/qemu-system-misc/usr/bin/qemu-system-riscv32", EMULATOR);
        machine.program("packages/qemu-system-misc/usr/bin/qemu-system-alpha", EMULATOR);
        machine.file("packages/qemu-system-misc/usr/share/qemu/bios.bin", "a ROM image");
        machine.file("packages/libslate1/usr/lib/x86_64-linux-gnu/libslate.so.1.0", "a library");
        std::os::unix::fs::symlink(
            "libslate.so.1.0",
            machine.path("packages/libslate1/usr/lib/x86_64-linux-gnu/libslate.so.1"),
        )
        .unwrap();
        for file in FILES {
            machine.file(&format!("packages/dataset-fashion-mnist/usr/share/datasets/fashion-mnist/{file}"), file);
        }
        for (package, _) in PACKAGES {
            let directory = machine.path("packages").join(package);
            let tar = machine.path("packages").join(format!("{package}.tar"));
            assert!(Command::new("tar").arg("-cf").arg(tar).arg("-C").arg(directory).arg("usr").status().unwrap().success());
        }
        machine
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn file(&self, below: &str, content: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn program(&self, below: &str, script: &str) {
        self.file(below, &format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n"));
        fs::set_permissions(self.path(below), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn start(&self) -> Child {
        let mut setup = Command::new(env!("CARGO_BIN_EXE_xtask"));
        setup.arg("setup").stdout(Stdio::piped()).stderr(Stdio::piped()).env_clear();
        setup.env("PATH", self.path("bin")).env("HOME", self.path("home")).env("SCRATCH", self.0.path());
        setup.env("CARGO", self.path("cargo")).spawn().unwrap()
    }

    /// Runs set-up; its success, and all that it printed.
    fn set_up(&self) -> (bool, String) {
        ended(self.start())
    }

    /// How apt and cargo were called, in order.
    fn calls(&self) -> Vec<String> {
        fs::read_to_string(self.path("log")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn cache(&self, below: &str) -> PathBuf {
        self.path("home/.cache/samara").join(below)
    }
}

fn ended(child: Child) -> (bool, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.success(), [stdout, stderr].map(|text| String::from_utf8(text).unwrap()).concat())
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Where the system has the data set, it is taken from there.
fn system_has_data() -> bool {
    let directory = Path::new("/usr/share/datasets/fashion-mnist");
    FILES.iter().all(|file| directory.join(file).exists())
}

#[test]
fn everything_is_unpacked_into_the_cache_and_found_there_the_next_time() {
    let machine = Machine::new();
    let (success, printed) = machine.set_up();
    assert!(success, "{printed}");
    assert_eq!(names(&machine.cache("qemu/bin")), ["qemu-system-arm", "qemu-system-riscv32"], "other emulators stay out");
    assert_eq!(names(&machine.cache("qemu/lib")), ["libslate.so.1", "libslate.so.1.0"], "and the loader finds the libraries");
    let in_cache = if system_has_data() { vec!["qemu", "setup.lock"] } else { vec!["fashion-mnist", "qemu", "setup.lock"] };
    assert_eq!(names(&machine.cache("")), in_cache, "no lists, downloads or half-made directories stay");
    if !system_has_data() {
        let mut files = FILES;
        files.sort_unstable();
        assert_eq!(names(&machine.cache("fashion-mnist")), files);
    }
    let calls = machine.calls();
    let download = calls.iter().find(|call| call.contains("download")).unwrap();
    assert!(
        download.ends_with("download libslate1:amd64=1:2.0 qemu-system-arm:amd64=1:7.2 qemu-system-misc:amd64=1:7.2"),
        "libc6 is installed, libslate1 only for another architecture: {download}"
    );
    assert!(calls.iter().all(|call| !call.contains("install") || call.contains(" -s ")), "nothing is installed: {calls:?}");

    let (success, printed) = machine.set_up();
    assert!(success, "{printed}");
    assert!(printed.contains("home/.cache/samara/qemu/bin/qemu-system-arm 7.2.22"), "{printed}");
    assert_eq!(machine.calls(), calls, "the second time, nothing is fetched");
}

#[test]
fn two_at_once_fetch_once() {
    let machine = Machine::new();
    let both = [machine.start(), machine.start()];
    for (success, printed) in both.map(ended) {
        assert!(success, "{printed}");
    }
    let downloads = machine.calls().into_iter().filter(|call| call.contains("download") && call.contains("qemu")).count();
    assert_eq!(downloads, 1);
}

#[test]
fn what_failed_is_told_leaves_nothing_half_made_and_works_later() {
    let machine = Machine::new();
    machine.file("offline", "");
    let (success, printed) = machine.set_up();
    assert!(!success);
    assert!(printed.contains("QEMU: qemu-system-arm and qemu-system-riscv32 are missing, and Debian's packages"), "{printed}");
    assert!(printed.contains("install QEMU"), "{printed}");
    assert!(!machine.cache("qemu").exists());
    if !system_has_data() {
        assert!(machine.calls().iter().any(|call| call.ends_with("data fetch fashion-mnist")), "the last resort is tried");
        assert!(printed.contains("Fashion-MNIST: neither found nor downloaded"), "{printed}");
    }
    fs::remove_file(machine.path("offline")).unwrap();
    // A program that was cut short, as by a full disk.
    machine.file("home/.cache/samara/qemu/bin/qemu-system-arm", "");
    let (success, printed) = machine.set_up();
    assert!(success, "{printed}");

    let machine = Machine::new();
    machine.file("no-such-package", "");
    let (success, printed) = machine.set_up();
    assert!(!success);
    assert!(printed.contains("(apt-get finds no package qemu-system-arm, qemu-system-riscv32: Failed to fetch"), "{printed}");
}

#[test]
fn a_system_without_apt_is_told_in_one_sentence_what_to_install() {
    let machine = Machine::new();
    fs::remove_file(machine.path("bin/apt-get")).unwrap();
    let (success, printed) = machine.set_up();
    assert!(!success);
    let sentence = printed.lines().find(|line| line.starts_with("QEMU: ")).unwrap();
    assert!(sentence.starts_with("QEMU: qemu-system-arm and qemu-system-riscv32 are missing; install QEMU"), "{sentence}");
}

#[test]
fn emulators_on_the_path_are_taken() {
    let machine = Machine::new();
    for name in ["qemu-system-arm", "qemu-system-riscv32"] {
        machine.program(&format!("bin/{name}"), "echo 'QEMU emulator version 9.1.0'");
    }
    let (_, printed) = machine.set_up();
    assert!(printed.contains("QEMU: qemu-system-arm 9.1.0"), "{printed}");
    assert!(!machine.cache("qemu").exists());
}
