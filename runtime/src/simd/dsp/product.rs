//! Matrix products on cores with the DSP extension: tiles of two channels by three pixels, or by one.

use super::{
    super::{Requantize, layout::padded},
    PIXELS, limit,
};
use core::arch::naked_asm;

/// What the matrix kernels read, and their running pointers. The field offsets are used in the asm below.
#[repr(C)]
struct Product {
    constants: *const i32,     // 0: from here on the word before the next
    first: *mut i8,            // 4
    second: *mut i8,           // 8
    third: *mut i8,            // 12
    shift: u32,                // 16
    zero_point: i32,           // 20
    columns: *const u32,       // 24
    columns_end: *const u32,   // 28
    entry: u32,                // 32: steps of the unrolled loop to skip the first time
    constants_end: *const i32, // 36: the last word
    weights: *const i8,        // 40
    odd_group: u32,            // 44: one pixel only: whether a single group of four inputs comes first
}

pub(in super::super) fn multiply(
    weights: &[i8],
    k: usize,
    columns: &[u32],
    requantize: &Requantize,
    mut outputs: [&mut [i8]; PIXELS],
) {
    let channels = requantize.channels.len();
    let (pairs, last) = requantize.channels.as_chunks::<2>();
    let one = outputs[1].is_empty();
    if !pairs.is_empty() {
        let [first, second, third] = outputs.each_mut().map(|output| output.as_mut_ptr());
        let third = if outputs[2].is_empty() { second } else { third };
        run(weights.as_ptr(), pairs, k, columns, requantize, one, [first, second, third]);
    }
    if let (&[constants], Some(weights)) = (last, weights.get((channels - 1) * padded(k)..)) {
        // The last pair's second row is zeros and has no constants and no output: let it have some.
        let mut results = [[0; 2]; PIXELS];
        let [first, second, third] = results.each_mut().map(|result| result.as_mut_ptr());
        run(weights.as_ptr(), &[[constants, [0, 0]]], k, columns, requantize, one, [first, second, third]);
        for (outputs, [result, _]) in outputs.iter_mut().zip(results) {
            if let Some(output) = outputs.last_mut() {
                *output = result;
            }
        }
    }
    for output in outputs {
        limit(output, requantize.minimum, requantize.maximum);
    }
}

/// Runs the matrix kernel over `pairs` of channels, for one pixel or three. The pointers point to as many weights and outputs as there
/// are pairs, with columns of depth k: the callers above and in `mod.rs` have checked it.
#[inline(always)] // a call more costs 5 to 10% where the depth is 8 to 16
fn run(
    weights: *const i8,
    pairs: &[[[i32; 2]; 2]],
    k: usize,
    columns: &[u32],
    requantize: &Requantize,
    one: bool,
    [first, second, third]: [*mut i8; PIXELS],
) {
    let groups = padded(k) / 4;
    let constants = pairs.as_flattened().as_flattened().as_ptr_range();
    let Some(columns) = columns.get(..groups * if one { 2 } else { 6 }) else { return };
    let columns = columns.as_ptr_range();
    // Of three pixels, the first step stands before the loop, which is left at once where it was the only one.
    let entry = match groups {
        1 if !one => 4,
        _ if !one => (groups - 1).wrapping_neg() % 4,
        _ => (groups / 2).wrapping_neg() % 4,
    };
    let mut product = Product {
        constants: constants.start.wrapping_sub(1),
        first,
        second,
        third,
        shift: requantize.shift,
        zero_point: requantize.zero_point,
        columns: columns.start,
        columns_end: columns.end,
        entry: entry as u32,
        constants_end: constants.end.wrapping_sub(1),
        weights,
        odd_group: groups as u32 % 2,
    };
    // SAFETY: the kernels read `2 * padded(k)` weights, all columns given and two constants per pair, and write two
    // bytes per pair to each output, all of which the slices hold; weights and columns are 4-byte aligned.
    unsafe {
        if one {
            multiply_one(&mut product);
        } else {
            multiply_three(&mut product);
        }
    }
}

/// Two channels by three pixels at a time: 19 instructions for 24 products and a loop unrolled four times, which is entered in the
/// middle where the depth is no multiple of 16. The first step stands before it: there the sums of all pixels begin with one bias.
#[unsafe(naked)]
unsafe extern "C" fn multiply_three(product: *mut Product) {
    // Four inputs; the sums of the second and third pixel go on from these.
    macro_rules! step {
        ($second:literal, $third:literal, $other_second:literal, $other_third:literal) => {
            concat!(
                "ldm.w r0!, {{r2, r3}}\n",
                "ldm.w r1!, {{r10, r11, lr}}\n",
                "sxtb16 r12, r2\n",
                concat!("smlad r5, r12, r11, ", $second, "\n"),
                concat!("smlad r6, r12, lr, ", $third, "\n"),
                "smlad r4, r12, r10, r4\n",
                "sxtb16 r12, r3\n",
                concat!("smlad r8, r12, r11, ", $other_second, "\n"),
                concat!("smlad r9, r12, lr, ", $other_third, "\n"),
                "smlad r7, r12, r10, r7\n",
                "ldm.w r1!, {{r10, r11, lr}}\n",
                "sxtb16 r12, r2, ror #8\n",
                "smlad r4, r12, r10, r4\n",
                "smlad r5, r12, r11, r5\n",
                "smlad r6, r12, lr, r6\n",
                "sxtb16 r12, r3, ror #8\n",
                "smlad r7, r12, r10, r7\n",
                "smlad r8, r12, r11, r8\n",
                "smlad r9, r12, lr, r9\n",
            )
        };
        () => {
            step!("r5", "r6", "r8", "r9")
        };
    }
    naked_asm!(
        super::super::assembler_core!(),
        "push {{r4-r11, lr}}",
        "sub sp, #12",
        "ldrd r1, r2, [r0, #28]", // where columns end, entry
        "str r0, [sp]",
        "str r1, [sp, #8]",
        // Every instruction of a step is 4 bytes long: 76 bytes to skip per step.
        "movs r1, #76",
        "adr.w r3, 3f",
        "mla r1, r1, r2, r3",
        "adds r1, #1", // Thumb
        "str r1, [sp, #4]",
        "mov r12, r0",
        "ldr r1, [r12, #0]",
        "ldr r0, [r12, #40]",
        // A tile of two channels.
        "2:",
        "ldr r4, [r1, #4]",
        "ldr r7, [r1, #12]",
        "ldr r1, [r12, #24]",
        step!("r4", "r4", "r7", "r7"),
        "ldr pc, [sp, #4]",
        ".p2align 2",
        "3:",
        step!(),
        step!(),
        step!(),
        step!(),
        "ldr r2, [sp, #8]",
        "cmp r1, r2",
        "bne.w 3b",
        "ldr r12, [sp]",
        "ldm.w r12, {{r1, r2, r3, r10, r11, lr}}", // constants, outputs, shift, zero point
        "lsls r4, r11",
        "lsls r5, r11",
        "lsls r6, r11",
        "lsls r7, r11",
        "lsl.w r8, r8, r11",
        "lsl.w r9, r9, r11",
        "ldr r11, [r1, #8]!",
        "smmlar r4, r4, r11, lr",
        "smmlar r5, r5, r11, lr",
        "smmlar r6, r6, r11, lr",
        "ldr r11, [r1, #8]!",
        "smmlar r7, r7, r11, lr",
        "smmlar r8, r8, r11, lr",
        "smmlar r9, r9, r11, lr",
        "ssat r4, #8, r4",
        "ssat r5, #8, r5",
        "ssat r6, #8, r6",
        "ssat r7, #8, r7",
        "ssat r8, #8, r8",
        "ssat r9, #8, r9",
        "strb r7, [r2, #1]",
        "strb r4, [r2], #2",
        "strb.w r8, [r3, #1]",
        "strb r5, [r3], #2",
        "strb.w r9, [r10, #1]",
        "strb r6, [r10], #2",
        "stm.w r12, {{r1, r2, r3, r10}}",
        "ldr.w r2, [r12, #36]",
        "cmp r1, r2",
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
        super::super::assembler_core!(),
        "push {{r4-r11, lr}}",
        "sub sp, #12",
        "str r0, [sp]",
        // Every instruction of a step is 4 bytes long: 72 bytes to skip per step.
        "ldr r1, [r0, #32]",
        "movs r2, #72",
        "adr.w r3, 3f",
        "mla r1, r1, r2, r3",
        "adds r1, #1", // Thumb
        "str r1, [sp, #4]",
        "mov r12, r0",
        "ldr r8, [r12, #0]",
        "ldr r0, [r12, #40]",
        // A tile of two channels.
        "2:",
        "ldr r4, [r8, #4]",
        "ldr r5, [r8, #12]",
        "ldrd r1, lr, [r12, #24]",
        "ldr r2, [r12, #44]",
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
        "ldrd r8, r9, [r12, #16]", // shift, zero point
        "ldr r10, [r1, #8]!",
        "ldr r11, [r1, #8]!",
        "lsls r4, r8",
        "lsls r5, r8",
        "smmlar r4, r4, r10, r9",
        "smmlar r5, r5, r11, r9",
        "ssat r4, #8, r4",
        "ssat r5, #8, r5",
        "strb r5, [r2, #1]",
        "strb r4, [r2], #2",
        "mov r8, r1",
        "strd r8, r2, [r12]",
        "ldr r3, [r12, #36]",
        "cmp r8, r3",
        "bne.w 2b",
        "add sp, #12",
        "pop {{r4-r11, pc}}",
    )
}
