//! Depthwise convolution on Armv6-M: four channels at a time, their accumulators in the upper registers.

use super::super::{
    Requantize,
    depthwise::{Depthwise, Run, fill_zero_points, zero_points_tap},
    portable::{self, store},
};
use core::arch::naked_asm;

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
        let taps = run.taps.as_ptr_range();
        let (mut input, mut output) = (run.input.as_ptr().wrapping_add(run.from), output.as_mut_ptr().wrapping_add(run.from));
        let weights = weights.as_ptr().wrapping_add(run.from);
        for _ in 0..run.pixels {
            let mut channel = 0;
            while channel < block {
                // The last four overlap those before where the channels are no multiple of four.
                let first = if channel + 4 <= block { channel } else { block - 4 };
                let Some(constants) = requantize.channels.get(first..).and_then(|rest| rest.first_chunk::<4>()) else { return };
                let mut sums = [0; 4];
                // SAFETY: the taps of all pixels lie in the input with all channels (`depthwise.rs`; the window and the input's
                // length were checked against each other), or in the zero points; weights are `[taps, channels]`, the output has
                // all channels of each pixel, and `first + 4` is at most the block.
                unsafe {
                    let (input, weights) = (input.wrapping_add(first), weights.wrapping_add(first));
                    tap_sums(input, weights, taps.start, taps.end, run.channels, &mut sums);
                    store(&sums, constants, requantize, &mut *output.wrapping_add(first).cast::<[i8; 4]>());
                }
                channel += 4;
            }
            (input, output) = (input.wrapping_add(run.step), output.wrapping_add(run.channels));
        }
    }

    fn finish(_: &Requantize, _: &mut [i8]) {}
}

/// Sums of four channels of one pixel: 24 instructions for the four products of a tap.
#[unsafe(naked)]
unsafe extern "C" fn tap_sums(
    input: *const i8,
    weights: *const i8,
    taps: *const u32,
    taps_end: *const u32,
    channels: usize,
    sums: &mut [i32; 4],
) {
    naked_asm!(
        save!(),
        "mov r12, r3",
        "mov lr, r0",
        "ldr r7, [sp, #36]", // channels
        "movs r6, #0",
        "mov r8, r6",
        "mov r9, r6",
        "mov r10, r6",
        "mov r11, r6",
        "2:",
        "ldm r2!, {{r3}}",
        "add r3, lr",
        "movs r6, #0",
        "ldrsb r4, [r3, r6]",
        "ldrsb r5, [r1, r6]",
        "muls r4, r5, r4",
        "add r8, r4",
        "movs r6, #1",
        "ldrsb r4, [r3, r6]",
        "ldrsb r5, [r1, r6]",
        "muls r4, r5, r4",
        "add r9, r4",
        "movs r6, #2",
        "ldrsb r4, [r3, r6]",
        "ldrsb r5, [r1, r6]",
        "muls r4, r5, r4",
        "add r10, r4",
        "movs r6, #3",
        "ldrsb r4, [r3, r6]",
        "ldrsb r5, [r1, r6]",
        "muls r4, r5, r4",
        "add r11, r4",
        "adds r1, r1, r7",
        "cmp r2, r12",
        "bne 2b",
        "ldr r0, [sp, #40]",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "stm r0!, {{r4-r7}}",
        restore!(),
    )
}
