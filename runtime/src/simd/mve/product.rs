//! Matrix products on Helium: tiles of four channels by two pixels, or by one.

use super::super::{Requantize, layout::padded};
use core::arch::naked_asm;

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

pub(in super::super) fn multiply(
    weights: &[i8],
    k: usize,
    columns: &[u32],
    requantize: &Requantize,
    [first, second]: [&mut [i8]; super::PIXELS],
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
        super::super::assembler_core!(),
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
        super::super::assembler_core!(),
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
