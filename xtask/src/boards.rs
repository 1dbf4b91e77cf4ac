//! The emulated boards. Another one is a row here, and its memory map and registers in `firmware-example/`.

use anyhow::{Result, bail};

/// An emulated board, and how firmware for it is built.
#[derive(Debug)]
pub struct Board {
    /// What `--board` takes; also the name of the target directory.
    pub name: &'static str,
    /// The core, as tables show it.
    pub core: &'static str,
    /// Directory in `firmware-example/boards/` with the memory map.
    pub hardware: &'static str,
    /// Target triple.
    pub target: &'static str,
    /// Compiler flags that choose the core.
    pub rust_flags: &'static str,
    /// QEMU's program.
    pub emulator: &'static str,
    /// QEMU's machine, and what else it needs.
    pub machine: &'static [&'static str],
    /// The SIMD variant that must be active: a silent fall-back to portable code is a failure.
    pub simd_variant: &'static str,
    /// Flash, in bytes; as `memory.x` has it.
    pub flash_bytes: usize,
    /// RAM, in bytes; as `memory.x` has it.
    pub ram_bytes: usize,
}

const ARM: &str = "qemu-system-arm";
const MIB: usize = 1 << 20;
const KIB: usize = 1 << 10;

/// All boards, the smallest core first.
pub const BOARDS: [Board; 8] = [
    Board {
        name: "microbit",
        core: "Cortex-M0 (16 KiB RAM)",
        hardware: "microbit",
        target: "thumbv6m-none-eabi",
        rust_flags: "",
        emulator: ARM,
        machine: &["microbit"],
        simd_variant: "v6m",
        flash_bytes: 256 * KIB,
        ram_bytes: 16 * KIB,
    },
    // The an385 has an M3, which runs M0 code; the micro:bit's own M0 has too little RAM for most models.
    Board {
        name: "an385-m0",
        core: "Cortex-M0",
        hardware: "an385",
        target: "thumbv6m-none-eabi",
        rust_flags: "",
        emulator: ARM,
        machine: &["mps2-an385"],
        simd_variant: "v6m",
        flash_bytes: 4 * MIB,
        ram_bytes: 4 * MIB,
    },
    Board {
        name: "an385",
        core: "Cortex-M3",
        hardware: "an385",
        target: "thumbv7m-none-eabi",
        rust_flags: "",
        emulator: ARM,
        machine: &["mps2-an385"],
        simd_variant: "portable",
        flash_bytes: 4 * MIB,
        ram_bytes: 4 * MIB,
    },
    Board {
        name: "an386",
        core: "Cortex-M4F",
        hardware: "an386",
        target: "thumbv7em-none-eabihf",
        rust_flags: "-C target-cpu=cortex-m4",
        emulator: ARM,
        machine: &["mps2-an386"],
        simd_variant: "dsp",
        flash_bytes: 4 * MIB,
        ram_bytes: 4 * MIB,
    },
    Board {
        name: "an500",
        core: "Cortex-M7",
        hardware: "an500",
        target: "thumbv7em-none-eabihf",
        rust_flags: "-C target-cpu=cortex-m7",
        emulator: ARM,
        machine: &["mps2-an500"],
        simd_variant: "dsp",
        flash_bytes: 4 * MIB,
        ram_bytes: 4 * MIB,
    },
    Board {
        name: "an505",
        core: "Cortex-M33",
        hardware: "an505",
        target: "thumbv8m.main-none-eabihf",
        rust_flags: "-C target-cpu=cortex-m33",
        emulator: ARM,
        machine: &["mps2-an505"],
        simd_variant: "dsp",
        flash_bytes: 4 * MIB,
        ram_bytes: 4 * MIB,
    },
    // Without mve.fp, since Helium's float vectors flush denormals to zero; its integer half stays.
    Board {
        name: "an547",
        core: "Cortex-M55",
        hardware: "an547",
        target: "thumbv8m.main-none-eabihf",
        rust_flags: "-C target-cpu=cortex-m55 -C target-feature=-mve.fp",
        emulator: ARM,
        machine: &["mps3-an547"],
        simd_variant: "mve",
        flash_bytes: 512 * KIB,
        ram_bytes: 512 * KIB,
    },
    Board {
        name: "virt",
        core: "RV32IMAC",
        hardware: "virt",
        target: "riscv32imac-unknown-none-elf",
        rust_flags: "",
        emulator: "qemu-system-riscv32",
        machine: &["virt", "-bios", "none"],
        simd_variant: "rv32m",
        flash_bytes: 4 * MIB,
        ram_bytes: 4 * MIB,
    },
];

/// All boards, to choose from.
pub fn all() -> Vec<&'static Board> {
    BOARDS.iter().collect()
}

/// The board of that name.
///
/// # Errors
/// A sentence with all names, if there is none.
pub fn find(name: &str) -> Result<&'static Board> {
    match BOARDS.iter().find(|board| board.name == name) {
        Some(board) => Ok(board),
        None => {
            let names: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
            bail!("there is no board {name:?}: choose one of {}", names.join(", "))
        }
    }
}

/// The boards of those names, or `default` if there are none.
///
/// # Errors
/// As [`find`].
pub fn select(names: &[String], default: fn() -> Vec<&'static Board>) -> Result<Vec<&'static Board>> {
    if names.is_empty() { Ok(default()) } else { names.iter().map(|name| find(name)).collect() }
}

/// The boards that the command `samara` knows.
#[cfg(test)]
#[path = "../../models/src/bin/samara/boards.rs"]
mod known;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_command_samara_knows_the_same_boards() {
        let ours: Vec<_> = BOARDS.iter().map(|board| (board.name, board.flash_bytes, board.ram_bytes)).collect();
        let known: Vec<_> = known::BOARDS.iter().map(|board| (board.name, board.flash_bytes, board.ram_bytes)).collect();
        assert_eq!(ours, known);
        assert!(BOARDS.iter().zip(known::BOARDS).all(|(ours, known)| ours.core.starts_with(known.core)));
    }

    #[test]
    fn names_are_unique_and_each_memory_map_says_what_the_table_says() {
        let names: HashSet<_> = BOARDS.iter().map(|board| board.name).collect();
        assert_eq!(names.len(), BOARDS.len());
        for board in &BOARDS {
            let path = crate::paths::root().join("firmware-example/boards").join(board.hardware).join("memory.x");
            let map = std::fs::read_to_string(&path).unwrap();
            assert_eq!(region(&map, "FLASH"), board.flash_bytes, "flash of {}", board.name);
            assert_eq!(region(&map, "RAM"), board.ram_bytes, "RAM of {}", board.name);
        }
    }

    /// LENGTH of a region in a memory map.
    fn region(map: &str, name: &str) -> usize {
        let line = map.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        let length = line.rsplit('=').next().unwrap().trim();
        let (number, unit) = length.split_at(length.len() - 1);
        number.parse::<usize>().unwrap() * if unit == "M" { MIB } else { KIB }
    }

    #[test]
    fn an_unknown_board_is_answered_with_the_names() {
        let message = find("an999").unwrap_err().to_string();
        assert!(message.contains("an386") && message.contains("virt"), "{message}");
    }
}
