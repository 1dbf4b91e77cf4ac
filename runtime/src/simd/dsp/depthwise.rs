//! Depthwise convolution on cores with the DSP extension: four channels at a time, taps in pairs.

use super::{
    super::{
        Requantize,
        depthwise::{BLOCK, Depthwise, Run, Window, fill_zero_points, zero_points_tap},
        layout::stream_words,
        portable,
    },
    even, full_word, limit, odd,
};
use core::arch::naked_asm;

pub(in super::super) struct Kernels;

/// The depthwise kernel's arguments. The field offsets are used in the asm below.
#[repr(C)]
struct Fours {
    input: *const i8,       // 0
    output: *mut i8,        // 4
    step: usize,            // 8
    gap: usize,             // 12: output channels that are not of this call
    stream: *const u32,     // 16
    taps: *const u32,       // 20
    stream_end: *const u32, // 24
    pixels: usize,          // 28
    pairs_end: *const u32,  // 32: where in the taps the pairs end
    odd: usize,             // 36: whether there is one more tap
    entry: usize,           // 40: steps of the unrolled loop to skip the first time
}

/// The arguments of the kernel for nine taps, likewise.
#[repr(C)]
struct Nine {
    taps: [u32; 9],         // 0
    steps_back: [usize; 3], // 36: what three taps lie further back for each next pixel, since they are in the padding
    input: *const i8,       // 48
    output: *mut i8,        // 52
    step: usize,            // 56
    gap: usize,             // 60: output channels that are not of this call
    stream: *const u32,     // 64
    stream_end: *const u32, // 68
    pixels: usize,          // 72
    steps_any_back: usize,  // 76: whether any of those is not 0
}

impl Depthwise for Kernels {
    /// One stream of words per four channels, in the order that the kernel reads it: biases, weights of pairs of taps (one word
    /// per channel), weights of an odd tap (channels 0 and 2, 1 and 3), multipliers, zero point. Before the streams lie
    /// zero points for the padding. The accumulators' shift is put into biases and weights here, where it costs nothing.
    fn prepare(weights: &[i8], channels: usize, from: usize, requantize: &Requantize, padding: i8, scratch: &mut [u32]) {
        fill_zero_points(padding, scratch);
        let Some((_, streams)) = scratch.split_first_chunk_mut::<{ BLOCK / 4 }>() else { return };
        let taps = weights.len() / channels.max(1);
        let block = requantize.channels.len();
        let mut start = 0;
        for stream in streams.chunks_exact_mut(stream_words(taps)).take(block.div_ceil(4)) {
            // The last four overlap those before where the channels are no multiple of four, so no access ends outside.
            let first = if start + 4 <= block { start } else { block.wrapping_sub(4) };
            if prepare_four(weights, channels, from.wrapping_add(first), first, requantize, stream).is_none() {
                return; // fewer than four channels: portable code does them
            }
            start += 4;
        }
    }

    fn padding_tap(requantize: &Requantize, input: *const i8, scratch: &[u32]) -> u32 {
        zero_points_tap(requantize, input, scratch)
    }

    /// The kernel for nine taps can, three by three.
    fn pads_rows(window: &Window, requantize: &Requantize) -> bool {
        window.kernel == [3, 3] && requantize.channels.len() >= 4
    }

    fn run(run: &Run, weights: &[i8], requantize: &Requantize, scratch: &mut [u32], output: &mut [i8]) {
        let block = requantize.channels.len();
        if block < 4 {
            return few_channels(run, weights, requantize, output);
        }
        let input = run.input.as_ptr().wrapping_add(run.from);
        let Some((_, streams)) = scratch.split_first_chunk::<{ BLOCK / 4 }>() else { return };
        let words = stream_words(run.taps.len());
        let pairs = run.taps.len() / 2;
        let whole = block / 4;
        let tail = if block.is_multiple_of(4) { block } else { block - 4 };
        // All whole fours, then the last four again where the channels are no multiple of four.
        for (fours, stream, first) in [(whole, 0, 0), (1, whole, tail)] {
            let Some(stream) = streams.get(stream * words..(stream + fours) * words) else { continue };
            if first == block {
                continue;
            }
            let (input, output) = (input.wrapping_add(first), output.as_mut_ptr().wrapping_add(run.from + first));
            let gap = run.channels - fours * 4;
            // Of both kernels: the streams are laid out as they expect. The taps of all pixels lie in the input with all channels
            // (`depthwise.rs`; the window and the input's length were checked against each other), or in the zero points, and
            // `first + 4 * fours` is at most the block, so all four bytes of each read and write are inside.
            if let Ok(&taps) = <&[u32; 9]>::try_from(run.taps) {
                let [first, _, _, second, _, _, third, ..] = taps;
                let steps_back = [first, second, third].map(|tap| if tap == run.padding_tap { run.step } else { 0 });
                let nine = Nine {
                    taps,
                    steps_back,
                    input,
                    output,
                    step: run.step,
                    gap,
                    stream: stream.as_ptr(),
                    stream_end: stream.as_ptr_range().end,
                    pixels: run.pixels,
                    steps_any_back: steps_back.iter().fold(0, |any, back| any | back),
                };
                // SAFETY: as said above.
                unsafe { depthwise_nine(&nine) };
                continue;
            }
            let mut arguments = Fours {
                input,
                output,
                step: run.step,
                gap,
                stream: stream.as_ptr(),
                taps: run.taps.as_ptr(),
                stream_end: stream.as_ptr_range().end,
                pixels: run.pixels,
                pairs_end: run.taps.as_ptr().wrapping_add(pairs * 2),
                odd: run.taps.len() % 2,
                entry: if pairs == 0 { 4 } else { pairs.wrapping_neg() % 4 },
            };
            // SAFETY: as said above.
            unsafe { depthwise_fours(&mut arguments) };
        }
    }

    fn finish(requantize: &Requantize, output: &mut [i8]) {
        limit(output, requantize.minimum, requantize.maximum);
    }
}

/// A block of one to three channels, which is rare. A function of its own keeps the compiler from unrolling it into its caller.
#[inline(never)]
fn few_channels(run: &Run, weights: &[i8], requantize: &Requantize, output: &mut [i8]) {
    portable::depthwise_chunks::<1>(run, 0, weights, requantize, output);
}

/// Lays out the stream of channels `channel..channel + 4`, which are `first..first + 4` of the block.
#[inline(never)]
fn prepare_four(
    weights: &[i8],
    channels: usize,
    channel: usize,
    first: usize,
    requantize: &Requantize,
    stream: &mut [u32],
) -> Option<()> {
    let constants: &[[i32; 2]; 4] = requantize.channels.get(first..)?.first_chunk()?;
    let shift = requantize.shift;
    let (biases, rest) = stream.split_first_chunk_mut::<4>()?;
    let (taps, multipliers) = rest.split_last_chunk_mut::<5>()?;
    *biases = constants.map(|[bias, _]| bias.wrapping_shl(shift) as u32);
    let [[_, a], [_, b], [_, c], [_, d]] = *constants;
    *multipliers = [a, b, c, d, requantize.zero_point].map(|word| word as u32);
    let mut rows = weights.chunks_exact(channels.max(1));
    let (pairs, single) = taps.as_chunks_mut::<4>();
    for place in pairs {
        let row = full_word(rows.next()?.get(channel..)?.first_chunk()?);
        let next_row = full_word(rows.next()?.get(channel..)?.first_chunk()?);
        let low = row & 0xffff | next_row << 16;
        let high = row >> 16 | next_row & 0xffff_0000;
        *place = [even(low), odd(low), even(high), odd(high)];
        if shift > 0 {
            *place = place.map(|pair| shift_halves(pair, shift));
        }
    }
    if let [one, other] = single {
        let row = full_word(rows.next()?.get(channel..)?.first_chunk()?);
        (*one, *other) = (shift_halves(even(row), shift), shift_halves(odd(row), shift));
    }
    Some(())
}

/// Both 16-bit halves shifted left.
#[inline(always)]
fn shift_halves(pair: u32, shift: u32) -> u32 {
    (pair & 0xffff).wrapping_shl(shift) & 0xffff | (pair & 0xffff_0000).wrapping_shl(shift)
}

/// Two taps of four channels, 14 instructions of 4 bytes for 8 products; `$places` is where the taps' places are loaded from.
macro_rules! step {
    ($places:literal) => {
        concat!(
            "ldrd r2, r3, ",
            $places,
            "
             ldm.w lr!, {{r8, r9, r10, r11}}
             ldr.w r2, [r1, r2]
             ldr.w r3, [r1, r3]
             pkhbt r12, r2, r3, lsl #16
             pkhtb r3, r3, r2, asr #16
             sxtb16 r2, r12
             smlad r4, r2, r8, r4
             sxtb16 r2, r12, ror #8
             smlad r5, r2, r9, r5
             sxtb16 r2, r3
             smlad r6, r2, r10, r6
             sxtb16 r2, r3, ror #8
             smlad r7, r2, r11, r7"
        )
    };
}

/// Some fours of channels of some pixels, taps in pairs: 14 instructions for 8 products, in a loop unrolled four times that is
/// entered in the middle where the pairs are no multiple of four.
#[unsafe(naked)]
unsafe extern "C" fn depthwise_fours(arguments: *mut Fours) {
    naked_asm!(
        super::super::assembler_core!(),
        "push {{r4-r11, lr}}",
        "sub sp, #44",
        "ldm.w r0, {{r1-r11}}",
        "stm.w sp, {{r1-r11}}", // a copy of the arguments, by whose offsets all is found below
        // Every instruction of a step is 4 bytes long: 56 bytes to skip per step.
        "movs r2, #56",
        "adr.w r3, 4f",
        "mla r2, r11, r2, r3",
        "adds r2, #1", // Thumb
        "str r2, [sp, #40]",
        // A pixel.
        "2:",
        "ldr r1, [sp, #0]",
        "ldr lr, [sp, #16]",
        // Four channels.
        "3:",
        "ldm.w lr!, {{r4, r5, r6, r7}}",
        "ldr r0, [sp, #20]",
        "ldr pc, [sp, #40]",
        ".p2align 2",
        "4:",
        step!("[r0], #8"),
        step!("[r0], #8"),
        step!("[r0], #8"),
        step!("[r0], #8"),
        "ldr r2, [sp, #32]",
        "cmp r0, r2",
        "bne.w 4b",
        "ldr r2, [sp, #36]",
        "cbz r2, 5f",
        "ldr r2, [r0]",
        "ldrd r8, r9, [lr], #8",
        "ldr r2, [r1, r2]",
        "sxtb16 r3, r2",
        "smlabb r4, r3, r8, r4",
        "smlatt r6, r3, r8, r6",
        "sxtb16 r3, r2, ror #8",
        "smlabb r5, r3, r9, r5",
        "smlatt r7, r3, r9, r7",
        "5:",
        "ldm.w lr!, {{r2, r3, r8, r9, r10}}",
        "smmlar r4, r4, r2, r10",
        "smmlar r5, r5, r3, r10",
        "smmlar r6, r6, r8, r10",
        "smmlar r7, r7, r9, r10",
        "ssat r4, #8, r4",
        "ldr r2, [sp, #4]",
        "ssat r5, #8, r5",
        "ssat r6, #8, r6",
        "ssat r7, #8, r7",
        "ldr r3, [sp, #24]",
        "strb r5, [r2, #1]",
        "strb r6, [r2, #2]",
        "strb r7, [r2, #3]",
        "strb r4, [r2], #4",
        "str r2, [sp, #4]",
        "adds r1, #4",
        "cmp lr, r3",
        "bne.w 3b",
        "ldm.w sp, {{r0, r1, r2, r3}}", // input, output, step, gap
        "add r0, r2",
        "add r1, r3",
        "strd r0, r1, [sp]",
        "ldr r0, [sp, #28]",
        "subs r0, #1",
        "str r0, [sp, #28]",
        "bne.w 2b",
        "add sp, #44",
        "pop {{r4-r11, pc}}",
    )
}

/// As [`depthwise_fours`], for nine taps: their places lie on the stack, and no loop goes over them.
#[unsafe(naked)]
unsafe extern "C" fn depthwise_nine(arguments: *const Nine) {
    naked_asm!(
        super::super::assembler_core!(),
        "push {{r4-r11, lr}}",
        "sub sp, #84",
        // A copy of the arguments, by whose offsets all is found below.
        "mov r12, sp",
        "ldm.w r0!, {{r1-r10}}",
        "stm.w r12!, {{r1-r10}}",
        "ldm.w r0, {{r1-r10}}",
        "stm.w r12, {{r1-r10}}",
        "ldr r0, [sp, #52]",
        // A pixel.
        "2:",
        "ldr r1, [sp, #48]",
        "ldr.w lr, [sp, #64]",
        // Four channels.
        "3:",
        "ldm.w lr!, {{r4, r5, r6, r7}}",
        step!("[sp, #0]"),
        step!("[sp, #8]"),
        step!("[sp, #16]"),
        step!("[sp, #24]"),
        "ldr r2, [sp, #32]",
        "ldrd r8, r9, [lr], #8",
        "ldr r2, [r1, r2]",
        "sxtb16 r3, r2",
        "smlabb r4, r3, r8, r4",
        "smlatt r6, r3, r8, r6",
        "sxtb16 r3, r2, ror #8",
        "smlabb r5, r3, r9, r5",
        "smlatt r7, r3, r9, r7",
        "ldm.w lr!, {{r2, r3, r8, r9, r10}}",
        "smmlar r4, r4, r2, r10",
        "smmlar r5, r5, r3, r10",
        "smmlar r6, r6, r8, r10",
        "smmlar r7, r7, r9, r10",
        "ldr r3, [sp, #68]",
        "ssat r4, #8, r4",
        "ssat r5, #8, r5",
        "ssat r6, #8, r6",
        "ssat r7, #8, r7",
        "adds r1, #4",
        "strb r5, [r0, #1]",
        "strb r6, [r0, #2]",
        "strb r7, [r0, #3]",
        "strb r4, [r0], #4",
        "cmp lr, r3",
        "bne.w 3b",
        "ldr r1, [sp, #48]",
        "ldrd r2, r3, [sp, #56]",
        "add r1, r2",
        "add r0, r3",
        "str r1, [sp, #48]",
        "ldr r3, [sp, #76]",
        "cbz r3, 4f",
        "ldrd r2, r3, [sp, #36]",
        "ldr.w r12, [sp, #44]",
        "ldm.w sp, {{r4-r11, lr}}",
        "subs r4, r2",
        "subs r5, r2",
        "subs r6, r2",
        "subs r7, r3",
        "sub.w r8, r8, r3",
        "sub.w r9, r9, r3",
        "sub.w r10, r10, r12",
        "sub.w r11, r11, r12",
        "sub.w lr, lr, r12",
        "stm.w sp, {{r4-r11, lr}}",
        "4:",
        "ldr r3, [sp, #72]",
        "subs r3, #1",
        "str r3, [sp, #72]",
        "bne.w 2b",
        "add sp, #84",
        "pop {{r4-r11, pc}}",
    )
}
