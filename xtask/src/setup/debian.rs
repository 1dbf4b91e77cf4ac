//! Debian's packages, unpacked into the user's cache, with all that they need and this system lacks. Nothing is installed.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::cache::{self, Cache};
use crate::process;

/// A package, as apt would install it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    architecture: String,
}

/// `true` if this system has Debian's tools.
pub fn is_here() -> bool {
    ["apt-get", "dpkg-deb", "dpkg-query"].into_iter().all(|tool| process::starts(&mut Command::new(tool)))
}

/// Unpacks packages, and what they need, side by side into one directory, which it returns. Interrupted, it goes on with
/// what was downloaded before. [`forget`] removes that directory and what else was needed to make it.
///
/// # Errors
/// If there is no such package, or it cannot be downloaded.
pub fn unpack(cache: &Cache, packages: &[&str]) -> Result<PathBuf> {
    let place = workshop(cache);
    let downloads = place.join("downloads");
    for directory in ["lists/partial", "archives/partial", "downloads"] {
        let directory = place.join(directory);
        fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    fs::write(place.join("apt.conf"), configuration(&place))?;
    fs::write(place.join("status"), "")?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").current_dir(&downloads);
        apt.arg("-c").arg(place.join("apt.conf"));
        apt
    };

    println!("  reading the lists of packages");
    // One unreachable server of many, or signatures of strangers, need not matter.
    let update = apt().args(["-qq", "update"]).output().context("apt-get cannot be started")?;
    let simulation = apt().args(["-qq", "-s", "--no-install-recommends", "install"]).args(packages).output()?;
    if !simulation.status.success() {
        let said = [&update, &simulation].into_iter().find_map(|output| complaint(&output.stderr));
        bail!("apt-get finds no package {}: {}", packages.join(", "), said.unwrap_or_else(|| "it does not say why".into()));
    }
    let needed = parse_simulation(&String::from_utf8_lossy(&simulation.stdout));
    let status = ["-W", "-f", "${Package} ${Architecture} ${db:Status-Status}\n"];
    let installed = process::output(Command::new("dpkg-query").args(status))?;
    let missing = without_installed(needed, &installed);

    println!("  downloading what is needed and not installed ({})", missing.len());
    let exact = missing.iter().map(|package| format!("{}:{}={}", package.name, package.architecture, package.version));
    let download = apt().args(["-q", "download"]).args(exact).status()?;
    if !download.success() {
        bail!("`apt-get download` failed ({download}), see above; the next attempt goes on from there");
    }

    println!("  unpacking them");
    let tree = place.join("tree");
    cache::empty_directory(&tree)?;
    for package in missing {
        let file = downloads.join(package.file_name());
        process::output(Command::new("dpkg-deb").arg("-x").arg(file).arg(&tree))?;
    }
    Ok(tree)
}

/// Removes what [`unpack`] needed and made.
///
/// # Errors
/// If it stays.
pub fn forget(cache: &Cache) -> Result<()> {
    cache::remove(&workshop(cache))
}

fn workshop(cache: &Cache) -> PathBuf {
    cache.directory.join("debian")
}

/// apt with lists and caches of its own, which any user may write, and no hooks of the system.
///
/// The empty status makes apt name every package that is needed: what is installed is taken away afterwards. So no package
/// of the system can be in the way, be it too new, held back or half installed.
fn configuration(place: &Path) -> String {
    let place = place.display();
    format!(
        "Dir::State::lists \"{place}/lists/\";\n\
         Dir::State::status \"{place}/status\";\n\
         Dir::State::extended_states \"{place}/extended_states\";\n\
         Dir::Cache \"{place}/\";\n\
         APT::Sandbox::User \"\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"2\";\n\
         Acquire::http::Timeout \"30\";\n\
         Acquire::https::Timeout \"30\";\n\
         #clear APT::Update;\n\
         #clear AptCli;\n"
    )
}

/// The packages of lines like `Inst libfdt1 [1.5] (1.6.1-4 Debian:12.15/oldstable [amd64])`.
fn parse_simulation(simulation: &str) -> BTreeSet<Package> {
    let parse = |line: &str| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
        let (inside, _) = rest.split_once('(')?.1.split_once(')')?;
        let (version, origin) = inside.split_once(' ')?;
        let architecture = origin.rsplit_once('[')?.1.strip_suffix(']')?;
        let name = name.split(':').next()?;
        Some(Package { name: name.into(), version: version.into(), architecture: architecture.into() })
    };
    simulation.lines().filter_map(parse).collect()
}

/// Takes away what is installed in the same architecture, in any version. `installed` has lines like `libc6 amd64 installed`.
fn without_installed(needed: BTreeSet<Package>, installed: &str) -> Vec<Package> {
    let installed: BTreeSet<(&str, &str)> = installed
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (name, architecture, status) = (words.next()?, words.next()?, words.next()?);
            (status == "installed").then_some((name, architecture))
        })
        .collect();
    needed.into_iter().filter(|package| !installed.contains(&(&package.name, &package.architecture))).collect()
}

/// The first error or warning of apt, without its `E:`.
fn complaint(errors: &[u8]) -> Option<String> {
    let errors = String::from_utf8_lossy(errors);
    let complaint = ["E: ", "W: "].into_iter().find_map(|mark| errors.lines().find_map(|line| line.strip_prefix(mark)));
    complaint.map(|line| line.trim().to_owned())
}

impl Package {
    /// The file that `apt-get download` makes.
    fn file_name(&self) -> String {
        let version = self.version.replace('%', "%25").replace(':', "%3a");
        format!("{}_{version}_{}.deb", self.name, self.architecture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, architecture: &str) -> Package {
        Package { name: name.into(), version: version.into(), architecture: architecture.into() }
    }

    #[test]
    fn the_simulation_names_every_package_with_version_and_architecture() {
        let simulation = "NOTE: This is only a simulation!\n\
            Note, selecting 'qemu-system-misc' instead of 'qemu-system-riscv32'\n\
            Inst libgcc-s1 (12.2.0-14+deb12u1 Debian:12.15/oldstable [amd64]) []\n\
            Inst libaudit1 [1:3.0.8] (1:3.0.9-1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64])\n\
            Inst qemu-system-data (1:7.2+dfsg-7+deb12u18 Debian:12.15/oldstable [all])\n\
            Inst zlib1g:i386 (1:1.2.13 Ubuntu:24.04/noble [i386])\n\
            Conf libgcc-s1 (12.2.0-14+deb12u1 Debian:12.15/oldstable [amd64])\n";
        let expected = [
            package("libaudit1", "1:3.0.9-1", "amd64"),
            package("libgcc-s1", "12.2.0-14+deb12u1", "amd64"),
            package("qemu-system-data", "1:7.2+dfsg-7+deb12u18", "all"),
            package("zlib1g", "1:1.2.13", "i386"),
        ];
        assert_eq!(parse_simulation(simulation), BTreeSet::from(expected));
        assert!(parse_simulation("Inst broken\nInst a (1)\n\n").is_empty());
    }

    #[test]
    fn only_what_is_installed_in_the_same_architecture_is_taken_away() {
        let needed = BTreeSet::from([
            package("libc6", "2.36", "amd64"),
            package("libfdt1", "1.6", "amd64"),
            package("libpng16", "1.6", "amd64"),
            package("qemu-system-data", "7.2", "all"),
        ]);
        let installed = "libc6 amd64 installed\nlibc6 i386 installed\nlibfdt1 i386 installed\nlibpng16 amd64 config-files\n";
        let missing = without_installed(needed, installed);
        assert_eq!(
            missing.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(),
            ["libfdt1", "libpng16", "qemu-system-data"]
        );
    }

    #[test]
    fn colons_of_versions_are_escaped_in_names_of_files() {
        assert_eq!(package("libcacard0", "1:2.8.0-3", "amd64").file_name(), "libcacard0_1%3a2.8.0-3_amd64.deb");
    }

    #[test]
    fn the_first_complaint_is_an_error_if_there_is_one() {
        let errors = b"W: Failed to fetch http://x  Could not resolve 'x'\nE: Unable to locate package qemu-system-arm\n";
        assert_eq!(complaint(errors).unwrap(), "Unable to locate package qemu-system-arm");
        assert_eq!(complaint(&errors[..51]).unwrap(), "Failed to fetch http://x  Could not resolve 'x'");
        assert_eq!(complaint(b""), None);
    }
}
