//! Boards by name, with what memory they have: those that Samara is tested on.

/// A board.
#[derive(Debug, Clone, Copy)]
pub struct Board {
    /// Its name.
    pub name: &'static str,
    /// Its core.
    pub core: &'static str,
    /// Bytes of flash.
    pub flash_bytes: usize,
    /// Bytes of RAM.
    pub ram_bytes: usize,
}

const MIB: usize = 1 << 20;
const KIB: usize = 1 << 10;

const fn board(name: &'static str, core: &'static str, flash_bytes: usize, ram_bytes: usize) -> Board {
    Board { name, core, flash_bytes, ram_bytes }
}

/// All boards, the smallest core first.
pub const BOARDS: [Board; 8] = [
    board("microbit", "Cortex-M0", 256 * KIB, 16 * KIB),
    board("an385-m0", "Cortex-M0", 4 * MIB, 4 * MIB),
    board("an385", "Cortex-M3", 4 * MIB, 4 * MIB),
    board("an386", "Cortex-M4F", 4 * MIB, 4 * MIB),
    board("an500", "Cortex-M7", 4 * MIB, 4 * MIB),
    board("an505", "Cortex-M33", 4 * MIB, 4 * MIB),
    board("an547", "Cortex-M55", 512 * KIB, 512 * KIB),
    board("virt", "RV32IMAC", 4 * MIB, 4 * MIB),
];
