//! Helium, Arm's M-profile vector extension: Cortex-M52, M55, M85. Integer instructions only, so it serves cores without vector
//! floating point as well.
//!
//! `VMLADAVA.S8` adds sixteen products to a general register, `VRMULH.S32` is the requantization. `VLD20`/`VLD21` part the two rows
//! of a pair while loading them.
//!
//! Columns: the pixels' inputs as they are, each pixel padded to a multiple of 16 bytes (with anything: weights beyond
//! the depth read as zero).

use super::{
    AddConstants, Requantize, Variant,
    depthwise::{BLOCK, Depthwise, PADDING, Run},
    layout::padded,
    portable,
};
use core::arch::naked_asm;

pub(super) const VARIANT: Variant = Variant::Mve;

pub(super) fn pack_columns(columns: &mut [u32], k: usize, at: usize, first: &[i8], second: &[i8]) {
    let bytes: &mut [i8] = bytemuck::cast_slice_mut(columns);
    for (start, pixel) in [(at, first), (k.next_multiple_of(16) + at, second)] {
        if let Some(place) = bytes.get_mut(start..).and_then(|rest| rest.get_mut(..pixel.len())) {
            // SAFETY: both slices are `pixel.len()` long.
            unsafe { copy(place.as_mut_ptr(), pixel.as_ptr(), pixel.len()) };
        }
    }
}

/// Copies bytes, sixteen at a time.
#[unsafe(naked)]
unsafe extern "C" fn copy(to: *mut i8, from: *const i8, length: usize) {
    naked_asm!(
        "push {{r7, lr}}",
        "wlstp.8 lr, r2, 3f",
        "2:",
        "vldrb.u8 q0, [r1], #16",
        "vstrb.8 q0, [r0], #16",
        "letp lr, 2b",
        "3:",
        "pop {{r7, pc}}",
    )
}

/// What the matrix kernels read, and their running pointers. The field offsets are used in the asm below.
#[repr(C)]
struct Product {
    weights: *const i8,         // 0
    pair: usize,                // 4: bytes from one pair of rows to the next; 0 if there is only one
    first_columns: *const u32,  // 8
    second_columns: *const u32, // 12
    sixteens: usize,            // 16: whole vectors of inputs
    constants: *const [i32; 2], // 20
    shift: u32,                 // 24
    zero_point: i32,            // 28
    first: *mut i8,             // 32
    second: *mut i8,            // 36
    tail: usize,                // 40: groups of four inputs in the last, partial vector
    tiles: usize,               // 44: of four channels
    minimum: i32,               // 48
    maximum: i32,               // 52
}

pub(super) fn multiply(
    weights: &[i8],
    k: usize,
    columns: &[u32],
    requantize: &Requantize,
    first: &mut [i8],
    second: &mut [i8],
) {
    let pair = 2 * padded(k);
    let (tiles, last) = requantize.channels.as_chunks::<4>();
    let two_pixels = !second.is_empty();
    let mut product = Product {
        weights: weights.as_ptr(),
        pair,
        first_columns: columns.as_ptr(),
        second_columns: columns.as_ptr().wrapping_add(k.div_ceil(16) * 4),
        sixteens: padded(k) / 16,
        constants: requantize.channels.as_ptr(),
        shift: requantize.shift,
        zero_point: requantize.zero_point,
        first: first.as_mut_ptr(),
        second: second.as_mut_ptr(),
        tail: padded(k) % 16 / 4,
        tiles: tiles.len(),
        minimum: requantize.minimum,
        maximum: requantize.maximum,
    };
    // SAFETY: the kernels read four rows of weights, all columns and four constants per tile, and write four bytes per tile
    // to each output, which the slices hold (lengths were checked in `mod.rs`).
    let kernel = |product: &Product| unsafe { if two_pixels { multiply_two(product) } else { multiply_one(product) } };
    if !tiles.is_empty() {
        kernel(&product);
    }
    if let Some(weights) = weights.get(tiles.len() * 2 * pair..)
        && !last.is_empty()
    {
        // Fewer than four channels: constants and outputs get room for four, and one pair of rows serves as both where it is
        // the only one.
        let mut constants = [[0; 2]; 4];
        constants.iter_mut().zip(last).for_each(|(to, from)| *to = *from);
        let (mut ones, mut twos) = ([0; 4], [0; 4]);
        product = Product {
            weights: weights.as_ptr(),
            pair: if last.len() > 2 { pair } else { 0 },
            constants: constants.as_ptr(),
            first: ones.as_mut_ptr(),
            second: twos.as_mut_ptr(),
            tiles: 1,
            ..product
        };
        kernel(&product);
        for (outputs, results) in [(first, ones), (second, twos)] {
            let rest = outputs.as_chunks_mut::<4>().1;
            rest.iter_mut().zip(results).for_each(|(to, from)| *to = from);
        }
    }
}

/// Four channels by two pixels at a time: 16 instructions for 128 products.
#[unsafe(naked)]
unsafe extern "C" fn multiply_two(product: *const Product) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "vpush {{d8, d9, d10, d11, d12, d13, d14, d15}}",
        "sub sp, #60",
        "ldm.w r0!, {{r1-r7}}",
        "stm.w sp, {{r1-r7}}", // a copy of the arguments, by whose offsets all is found below
        "add.w r8, sp, #28",
        "ldm.w r0, {{r1-r7}}",
        "stm.w r8, {{r1-r7}}",
        "vdup.32 q6, r6",
        "vdup.32 q7, r7",
        "vctp.32 r4",
        "movs r0, #0",
        "vidup.u32 q5, r0, #8", // where a row's groups of four lie in its pair
        // A tile.
        "2:",
        "ldm.w sp, {{r1, r3, r5, r7, r9, r11}}",
        "add r3, r1",
        "ldr r0, [r11]",
        "ldr r2, [r11, #8]",
        "ldr r4, [r11, #16]",
        "ldr r6, [r11, #24]",
        "mov r8, r0",
        "mov r10, r2",
        "mov r12, r4",
        "mov lr, r6",
        "cmp.w r9, #0",
        "beq.w 4f",
        "3:",
        "vld20.32 {{q0, q1}}, [r1]",
        "vld21.32 {{q0, q1}}, [r1]!",
        "vldrb.u8 q4, [r5], #16",
        "vmladava.s8 r0, q4, q0",
        "vld20.32 {{q2, q3}}, [r3]",
        "vmladava.s8 r2, q4, q1",
        "vld21.32 {{q2, q3}}, [r3]!",
        "vmladava.s8 r4, q4, q2",
        "vmladava.s8 r6, q4, q3",
        "vldrb.u8 q4, [r7], #16",
        "vmladava.s8 r8, q4, q0",
        "vmladava.s8 r10, q4, q1",
        "vmladava.s8 r12, q4, q2",
        "vmladava.s8 lr, q4, q3",
        "subs.w r9, r9, #1",
        "bne 3b",
        "4:",
        "ldr.w r9, [sp, #40]",
        "cmp.w r9, #0",
        "beq.w 5f",
        // The last groups: lanes beyond them read weights of zero.
        "vldrb.u8 q4, [r5]",
        "vpstt",
        "vldrwt.u32 q0, [r1, q5]",
        "vldrwt.u32 q2, [r3, q5]",
        "adds r1, #4",
        "adds r3, #4",
        "vpstt",
        "vldrwt.u32 q1, [r1, q5]",
        "vldrwt.u32 q3, [r3, q5]",
        "vmladava.s8 r0, q4, q0",
        "vmladava.s8 r2, q4, q1",
        "vmladava.s8 r4, q4, q2",
        "vmladava.s8 r6, q4, q3",
        "vldrb.u8 q4, [r7]",
        "vmladava.s8 r8, q4, q0",
        "vmladava.s8 r10, q4, q1",
        "vmladava.s8 r12, q4, q2",
        "vmladava.s8 lr, q4, q3",
        "subs r3, #4",
        "add.w r3, r3, r9, lsl #3",
        "5:",
        "vmov q0[2], q0[0], r0, r4",
        "vmov q0[3], q0[1], r2, r6",
        "vmov q1[2], q1[0], r8, r12",
        "vmov q1[3], q1[1], r10, lr",
        "str r3, [sp]",
        "add.w r12, sp, #20",
        "ldm.w r12, {{r1, r2, r3, r4, r5}}", // constants, shift, zero point, outputs
        "vld20.32 {{q2, q3}}, [r1]",
        "vld21.32 {{q2, q3}}, [r1]!",
        "vshl.s32 q0, r2",
        "vshl.s32 q1, r2",
        "vrmulh.s32 q0, q0, q3",
        "vrmulh.s32 q1, q1, q3",
        "vadd.i32 q0, q0, r3",
        "vadd.i32 q1, q1, r3",
        "vmax.s32 q0, q0, q6",
        "vmax.s32 q1, q1, q6",
        "vmin.s32 q0, q0, q7",
        "vmin.s32 q1, q1, q7",
        "vstrb.32 q0, [r4], #4",
        "vstrb.32 q1, [r5], #4",
        "stm.w r12, {{r1, r2, r3, r4, r5}}",
        "ldr r0, [sp, #44]",
        "subs r0, #1",
        "str r0, [sp, #44]",
        "bne.w 2b",
        "add sp, #60",
        "vpop {{d8, d9, d10, d11, d12, d13, d14, d15}}",
        "pop {{r4-r11, pc}}",
    )
}

/// Four channels by one pixel at a time: 10 instructions for 64 products.
#[unsafe(naked)]
unsafe extern "C" fn multiply_one(product: *const Product) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "vpush {{d8, d9, d10, d11, d12, d13, d14, d15}}",
        "sub sp, #60",
        "ldm.w r0!, {{r1-r7}}",
        "stm.w sp, {{r1-r7}}", // a copy of the arguments, by whose offsets all is found below
        "add.w r8, sp, #28",
        "ldm.w r0, {{r1-r7}}",
        "stm.w r8, {{r1-r7}}",
        "vdup.32 q6, r6",
        "vdup.32 q7, r7",
        "mov r10, r4",
        "vctp.32 r10",
        "movs r0, #0",
        "vidup.u32 q5, r0, #8", // where a row's groups of four lie in its pair
        // A tile.
        "2:",
        "ldm.w sp, {{r1, r3, r5, r7, r9, r11}}",
        "add r3, r1",
        "ldr r0, [r11]",
        "ldr r2, [r11, #8]",
        "ldr r4, [r11, #16]",
        "ldr r6, [r11, #24]",
        "wls lr, r9, 4f",
        "3:",
        "vld20.32 {{q0, q1}}, [r1]",
        "vld21.32 {{q0, q1}}, [r1]!",
        "vldrb.u8 q4, [r5], #16",
        "vmladava.s8 r0, q4, q0",
        "vld20.32 {{q2, q3}}, [r3]",
        "vmladava.s8 r2, q4, q1",
        "vld21.32 {{q2, q3}}, [r3]!",
        "vmladava.s8 r4, q4, q2",
        "vmladava.s8 r6, q4, q3",
        "le lr, 3b",
        "4:",
        "cmp r10, #0",
        "beq 5f",
        // The last groups: lanes beyond them read weights of zero.
        "vldrb.u8 q4, [r5]",
        "vpstt",
        "vldrwt.u32 q0, [r1, q5]",
        "vldrwt.u32 q2, [r3, q5]",
        "adds r1, #4",
        "adds r3, #4",
        "vpstt",
        "vldrwt.u32 q1, [r1, q5]",
        "vldrwt.u32 q3, [r3, q5]",
        "vmladava.s8 r0, q4, q0",
        "vmladava.s8 r2, q4, q1",
        "vmladava.s8 r4, q4, q2",
        "vmladava.s8 r6, q4, q3",
        "subs r3, #4",
        "add.w r3, r3, r10, lsl #3",
        "5:",
        "vmov q0[2], q0[0], r0, r4",
        "vmov q0[3], q0[1], r2, r6",
        "str r3, [sp]",
        "add.w r12, sp, #20",
        "ldm.w r12, {{r1, r2, r3, r4}}", // constants, shift, zero point, output
        "vld20.32 {{q2, q3}}, [r1]",
        "vld21.32 {{q2, q3}}, [r1]!",
        "vshl.s32 q0, r2",
        "vrmulh.s32 q0, q0, q3",
        "vadd.i32 q0, q0, r3",
        "vmax.s32 q0, q0, q6",
        "vmin.s32 q0, q0, q7",
        "vstrb.32 q0, [r4], #4",
        "stm.w r12, {{r1, r2, r3, r4}}",
        "ldr r0, [sp, #44]",
        "subs r0, #1",
        "str r0, [sp, #44]",
        "bne.w 2b",
        "add sp, #60",
        "vpop {{d8, d9, d10, d11, d12, d13, d14, d15}}",
        "pop {{r4-r11, pc}}",
    )
}

pub(super) struct Kernels;

/// The depthwise kernel's arguments. The field offsets are used in the asm below.
#[repr(C)]
struct Sixteen {
    input: *const i8,      // 0
    output: *mut i8,       // 4
    weights: *const i8,    // 8
    channels: usize,       // 12: of the layer
    taps: *const u32,      // 16
    pairs: usize,          // 20: of taps
    constants: *const i32, // 24
    shift: u32,            // 28
    zero_point: i32,       // 32
    step: usize,           // 36
    pixels: usize,         // 40
    minimum: i32,          // 44
    maximum: i32,          // 48
    odd: usize,            // 52: whether there is one more tap
    lanes: usize,          // 56: channels of this call, at most 16
}

/// Words of the constants of sixteen channels.
const CONSTANTS: usize = 32;

impl Depthwise for Kernels {
    /// Zero points for the padding, and per sixteen channels biases and multipliers in the order of the kernel's accumulators:
    /// channels 0, 4, 8, 12, then 2, 6, ..., then 1, 5, ..., then 3, 7, ....
    fn prepare(_: &[i8], _: usize, _: usize, requantize: &Requantize, padding: i8, scratch: &mut [u32]) {
        let Some((zero_points, constants)) = scratch.split_first_chunk_mut::<{ BLOCK / 4 }>() else { return };
        zero_points.fill(padding as u8 as u32 * 0x0101_0101);
        let (constants, _) = constants.as_chunks_mut::<CONSTANTS>();
        for (place, channels) in constants.iter_mut().zip(requantize.channels.chunks(16)) {
            let (biases, multipliers) = place.split_at_mut(16);
            let (biases, multipliers) = (biases.as_chunks_mut::<4>().0, multipliers.as_chunks_mut::<4>().0);
            for (quarter, first) in [0, 2, 1, 3].into_iter().enumerate() {
                let (Some(biases), Some(multipliers)) = (biases.get_mut(quarter), multipliers.get_mut(quarter)) else { return };
                for (lane, (bias, multiplier)) in biases.iter_mut().zip(multipliers).enumerate() {
                    let &[b, m] = channels.get(lane * 4 + first).unwrap_or(&[0, 0]);
                    (*bias, *multiplier) = (b as u32, m as u32);
                }
            }
        }
    }

    fn run(run: &mut Run, weights: &[i8], requantize: &Requantize, scratch: &mut [u32], output: &mut [i8]) {
        let Some((zero_points, constants)) = scratch.split_first_chunk::<{ BLOCK / 4 }>() else { return };
        let input = run.input.as_ptr().wrapping_add(run.from);
        if run.padded {
            let offset = (zero_points.as_ptr() as usize).wrapping_sub(input as usize) as u32;
            run.taps.iter_mut().filter(|tap| **tap == PADDING).for_each(|tap| *tap = offset);
        }
        let block = requantize.channels.len();
        let mut first = 0;
        for constants in constants.as_chunks::<CONSTANTS>().0.iter().take(block.div_ceil(16)) {
            let arguments = Sixteen {
                input: input.wrapping_add(first),
                output: output.as_mut_ptr().wrapping_add(run.from + first),
                weights: weights.as_ptr().wrapping_add(run.from + first),
                channels: run.channels,
                taps: run.taps.as_ptr(),
                pairs: run.taps.len() / 2,
                constants: constants.as_ptr().cast(),
                shift: requantize.shift,
                zero_point: requantize.zero_point,
                step: run.step,
                pixels: run.pixels,
                minimum: requantize.minimum,
                maximum: requantize.maximum,
                odd: run.taps.len() % 2,
                lanes: (block - first).min(16),
            };
            // SAFETY: the taps of all pixels lie in the input with all channels (`depthwise.rs`; the window and the input's
            // length were checked against each other), or in `zero_points`; weights are `[taps, channels]`; only
            // `lanes` bytes of each are read and written.
            unsafe {
                if arguments.lanes == 16 {
                    depthwise_sixteen(&arguments);
                } else {
                    depthwise_fewer(&arguments);
                }
            }
            first += 16;
        }
    }

    fn finish(_: &Requantize, _: &mut [i8]) {}
}

/// The depthwise kernel, for sixteen channels, or for fewer with its memory accesses predicated.
///
/// Products of two taps are added in 16 bits (weights are at least -127, so they fit), then widened.
macro_rules! depthwise_kernel {
    ($name:ident, $one:literal, $two:literal, $then:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *const Sixteen) {
            naked_asm!(
                "push {{r4-r11, lr}}",
                "vpush {{d8, d9, d10, d11, d12, d13, d14, d15}}",
                "sub sp, #4",
                "ldr r1, [r0, #56]",
                "vctp.8 r1",
                "ldr r1, [r0, #0]",   // input
                "ldr r12, [r0, #4]",  // output
                "ldr r10, [r0, #40]", // pixels
                "ldr r11, [r0, #24]", // constants
                "ldr r7, [r0, #12]",  // channels
                // A pixel.
                "2:",
                "ldr r3, [r0, #8]",
                "ldrd r2, r8, [r0, #16]", // taps, pairs
                "vldrw.u32 q4, [r11]",
                "vldrw.u32 q5, [r11, #16]",
                "vldrw.u32 q6, [r11, #32]",
                "vldrw.u32 q7, [r11, #48]",
                "wls lr, r8, 4f",
                "3:",
                "ldrd r4, r5, [r2], #8",
                "adds r4, r4, r1",
                "adds r5, r5, r1",
                "adds r6, r3, r7",
                $two,
                concat!("vldrb", $then, ".u8 q0, [r4]"),
                concat!("vldrb", $then, ".u8 q1, [r3]"),
                "add.w r3, r6, r7",
                "vmullb.s8 q2, q0, q1",
                "vmullt.s8 q1, q0, q1",
                $two,
                concat!("vldrb", $then, ".u8 q0, [r5]"),
                concat!("vldrb", $then, ".u8 q3, [r6]"),
                "vmullb.s8 q0, q0, q3",
                "vadd.i16 q2, q2, q0",
                $one,
                concat!("vldrb", $then, ".u8 q0, [r5]"), // again, for want of a register
                "vmullt.s8 q0, q0, q3",
                "vadd.i16 q1, q1, q0",
                "vmovlb.s16 q0, q2",
                "vmovlt.s16 q2, q2",
                "vadd.i32 q4, q4, q0",
                "vmovlb.s16 q3, q1",
                "vadd.i32 q5, q5, q2",
                "vmovlt.s16 q1, q1",
                "vadd.i32 q6, q6, q3",
                "vadd.i32 q7, q7, q1",
                "le lr, 3b",
                "4:",
                "ldr r4, [r0, #52]",
                "cbz r4, 5f",
                "ldr r4, [r2]",
                "adds r4, r4, r1",
                $two,
                concat!("vldrb", $then, ".u8 q0, [r4]"),
                concat!("vldrb", $then, ".u8 q1, [r3]"),
                "vmullb.s8 q2, q0, q1",
                "vmullt.s8 q1, q0, q1",
                "vmovlb.s16 q0, q2",
                "vmovlt.s16 q2, q2",
                "vadd.i32 q4, q4, q0",
                "vmovlb.s16 q3, q1",
                "vadd.i32 q5, q5, q2",
                "vmovlt.s16 q1, q1",
                "vadd.i32 q6, q6, q3",
                "vadd.i32 q7, q7, q1",
                "5:",
                "ldrd r4, r5, [r0, #28]", // shift, zero point
                "vldrw.u32 q0, [r11, #64]",
                "vshl.s32 q4, r4",
                "vldrw.u32 q1, [r11, #80]",
                "vshl.s32 q5, r4",
                "vldrw.u32 q2, [r11, #96]",
                "vshl.s32 q6, r4",
                "vldrw.u32 q3, [r11, #112]",
                "vshl.s32 q7, r4",
                "vrmulh.s32 q4, q4, q0",
                "vrmulh.s32 q5, q5, q1",
                "vrmulh.s32 q6, q6, q2",
                "vrmulh.s32 q7, q7, q3",
                "vadd.i32 q4, q4, r5",
                "vadd.i32 q5, q5, r5",
                "vadd.i32 q6, q6, r5",
                "vadd.i32 q7, q7, r5",
                "ldrd r4, r5, [r0, #44]", // bounds
                "vdup.8 q2, r4",
                "vdup.8 q3, r5",
                // Saturating, and back in order.
                "vqmovnb.s32 q0, q4",
                "vqmovnb.s32 q1, q6",
                "vqmovnt.s32 q0, q5",
                "vqmovnt.s32 q1, q7",
                "vqmovnb.s16 q0, q0",
                "vqmovnt.s16 q0, q1",
                "vmax.s8 q0, q0, q2",
                "vmin.s8 q0, q0, q3",
                $one,
                concat!("vstrb", $then, ".8 q0, [r12]"),
                "add r12, r7",
                "ldr r4, [r0, #36]",
                "add r1, r4",
                "subs.w r10, r10, #1",
                "bne.w 2b",
                "add sp, #4",
                "vpop {{d8, d9, d10, d11, d12, d13, d14, d15}}",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

depthwise_kernel!(depthwise_sixteen, "", "", "");
depthwise_kernel!(depthwise_fewer, "vpst", "vpstt", "t");

pub(super) fn add(first: &[i8], second: &[i8], constants: &AddConstants, output: &mut [i8]) {
    portable::add(first, second, constants, output);
}

pub(super) fn add_assign(first: &mut [i8], second: &[i8], constants: &AddConstants) {
    portable::add_assign(first, second, constants);
}
