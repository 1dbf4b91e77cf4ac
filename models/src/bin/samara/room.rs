//! Whether a model becomes a file as it is asked for, and fits into a board, told before hours of training: its plan is the same before and
//! after.

use anyhow::{Result, bail};
use samara_trainer::Model;
use samara_trainer::data::Tensor;
use samara_trainer::quantize::Options;

use crate::boards::{BOARDS, Board};
use crate::{convert, export, names, output};

/// What a run takes of the stack at most, on every core (`cargo xtask device-bench` measures it).
const STACK_BYTES: usize = 1024;

/// The arguments that say how much room there is.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct RoomArguments {
    /// Refuse a model whose int8 file or arena is larger than the memory of this board: microbit, an385-m0, an385, an386, an500, an505,
    /// an547 or virt
    #[arg(long, value_name = "NAME", value_parser = board)]
    board: Option<&'static Board>,
    /// Refuse a model whose arena in int8 is larger, such as 64k, 1M or 4096 [default: the board's RAM, less 1,024 bytes for the stack]
    #[arg(long, value_name = "BYTES", value_parser = names::bytes)]
    max_ram: Option<usize>,
    /// Refuse a model whose int8 file is larger [default: the board's flash]
    #[arg(long, value_name = "BYTES", value_parser = names::bytes)]
    max_flash: Option<usize>,
}

fn board(name: &str) -> Result<&'static Board, String> {
    let names: Vec<&str> = BOARDS.iter().map(|board| board.name).collect();
    let found = BOARDS.iter().find(|board| board.name == name);
    found.ok_or_else(|| format!("there is no board {name:?}; {}", names::suggest(name, &names)))
}

/// What is needed of a kind of memory, and what there is.
struct Need {
    what: &'static str,
    bytes: usize,
    limit: Option<usize>,
}

impl RoomArguments {
    /// Plans the int8 file of the model as it is, quantized like that on these samples, one tensor per input, and says what it needs.
    ///
    /// # Errors
    /// All that does not fit; and what the options name that is not there, or a layer that no file can have.
    pub fn check(&self, model: &Model, samples: &[Tensor], options: Options<'_>, golden: convert::Golden) -> Result<()> {
        let max_ram = self.max_ram.or(self.board.map(|board| board.ram_bytes - STACK_BYTES));
        let max_flash = self.max_flash.or(self.board.map(|board| board.flash_bytes));
        let file = convert::to_int8(&export::as_if_trained(model)?, samples, options, convert::Pace::default(), golden)?;
        let needs = [
            Need { what: "an arena", bytes: file.model()?.arena_bytes(), limit: max_ram },
            Need { what: "a file", bytes: file.bytes().len(), limit: max_flash },
        ];
        let place = self.board.map_or_else(String::new, |board| format!(" on {} ({})", board.name, board.core));
        let shown = |bytes: usize| output::thousands(bytes as u64);
        let missing: Vec<String> = needs
            .iter()
            .filter_map(|Need { what, bytes, limit }| {
                let limit = limit.filter(|limit| bytes > limit)?;
                Some(format!("{what} of {} bytes, of which there are {}", shown(*bytes), shown(limit)))
            })
            .collect();
        if !missing.is_empty() {
            bail!("the model {} does not fit{place}: in int8 it has {}", model.name(), missing.join(", and "));
        }
        let [arena, file] = needs.map(|need| shown(need.bytes));
        output::note(&format!(
            "in int8 the model has an arena of {arena} bytes and a file of {file}{place}, beside the code that runs it"
        ));
        Ok(())
    }
}
