//! Depthwise convolution on RISC-V: eight channels at a time, then four.

use super::super::{
    Requantize,
    depthwise::{Depthwise, Run, fill_zero_points, zero_points_tap},
    portable::{self, store},
};
use core::arch::asm;

pub(in super::super) struct Kernels;

impl Depthwise for Kernels {
    fn prepare(_: &[i8], _: usize, _: usize, _: &Requantize, padding: i8, scratch: &mut [u32]) {
        fill_zero_points(padding, scratch);
    }

    fn padding_tap(requantize: &Requantize, input: *const i8, scratch: &[u32]) -> u32 {
        zero_points_tap(requantize, input, scratch)
    }

    fn run(run: &Run, weights: &[i8], requantize: &Requantize, _: &mut [u32], output: &mut [i8]) {
        let block = requantize.channels.len();
        if block < 4 {
            portable::depthwise_chunks::<1>(run, 0, weights, requantize, output);
            return;
        }
        let (eights, rest) = requantize.channels.as_chunks::<8>();
        let (mut input, mut output) = (run.input.as_ptr().wrapping_add(run.from), output.as_mut_ptr().wrapping_add(run.from));
        let weights = weights.as_ptr().wrapping_add(run.from);
        for _ in 0..run.pixels {
            // SAFETY: the taps of all pixels lie in the input with all channels (`depthwise.rs`; the window and the input's length
            // were checked against each other), or in the zero points; weights are `[taps, channels]`, the output has all
            // channels of each pixel, and what is done of them is within the block.
            unsafe {
                let mut first = 0;
                for constants in eights {
                    let sums = tap_sums_of_8(input.wrapping_add(first), weights.wrapping_add(first), run);
                    store(&sums, constants, requantize, &mut *output.wrapping_add(first).cast::<[i8; 8]>());
                    first += 8;
                }
                // Up to seven channels more: the last four overlap those before where they are no four.
                let mut left = rest.len();
                while left > 0 {
                    first = if left >= 4 { first } else { block - 4 };
                    let Some(constants) = requantize.channels.get(first..).and_then(<[_]>::first_chunk::<4>) else { return };
                    let sums = tap_sums_of_4(input.wrapping_add(first), weights.wrapping_add(first), run);
                    store(&sums, constants, requantize, &mut *output.wrapping_add(first).cast::<[i8; 4]>());
                    first += 4;
                    left = left.saturating_sub(4);
                }
            }
            (input, output) = (input.wrapping_add(run.step), output.wrapping_add(run.channels));
        }
    }

    fn finish(_: &Requantize, _: &mut [i8]) {}
}

/// Sums of some channels of one pixel, those of each tap with two loads, a product and a sum.
macro_rules! tap_sums {
    ($name:ident, $lanes:literal, $($at:literal $sum:ident),+) => {
        #[doc = concat!("Sums of ", $lanes, " channels of one pixel.")]
        ///
        /// # Safety
        /// For each tap `input + tap` points to as many inputs, wrapping around, and its weights lie `run.channels` behind those of the one
        /// before. There is a tap.
        #[inline(always)]
        unsafe fn $name(input: *const i8, weights: *const i8, run: &Run) -> [i32; $lanes] {
            $(let mut $sum = 0;)+
            let taps = run.taps.as_ptr_range();
            // SAFETY: as the caller promises.
            unsafe {
                asm!(
                    "2:",
                    "lw {x}, 0({tap})",
                    "addi {tap}, {tap}, 4",
                    "add {place}, {x}, {input}",
                    $(
                        concat!("lb {x}, ", $at, "({place})"),
                        concat!("lb {w}, ", $at, "({weights})"),
                        "mul {x}, {x}, {w}",
                        concat!("add {", stringify!($sum), "}, {", stringify!($sum), "}, {x}"),
                    )+
                    "add {weights}, {weights}, {channels}",
                    "bne {tap}, {end}, 2b",
                    tap = inout(reg) taps.start => _,
                    end = in(reg) taps.end,
                    input = in(reg) input,
                    weights = inout(reg) weights => _,
                    channels = in(reg) run.channels,
                    $($sum = inout(reg) $sum,)+
                    x = out(reg) _,
                    w = out(reg) _,
                    place = out(reg) _,
                    options(readonly, nostack)
                );
            }
            [$($sum),+]
        }
    };
}

tap_sums!(tap_sums_of_8, 8, "0" a, "1" b, "2" c, "3" d, "4" e, "5" f, "6" g, "7" h);
tap_sums!(tap_sums_of_4, 4, "0" a, "1" b, "2" c, "3" d);
