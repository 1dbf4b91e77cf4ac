//! Matrix products on cores with the DSP extension: tiles of two channels by two pixels, or by one.

use super::{
    super::{Requantize, layout::padded},
    limit,
};
use core::arch::naked_asm;

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

pub(in super::super) fn multiply(
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
#[inline(always)] // a call more costs 5 to 10% where the depth is 8 to 16
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
        super::super::assembler_core!(),
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
        super::super::assembler_core!(),
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
