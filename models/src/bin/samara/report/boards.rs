//! What fits on which board.

use std::fmt::Write as _;

use crate::output::thousands;

/// A board that can be bought.
struct Board {
    name: &'static str,
    core: &'static str,
    /// KiB that a program can have in one piece.
    ram: u32,
    /// KiB.
    flash: u32,
}

const fn board(name: &'static str, core: &'static str, ram: u32, flash: u32) -> Board {
    Board { name, core, ram, flash }
}

/// By the makers' data sheets; the smallest first.
const BOARDS: [Board; 11] = [
    board("BBC micro:bit v1 (nRF51822)", "Cortex-M0", 16, 256),
    board("ST Nucleo-L432KC (STM32L432KC)", "Cortex-M4F", 64, 256),
    board("BBC micro:bit v2 (nRF52833)", "Cortex-M4F", 128, 512),
    board("ST Nucleo-F446RE (STM32F446RE)", "Cortex-M4F", 128, 512),
    board("Arduino Nano 33 BLE (nRF52840)", "Cortex-M4F", 256, 1024),
    board("Raspberry Pi Pico (RP2040)", "Cortex-M0+", 264, 2048),
    board("ST Discovery F746G (STM32F746NG)", "Cortex-M7", 320, 1024),
    board("nRF5340 DK (nRF5340)", "Cortex-M33", 512, 1024),
    board("ST Nucleo-H743ZI (STM32H743ZI)", "Cortex-M7", 512, 2048),
    board("Raspberry Pi Pico 2 (RP2350)", "Cortex-M33 or RV32IMAC", 520, 4096),
    board("ST Nucleo-U575ZI-Q (STM32U575ZI)", "Cortex-M33", 768, 2048),
];

/// A table: how much of each board's memory the arena and the model file take.
pub fn draw(arena_bytes: usize, model_bytes: usize) -> String {
    let mut html = String::from(
        "<table><tr><th class=\"left\">board</th><th class=\"left\">core</th><th>RAM</th><th>flash</th><th>arena in RAM</th>\
         <th>model in flash</th><th>fits</th></tr>",
    );
    for Board { name, core, ram, flash } in &BOARDS {
        let shares = [(arena_bytes, *ram), (model_bytes, *flash)].map(|(bytes, kib)| bytes as f64 / (f64::from(kib) * 1024.0));
        let bar = |share: f64| {
            let colour = if share > 1.0 { "#d55e00" } else { "#009e73" };
            format!(
                "<td class=\"bar\" style=\"background: linear-gradient(to right, {colour}55 {0:.0}%, transparent {0:.0}%)\">{1:.1}%</td>",
                (100.0 * share).min(100.0),
                100.0 * share
            )
        };
        let fits =
            if shares.iter().all(|share| *share <= 1.0) { "<td class=\"yes\">yes</td>" } else { "<td class=\"no\">no</td>" };
        let _ = write!(
            html,
            "<tr><td class=\"left\">{name}</td><td class=\"left\">{core}</td><td>{} KiB</td><td>{} KiB</td>{}{}{fits}</tr>",
            thousands(u64::from(*ram)),
            thousands(u64::from(*flash)),
            bar(shares[0]),
            bar(shares[1])
        );
    }
    html + "</table>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_fits_where_ram_and_flash_suffice() {
        // More than 16 KiB of RAM, and more than 256 KiB of flash.
        let html = draw(20 * 1024, 300 * 1024);
        let rows: Vec<&str> = html.split("<tr>").filter(|row| row.contains("KiB")).collect();
        let fits: Vec<bool> = rows.iter().map(|row| row.contains(">yes<")).collect();
        assert_eq!(fits[..4], [false, false, true, true], "{html}");
        assert!(rows[0].contains(">125.0%<") && rows[1].contains(">31.2%<") && rows[1].contains(">117.2%<"), "{html}");
    }
}
