//! Sums of int16 inputs times int8 weights: the loops of `product.rs`, whose columns hold 16 bits anyway.

use super::super::portable;
use core::arch::{asm, naked_asm};

/// Four inputs in the order of the widened weights: 0 and 2 in a word, 1 and 3 in the next.
#[inline(always)]
pub(in super::super) fn wide_group([a, b, c, d]: [i16; 4]) -> [i16; 4] {
    [a, c, b, d]
}

/// Sums of two channels over each pixel, of at least four inputs.
#[inline(always)]
pub(in super::super) fn wide_sums<const PIXELS: usize>(pair: &[i8], columns: &[u32]) -> [[i32; 2]; PIXELS] {
    let mut sums = [[0; 2]; PIXELS];
    let groups = (pair.len() / 8).min(columns.len() / (2 * PIXELS));
    let Some(columns) = columns.get(..groups * 2 * PIXELS) else { return sums };
    let columns = columns.as_ptr_range();
    if groups > 0 {
        // SAFETY: the kernels read `groups` groups of eight weights and of four inputs per pixel, which both slices hold, and
        // write two sums per pixel. Weights are 4-byte aligned, since rows of whole groups are, and so is the first.
        unsafe {
            if PIXELS == 2 {
                sums_two(pair.as_ptr(), columns.start, columns.end, sums.as_flattened_mut().as_mut_ptr());
            } else {
                sums_one(pair.as_ptr(), columns.start, columns.end, sums.as_flattened_mut().as_mut_ptr());
            }
        }
    }
    sums
}

/// Sums of `N` channels of one pixel: of four, 13 instructions for a tap's four products.
///
/// # Safety
/// As of the portable one.
#[inline(always)]
pub(in super::super) unsafe fn wide_tap_sums<const N: usize>(
    input: *const i16,
    taps: &[[u32; 2]],
    weights: *const i8,
) -> [i32; N] {
    let mut sums = [0; N];
    let Some(four) = sums.first_chunk_mut::<4>().filter(|_| N == 4) else {
        // SAFETY: as the caller promises.
        return unsafe { portable::wide_tap_sums(input, taps, weights) };
    };
    if taps.is_empty() {
        return sums;
    }
    let ends = taps.as_ptr_range();
    let [a, b, c, d];
    // SAFETY: loads of the taps, and for each of four inputs and four weights, which the caller promises; these cores load words from
    // any address. Sums may set Q.
    unsafe {
        asm!(
            "2:",
            "ldrd {x}, {w}, [{taps}], #8",
            "add {x}, {inputs}, {x}, lsl #1",
            "ldr {w}, [{weights}, {w}]",
            "ldr {y}, [{x}, #4]",
            "ldr {x}, [{x}]",
            "sxtb16 {v}, {w}",
            "sxtb16 {w}, {w}, ror #8",
            "smlabb {a}, {x}, {v}, {a}",
            "smlatb {b}, {x}, {w}, {b}",
            "smlabt {c}, {y}, {v}, {c}",
            "smlatt {d}, {y}, {w}, {d}",
            "cmp {taps}, {end}",
            "bne 2b",
            taps = inout(reg) ends.start => _,
            end = in(reg) ends.end,
            inputs = in(reg) input,
            weights = in(reg) weights,
            a = inout(reg) 0 => a,
            b = inout(reg) 0 => b,
            c = inout(reg) 0 => c,
            d = inout(reg) 0 => d,
            w = out(reg) _,
            x = out(reg) _,
            y = out(reg) _,
            v = out(reg) _,
            options(pure, readonly, nostack)
        );
    }
    *four = [a, b, c, d];
    sums
}

/// Two channels by two pixels: 14 instructions for 16 products, unrolled four times and entered in the middle.
#[unsafe(naked)]
unsafe extern "C" fn sums_two(weights: *const i8, columns: *const u32, end: *const u32, sums: *mut i32) {
    macro_rules! step {
        () => {
            "ldm.w r0!, {{r2, r3}}
             ldm.w r1!, {{r8, r9, r10, r11}}
             sxtb16 r12, r2
             smlad r4, r12, r8, r4
             smlad r6, r12, r10, r6
             sxtb16 r12, r2, ror #8
             smlad r4, r12, r9, r4
             smlad r6, r12, r11, r6
             sxtb16 r12, r3
             smlad r5, r12, r8, r5
             smlad r7, r12, r10, r7
             sxtb16 r12, r3, ror #8
             smlad r5, r12, r9, r5
             smlad r7, r12, r11, r7"
        };
    }
    naked_asm!(
        super::super::assembler_core!(),
        "push {{r3-r11, lr}}",
        "mov lr, r2",
        // Every instruction of a step is 4 bytes long: 56 bytes to skip per step.
        "sub.w r12, lr, r1",
        "lsr.w r12, r12, #4",
        "rsb.w r12, r12, #0",
        "and.w r12, r12, #3",
        "movs r2, #56",
        "adr.w r3, 3f",
        "mla r12, r12, r2, r3",
        "add.w r12, r12, #1", // Thumb
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #0",
        "movs r7, #0",
        "bx r12",
        ".p2align 2",
        "3:",
        step!(),
        step!(),
        step!(),
        step!(),
        "cmp r1, lr",
        "bne.w 3b",
        "ldr r3, [sp]",
        "stm.w r3, {{r4, r5, r6, r7}}",
        "pop {{r3-r11, pc}}",
    )
}

/// Two channels by one pixel: 10 instructions for 8 products, since each weight serves only once.
#[unsafe(naked)]
unsafe extern "C" fn sums_one(weights: *const i8, columns: *const u32, end: *const u32, sums: *mut i32) {
    macro_rules! step {
        () => {
            "ldm.w r0!, {{r6, r7}}
             ldm.w r1!, {{r8, r9}}
             sxtb16 r12, r6
             smlad r4, r12, r8, r4
             sxtb16 r12, r6, ror #8
             smlad r4, r12, r9, r4
             sxtb16 r12, r7
             smlad r5, r12, r8, r5
             sxtb16 r12, r7, ror #8
             smlad r5, r12, r9, r5"
        };
    }
    naked_asm!(
        super::super::assembler_core!(),
        "push {{r3-r9, lr}}",
        "mov lr, r2",
        // Every instruction of a step is 4 bytes long: 40 bytes to skip per step.
        "sub.w r12, lr, r1",
        "lsr.w r12, r12, #3",
        "rsb.w r12, r12, #0",
        "and.w r12, r12, #3",
        "movs r2, #40",
        "adr.w r3, 3f",
        "mla r12, r12, r2, r3",
        "add.w r12, r12, #1", // Thumb
        "movs r4, #0",
        "movs r5, #0",
        "bx r12",
        ".p2align 2",
        "3:",
        step!(),
        step!(),
        step!(),
        step!(),
        "cmp r1, lr",
        "bne.w 3b",
        "ldr r3, [sp]",
        "strd r4, r5, [r3]",
        "pop {{r3-r9, pc}}",
    )
}
