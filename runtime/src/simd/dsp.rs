//! Arm's DSP extension: Cortex-M4, M7, M33. The inner loops are naked functions, since an `asm!` block may not use all 14
//! registers, and the compiler spills with fewer.
//!
//! `SXTB16` takes bytes 0 and 2 of a word, `SXTB16 ror #8` bytes 1 and 3; weights and inputs are widened alike, so nothing
//! has to be re-ordered, and `SMLAD` does two products.
//!
//! Columns: inputs are widened once per pixel and serve all channels. Per four inputs and pixel two words (bytes 0 and 2, bytes
//! 1 and 3); two pixels alternate, so that one LDM fetches both.

use super::{
    AddConstants, Requantize, Variant,
    depthwise::{BLOCK, Depthwise, PADDING, Run},
    layout::{padded, stream_words},
    portable,
};
use core::arch::{asm, naked_asm};

pub(super) const VARIANT: Variant = Variant::Dsp;

/// Bytes 0 and 2 of `word`, sign-extended to 16 bits.
#[inline(always)]
fn even(word: u32) -> u32 {
    let wide;
    // SAFETY: registers only.
    unsafe { asm!("sxtb16 {0}, {1}", out(reg) wide, in(reg) word, options(pure, nomem, nostack, preserves_flags)) }
    wide
}

/// Bytes 1 and 3 of `word`, sign-extended to 16 bits.
#[inline(always)]
fn odd(word: u32) -> u32 {
    let wide;
    // SAFETY: registers only.
    unsafe { asm!("sxtb16 {0}, {1}, ror #8", out(reg) wide, in(reg) word, options(pure, nomem, nostack, preserves_flags)) }
    wide
}

/// Up to four bytes as a word.
#[inline(always)]
fn word(bytes: &[i8]) -> u32 {
    let mut word = [0; 4];
    for (to, &from) in word.iter_mut().zip(bytes) {
        *to = from as u8;
    }
    u32::from_le_bytes(word)
}

/// Four bytes as a word: one load, at any address.
#[inline(always)]
fn full_word(bytes: &[i8; 4]) -> u32 {
    u32::from_le_bytes(bytes.map(|byte| byte as u8))
}

pub(super) fn pack_columns(columns: &mut [u32], _k: usize, at: usize, first: &[i8], second: &[i8]) {
    let (first_words, first_rest) = first.as_chunks::<4>();
    if second.is_empty() {
        let Some(columns) = columns.get_mut(at / 2..) else { return };
        let (columns, _) = columns.as_chunks_mut::<2>();
        for (place, bytes) in columns.iter_mut().zip(first_words) {
            let x = full_word(bytes);
            *place = [even(x), odd(x)];
        }
        if let (Some(place), false) = (columns.get_mut(first_words.len()), first_rest.is_empty()) {
            let x = word(first_rest);
            *place = [even(x), odd(x)];
        }
    } else {
        let (second_words, second_rest) = second.as_chunks::<4>();
        let Some(columns) = columns.get_mut(at..) else { return };
        let (columns, _) = columns.as_chunks_mut::<4>();
        for ((place, bytes), more_bytes) in columns.iter_mut().zip(first_words).zip(second_words) {
            let (x, y) = (full_word(bytes), full_word(more_bytes));
            *place = [even(x), odd(x), even(y), odd(y)];
        }
        if let (Some(place), false) = (columns.get_mut(first_words.len()), first_rest.is_empty()) {
            let (x, y) = (word(first_rest), word(second_rest));
            *place = [even(x), odd(x), even(y), odd(y)];
        }
    }
}

/// What the matrix kernels read, and their running pointers. The field offsets are used in the asm below.
#[repr(C)]
struct Product {
    constants: *const [i32; 2],     // 0
    first: *mut i8,                 // 4
    second: *mut i8,                // 8
    shift: u32,                     // 12
    zero_point: i32,                // 16
    columns: *const u32,            // 20
    columns_end: *const u32,        // 24
    entry: u32,                     // 28: steps of the unrolled loop to skip the first time
    constants_end: *const [i32; 2], // 32
    weights: *const i8,             // 36
    odd_group: u32,                 // 40: one pixel only: whether a single group of four inputs comes first
}

pub(super) fn multiply(
    weights: &[i8],
    k: usize,
    columns: &[u32],
    requantize: &Requantize,
    first: &mut [i8],
    second: &mut [i8],
) {
    let channels = requantize.channels.len();
    let (pairs, last) = requantize.channels.as_chunks::<2>();
    if !pairs.is_empty() {
        run(
            weights.as_ptr(),
            pairs,
            k,
            columns,
            requantize,
            first.as_mut_ptr(),
            if second.is_empty() { None } else { Some(second.as_mut_ptr()) },
        );
    }
    if let (&[constants], Some(weights)) = (last, weights.get((channels - 1) * padded(k)..)) {
        // The last pair's second row is zeros and has no constants and no output: let it have some.
        let (mut ones, mut twos) = ([0; 2], [0; 2]);
        let pairs = [[constants, [0, 0]]];
        run(
            weights.as_ptr(),
            &pairs,
            k,
            columns,
            requantize,
            ones.as_mut_ptr(),
            if second.is_empty() { None } else { Some(twos.as_mut_ptr()) },
        );
        for (outputs, results) in [(&mut *first, ones), (&mut *second, twos)] {
            if let Some(output) = outputs.last_mut() {
                *output = results[0];
            }
        }
    }
    limit(first, requantize.minimum, requantize.maximum);
    limit(second, requantize.minimum, requantize.maximum);
}

/// Runs the matrix kernel over `pairs` of channels. The pointers point to as many weights and outputs as there are pairs, with
/// columns of depth k: the callers above and in `mod.rs` have checked it.
#[inline(never)]
fn run(
    weights: *const i8,
    pairs: &[[[i32; 2]; 2]],
    k: usize,
    columns: &[u32],
    requantize: &Requantize,
    first: *mut i8,
    second: Option<*mut i8>,
) {
    let groups = padded(k) / 4;
    let constants = pairs.as_flattened().as_ptr_range();
    let columns_words = if second.is_some() { groups * 4 } else { groups * 2 };
    let Some(columns) = columns.get(..columns_words) else { return };
    let columns = columns.as_ptr_range();
    let steps = if second.is_some() { groups } else { groups / 2 };
    let mut product = Product {
        constants: constants.start,
        first,
        second: second.unwrap_or(core::ptr::null_mut()),
        shift: requantize.shift,
        zero_point: requantize.zero_point,
        columns: columns.start,
        columns_end: columns.end,
        entry: steps.wrapping_neg() as u32 % 4,
        constants_end: constants.end,
        weights,
        odd_group: groups as u32 % 2,
    };
    // SAFETY: the kernels read `2 * padded(k)` weights, all columns given and two constants per pair, and write two
    // bytes per pair to each output, all of which the slices hold; weights and columns are 4-byte aligned.
    unsafe {
        if second.is_some() {
            multiply_two(&mut product);
        } else {
            multiply_one(&mut product);
        }
    }
}

/// Two channels by two pixels at a time: 14 instructions for 16 products and a loop unrolled four times, which is entered in the
/// middle where the depth is no multiple of 16.
#[unsafe(naked)]
unsafe extern "C" fn multiply_two(product: *mut Product) {
    macro_rules! step {
        () => {
            "ldm.w r0!, {{r2, r3}}
             ldm.w r1!, {{r8, r9, r10, r11}}
             sxtb16 r12, r2
             smlad r4, r12, r8, r4
             smlad r5, r12, r10, r5
             sxtb16 r12, r2, ror #8
             smlad r4, r12, r9, r4
             smlad r5, r12, r11, r5
             sxtb16 r12, r3
             smlad r6, r12, r8, r6
             smlad r7, r12, r10, r7
             sxtb16 r12, r3, ror #8
             smlad r6, r12, r9, r6
             smlad r7, r12, r11, r7"
        };
    }
    naked_asm!(
        "push {{r4-r11, lr}}",
        "sub sp, #12",
        "str r0, [sp]",
        // Every instruction of a step is 4 bytes long: 56 bytes to skip per step.
        "ldr r1, [r0, #28]",
        "movs r2, #56",
        "adr.w r3, 3f",
        "mla r1, r1, r2, r3",
        "adds r1, #1", // Thumb
        "str r1, [sp, #4]",
        "mov r12, r0",
        "ldr r3, [r12, #0]",
        "ldr r0, [r12, #36]",
        // A tile of two channels.
        "2:",
        "ldr r4, [r3]",
        "ldr r6, [r3, #8]",
        "mov r5, r4",
        "mov r7, r6",
        "ldrd r1, lr, [r12, #20]",
        "ldr pc, [sp, #4]",
        ".p2align 2",
        "3:",
        step!(),
        step!(),
        step!(),
        step!(),
        "cmp r1, lr",
        "bne.w 3b",
        "ldr r12, [sp]",
        "ldm.w r12, {{r1, r2, r3, r8, r9}}", // constants, outputs, shift, zero point
        "ldr r10, [r1, #4]",
        "ldr r11, [r1, #12]",
        "lsls r4, r8",
        "lsls r5, r8",
        "lsls r6, r8",
        "lsls r7, r8",
        "smmlar r4, r4, r10, r9",
        "smmlar r5, r5, r10, r9",
        "smmlar r6, r6, r11, r9",
        "smmlar r7, r7, r11, r9",
        "ssat r4, #8, r4",
        "ssat r5, #8, r5",
        "ssat r6, #8, r6",
        "ssat r7, #8, r7",
        "strb r6, [r2, #1]",
        "strb r4, [r2], #2",
        "strb r7, [r3, #1]",
        "strb r5, [r3], #2",
        "adds r1, #16",
        "stm.w r12, {{r1, r2, r3}}",
        "mov r3, r1",
        "ldr r8, [r12, #32]",
        "cmp r3, r8",
        "bne.w 2b",
        "add sp, #12",
        "pop {{r4-r11, pc}}",
    )
}

/// Two channels by one pixel: 18 instructions for 16 products, since each weight serves only once.
#[unsafe(naked)]
unsafe extern "C" fn multiply_one(product: *mut Product) {
    macro_rules! step {
        () => {
            "ldm.w r0!, {{r2, r3, r6, r7}}
             ldm.w r1!, {{r8, r9, r10, r11}}
             sxtb16 r12, r2
             smlad r4, r12, r8, r4
             sxtb16 r12, r2, ror #8
             smlad r4, r12, r9, r4
             sxtb16 r12, r3
             smlad r5, r12, r8, r5
             sxtb16 r12, r3, ror #8
             smlad r5, r12, r9, r5
             sxtb16 r12, r6
             smlad r4, r12, r10, r4
             sxtb16 r12, r6, ror #8
             smlad r4, r12, r11, r4
             sxtb16 r12, r7
             smlad r5, r12, r10, r5
             sxtb16 r12, r7, ror #8
             smlad r5, r12, r11, r5"
        };
    }
    naked_asm!(
        "push {{r4-r11, lr}}",
        "sub sp, #12",
        "str r0, [sp]",
        // Every instruction of a step is 4 bytes long: 72 bytes to skip per step.
        "ldr r1, [r0, #28]",
        "movs r2, #72",
        "adr.w r3, 3f",
        "mla r1, r1, r2, r3",
        "adds r1, #1", // Thumb
        "str r1, [sp, #4]",
        "mov r12, r0",
        "ldr r8, [r12, #0]",
        "ldr r0, [r12, #36]",
        // A tile of two channels.
        "2:",
        "ldr r4, [r8]",
        "ldr r5, [r8, #8]",
        "ldrd r1, lr, [r12, #20]",
        "ldr r2, [r12, #40]",
        "cbz r2, 5f",
        // A single group of four inputs, where their number is odd.
        "ldm.w r0!, {{r2, r3}}",
        "ldm.w r1!, {{r8, r9}}",
        "sxtb16 r12, r2",
        "smlad r4, r12, r8, r4",
        "sxtb16 r12, r2, ror #8",
        "smlad r4, r12, r9, r4",
        "sxtb16 r12, r3",
        "smlad r5, r12, r8, r5",
        "sxtb16 r12, r3, ror #8",
        "smlad r5, r12, r9, r5",
        "cmp r1, lr",
        "beq.w 4f",
        "5:",
        "ldr pc, [sp, #4]",
        ".p2align 2",
        "3:",
        step!(),
        step!(),
        step!(),
        step!(),
        "cmp r1, lr",
        "bne.w 3b",
        "4:",
        "ldr r12, [sp]",
        "ldrd r1, r2, [r12]",      // constants, output
        "ldrd r8, r9, [r12, #12]", // shift, zero point
        "ldr r10, [r1, #4]",
        "ldr r11, [r1, #12]",
        "lsls r4, r8",
        "lsls r5, r8",
        "smmlar r4, r4, r10, r9",
        "smmlar r5, r5, r11, r9",
        "ssat r4, #8, r4",
        "ssat r5, #8, r5",
        "strb r5, [r2, #1]",
        "strb r4, [r2], #2",
        "add.w r8, r1, #16",
        "strd r8, r2, [r12]",
        "ldr r3, [r12, #32]",
        "cmp r8, r3",
        "bne.w 2b",
        "add sp, #12",
        "pop {{r4-r11, pc}}",
    )
}

/// Clamps int8 outputs to the activation's bounds where these are narrower than int8, four at a time: the kernels above only
/// saturate.
fn limit(outputs: &mut [i8], minimum: i32, maximum: i32) {
    if minimum <= -128 && maximum >= 127 {
        return;
    }
    let minima = (minimum as u8 as u32) * 0x0101_0101;
    let maxima = (maximum as u8 as u32) * 0x0101_0101;
    let (words, rest) = outputs.as_chunks_mut::<4>();
    for bytes in words {
        let word = full_word(bytes);
        let limited: u32;
        // SAFETY: registers only. SSUB8 sets a flag per byte where the first is not less than the second; SEL picks by it.
        unsafe {
            asm!(
                "ssub8 {t}, {x}, {low}",
                "sel {t}, {x}, {low}",
                "ssub8 {x}, {t}, {high}",
                "sel {x}, {high}, {t}",
                x = inout(reg) word => limited,
                t = out(reg) _,
                low = in(reg) minima,
                high = in(reg) maxima,
                options(pure, nomem, nostack)
            );
        }
        *bytes = limited.to_le_bytes().map(|byte| byte as i8);
    }
    for byte in rest {
        *byte = crate::quant::clamp(*byte as i32, minimum, maximum);
    }
}

pub(super) struct Kernels;

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

impl Depthwise for Kernels {
    /// One stream of words per four channels, in the order that the kernel reads it: biases, weights of pairs of taps (one word
    /// per channel), weights of an odd tap (channels 0 and 2, 1 and 3), multipliers, zero point. Before the streams lie
    /// zero points for the padding. The accumulators' shift is put into biases and weights here, where it costs nothing.
    fn prepare(weights: &[i8], channels: usize, from: usize, requantize: &Requantize, padding: i8, scratch: &mut [u32]) {
        let Some((zero_points, streams)) = scratch.split_first_chunk_mut::<{ BLOCK / 4 }>() else { return };
        zero_points.fill(padding as u8 as u32 * 0x0101_0101);
        let taps = weights.len() / channels.max(1);
        let block = requantize.channels.len();
        let mut start = 0;
        for stream in streams.chunks_exact_mut(stream_words(taps)).take(block / 4 + usize::from(block % 4 > 0)) {
            // The last four overlap those before where the channels are no multiple of four, so no access ends outside.
            let first = if start + 4 <= block { start } else { block.wrapping_sub(4) };
            if prepare_four(weights, channels, from.wrapping_add(first), first, requantize, stream).is_none() {
                return; // fewer than four channels: portable code does them
            }
            start += 4;
        }
    }

    fn run(run: &mut Run, weights: &[i8], requantize: &Requantize, scratch: &mut [u32], output: &mut [i8]) {
        let block = requantize.channels.len();
        if block < 4 {
            portable::depthwise_chunks::<1>(run, 0, weights, requantize, output);
            return;
        }
        let Some((zero_points, streams)) = scratch.split_first_chunk::<{ BLOCK / 4 }>() else { return };
        let input = run.input.as_ptr().wrapping_add(run.from);
        if run.padded {
            let offset = (zero_points.as_ptr() as usize).wrapping_sub(input as usize) as u32;
            run.taps.iter_mut().filter(|tap| **tap == PADDING).for_each(|tap| *tap = offset);
        }
        let words = stream_words(run.taps.len());
        let pairs = run.taps.len() / 2;
        let whole = block / 4;
        let tail = if block % 4 > 0 { block - 4 } else { block };
        // All whole fours, then the last four again where the channels are no multiple of four.
        for (fours, stream, first) in [(whole, 0, 0), (1, whole, tail)] {
            let Some(stream) = streams.get(stream * words..(stream + fours) * words) else { continue };
            if first == block {
                continue;
            }
            let mut arguments = Fours {
                input: input.wrapping_add(first),
                output: output.as_mut_ptr().wrapping_add(run.from + first),
                step: run.step,
                gap: run.channels - fours * 4,
                stream: stream.as_ptr(),
                taps: run.taps.as_ptr(),
                stream_end: stream.as_ptr_range().end,
                pixels: run.pixels,
                pairs_end: run.taps.as_ptr().wrapping_add(pairs * 2),
                odd: run.taps.len() % 2,
                entry: if pairs == 0 { 4 } else { pairs.wrapping_neg() % 4 },
            };
            // SAFETY: the streams are laid out as the kernel expects. The taps of all pixels lie in the input with all channels
            // (`depthwise.rs`; the window and the input's length were checked against each other), or in `zero_points`, and
            // `first + 4 * fours` is at most the block, so all four bytes of each read and write are inside.
            unsafe { depthwise_fours(&mut arguments) };
        }
    }

    fn finish(requantize: &Requantize, output: &mut [i8]) {
        limit(output, requantize.minimum, requantize.maximum);
    }
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

/// Some fours of channels of some pixels, taps in pairs: 14 instructions for 8 products, in a loop unrolled four times that is
/// entered in the middle where the pairs are no multiple of four.
#[unsafe(naked)]
unsafe extern "C" fn depthwise_fours(arguments: *mut Fours) {
    macro_rules! step {
        () => {
            "ldrd r2, r3, [r0], #8
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
        };
    }
    naked_asm!(
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
        step!(),
        step!(),
        step!(),
        step!(),
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

pub(super) fn add(first: &[i8], second: &[i8], constants: &AddConstants, output: &mut [i8]) {
    output.copy_from_slice(first);
    add_assign(output, second, constants);
}

pub(super) fn add_assign(first: &mut [i8], second: &[i8], constants: &AddConstants) {
    let factors = constants.first as u32 & 0xffff | (constants.second as u32) << 16;
    let (words, rest) = first.as_chunks_mut::<4>();
    let (more_words, more_rest) = second.as_chunks::<4>();
    for (bytes, more_bytes) in words.iter_mut().zip(more_words) {
        let sums: u32;
        // SAFETY: registers only. Pairs of one byte from each input, widened, make one SMLAD each.
        unsafe {
            asm!(
                "pkhbt {a}, {x}, {y}, lsl #16",
                "pkhtb {y}, {y}, {x}, asr #16",
                "sxtb16 {x}, {a}, ror #8",
                "sxtb16 {a}, {a}",
                "sxtb16 {b}, {y}, ror #8",
                "sxtb16 {y}, {y}",
                "smlad {x}, {x}, {factors}, {offset}",
                "smlad {a}, {a}, {factors}, {offset}",
                "smlad {b}, {b}, {factors}, {offset}",
                "smlad {y}, {y}, {factors}, {offset}",
                "asr.w {x}, {x}, {shift}",
                "asr.w {a}, {a}, {shift}",
                "asr.w {b}, {b}, {shift}",
                "asr.w {y}, {y}, {shift}",
                "ssat {x}, #8, {x}",
                "ssat {a}, #8, {a}",
                "ssat {b}, #8, {b}",
                "ssat {y}, #8, {y}",
                "bfi {a}, {x}, #8, #8",
                "bfi {a}, {y}, #16, #8",
                "bfi {a}, {b}, #24, #8",
                x = inout(reg) full_word(bytes) => _,
                y = inout(reg) full_word(more_bytes) => _,
                a = out(reg) sums,
                b = out(reg) _,
                factors = in(reg) factors,
                offset = in(reg) constants.offset,
                shift = in(reg) constants.shift,
                options(pure, nomem, nostack)
            );
        }
        *bytes = sums.to_le_bytes().map(|byte| byte as i8);
    }
    portable::add_assign(rest, more_rest, constants);
    limit(first, constants.minimum, constants.maximum);
}
