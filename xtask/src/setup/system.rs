//! What to tell a user to install, by operating system.

use std::{env, fs};

/// A sentence that says how QEMU is installed on this system.
pub fn advice() -> String {
    sentence(env::consts::OS, &fs::read_to_string("/etc/os-release").unwrap_or_default())
}

/// The sentence for an operating system, as Rust names it, and for a Linux distribution, as its `os-release` says.
fn sentence(os: &str, os_release: &str) -> String {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    let families = format!("{} {}", value("ID"), value("ID_LIKE"));
    let is = |family: &str| families.split(' ').any(|word| word == family);
    let command = match os {
        "macos" => Some("brew install qemu"),
        "windows" => Some("winget install SoftwareFreedomConservancy.QEMU"),
        _ if is("debian") || is("ubuntu") => Some("sudo apt-get install qemu-system-arm qemu-system-riscv32"),
        // Red Hat's own releases derive from Fedora, and have no QEMU for other processors.
        _ if is("fedora") && !is("rhel") => Some("sudo dnf install qemu-system-arm qemu-system-riscv"),
        _ if is("arch") => Some("sudo pacman -S qemu-system-arm qemu-system-riscv"),
        _ if is("alpine") => Some("doas apk add qemu-system-arm qemu-system-riscv32"),
        _ => None,
    };
    match command {
        Some(command) if os == "windows" => format!("install QEMU by `{command}`, and add its directory to PATH"),
        Some(command) => format!("install QEMU by `{command}`"),
        None => "install QEMU 7.2 or newer, with qemu-system-arm and qemu-system-riscv32 on the path".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_is_told_its_own_command() {
        let cases = [
            ("macos", "", "install QEMU by `brew install qemu`"),
            ("windows", "", "install QEMU by `winget install SoftwareFreedomConservancy.QEMU`, and add its directory to PATH"),
            (
                "linux",
                "PRETTY_NAME=\"Linux Mint 22\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
                "install QEMU by `sudo apt-get install qemu-system-arm qemu-system-riscv32`",
            ),
            (
                "linux",
                "NAME=\"Fedora Linux\"\nVERSION_ID=42\nID=fedora\n",
                "install QEMU by `sudo dnf install qemu-system-arm qemu-system-riscv`",
            ),
            (
                "linux",
                "NAME=\"Rocky Linux\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                "install QEMU 7.2 or newer, with qemu-system-arm and qemu-system-riscv32 on the path",
            ),
            ("linux", "ID=manjaro\nID_LIKE='arch'", "install QEMU by `sudo pacman -S qemu-system-arm qemu-system-riscv`"),
            ("linux", "ID=alpine\n", "install QEMU by `doas apk add qemu-system-arm qemu-system-riscv32`"),
            ("linux", "", "install QEMU 7.2 or newer, with qemu-system-arm and qemu-system-riscv32 on the path"),
        ];
        for (os, os_release, expected) in cases {
            assert_eq!(sentence(os, os_release), expected, "{os}: {os_release}");
        }
    }
}
