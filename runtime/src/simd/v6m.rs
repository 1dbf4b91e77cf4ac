//! Armv6-M: Cortex-M0, M0+, M1. No SIMD, but a way to do without much of what the core lacks: one multiplication makes two products,
//! and the accumulators are in the eight registers that only moves, sums and comparisons reach. The compiler keeps to the other eight
//! and spills.
//!
//! **Two pixels**: a column is the word `x1 - (x2 << 16)`, so `weight * column` is both pixels' products, 16 bits apart. Two such
//! products are added before they are parted, which is as far as 16 bits go: they are -32,512 to 32,768 together, and the other way round in the
//! upper half. A constant between keeps the lower half positive, so that it borrows nothing from the upper one; what it adds to the
//! sums is taken away at the end.
//!
//! **One pixel**: columns are the inputs as they are, and four channels are done at a time, so that each input loaded serves four times.

/// First lines of a naked function that uses all registers.
macro_rules! save {
    () => {
        "push {{r4-r7, lr}}
         mov r4, r8
         mov r5, r9
         mov r6, r10
         mov r7, r11
         push {{r4-r7}}"
    };
}
/// What undoes `save!` and returns.
macro_rules! restore {
    () => {
        "pop {{r4-r7}}
         mov r8, r4
         mov r9, r5
         mov r10, r6
         mov r11, r7
         pop {{r4-r7, pc}}"
    };
}

mod depthwise;

pub(super) use self::depthwise::Kernels;
pub(super) use super::pack_each_row as pack_rows;
pub(super) use super::portable::{PIXELS, add, add_assign, add_products, copy, wide_group, wide_sums, wide_tap_sums};

use super::{
    Requantize, Variant,
    layout::padded,
    portable::{self, store},
};
use core::arch::naked_asm;

pub(super) const VARIANT: Variant = Variant::V6m;

pub(super) const PACK_RUN: Option<super::PackRun> = None;

/// Added to the sum of two products, which is -32,512 to 32,768, to bring it into 0 to 65,535. The kernel makes it of two bytes.
const OFFSET: i32 = 127 * 256 + 88;

pub(super) fn pack_columns(columns: &mut [u32], k: usize, at: usize, [first, second]: [&[i8]; PIXELS]) {
    if second.is_empty() {
        return portable::pack_columns(columns, k, at, [first, second]);
    }
    let Some(columns) = columns.get_mut(at..) else { return };
    for ((column, &x), &y) in columns.iter_mut().zip(first).zip(second) {
        *column = (i32::from(x) - (i32::from(y) << 16)) as u32;
    }
}

pub(super) fn multiply(
    weights: &[i8],
    k: usize,
    columns: &[u32],
    requantize: &Requantize,
    [first, second]: [&mut [i8]; PIXELS],
) {
    if second.is_empty() {
        multiply_one(weights, k, columns, requantize, first);
        return;
    }
    let (pairs, last) = requantize.channels.as_chunks::<2>();
    let (whole, rest) = weights.split_at_checked(pairs.len() * 2 * padded(k)).unwrap_or_default();
    if !pairs.is_empty() {
        // SAFETY: as many weights and outputs as there are pairs of channels, and `padded(k)` columns of two pixels.
        unsafe { run_two(whole, k, columns, pairs, requantize, first.as_mut_ptr(), second.as_mut_ptr()) };
    }
    if let (&[constants], [.., first], [.., second]) = (last, first, second) {
        // The last pair's second row is zeros and has no constants and no output: let it have some.
        let (mut ones, mut twos) = ([0; 2], [0; 2]);
        // SAFETY: as above, with one pair.
        unsafe { run_two(rest, k, columns, &[[constants, [0; 2]]], requantize, ones.as_mut_ptr(), twos.as_mut_ptr()) };
        ([*first, _], [*second, _]) = (ones, twos);
    }
}

/// One pixel, four channels at a time.
fn multiply_one(weights: &[i8], k: usize, columns: &[u32], requantize: &Requantize, outputs: &mut [i8]) {
    let row = 2 * padded(k);
    let fours = weights.chunks((2 * row).max(8)).zip(requantize.channels.chunks(4)).zip(outputs.chunks_mut(4));
    for ((weights, channels), outputs) in fours {
        let mut sums = [0; 4];
        // A last pair that is alone is done twice.
        let stride = if weights.len() > row { row } else { 0 };
        // SAFETY: a pixel has `padded(k)` bytes of columns, a pair of rows `row` weights, and `stride` leads to another pair or to
        // the same.
        unsafe { sums_one(weights.as_ptr(), weights.as_ptr().wrapping_add(row), stride, columns.as_ptr().cast(), &mut sums) };
        for ((sum, constants), output) in sums.iter().zip(channels).zip(outputs) {
            store(&[*sum], &[*constants], requantize, core::array::from_mut(output));
        }
    }
}

/// What the kernel of two pixels reads, and its running pointers. The field offsets are used in the asm below.
#[repr(C)]
struct Product {
    weights: *const i8,                  // 0
    columns: *const u32,                 // 4
    columns_end: *const u32,             // 8
    offset: i32,                         // 12
    constants: *const [[i32; 2]; 2],     // 16
    constants_end: *const [[i32; 2]; 2], // 20
    first: *mut i8,                      // 24
    second: *mut i8,                     // 28
    surplus: i32,                        // 32: what the offsets add to a sum of the first pixel
    rounding: i32,                       // 36
    shift: u32,                          // 40
    zero_point: i32,                     // 44
    minimum: i32,                        // 48
    maximum: i32,                        // 52
}

/// # Safety
/// `weights` has `2 * padded(k)` for each pair, `columns` `padded(k)`, and `first` and `second` point to two outputs for each pair.
unsafe fn run_two(
    weights: &[i8],
    k: usize,
    columns: &[u32],
    pairs: &[[[i32; 2]; 2]],
    requantize: &Requantize,
    first: *mut i8,
    second: *mut i8,
) {
    let constants = pairs.as_ptr_range();
    let mut product = Product {
        weights: weights.as_ptr(),
        columns: columns.as_ptr(),
        columns_end: columns.as_ptr().wrapping_add(padded(k)),
        offset: OFFSET,
        constants: constants.start,
        constants_end: constants.end,
        first,
        second,
        surplus: OFFSET.wrapping_mul(padded(k) as i32 / 2),
        rounding: 1 << 15,
        shift: requantize.shift,
        zero_point: requantize.zero_point,
        minimum: requantize.minimum,
        maximum: requantize.maximum,
    };
    // SAFETY: as the caller promises.
    unsafe { multiply_two(&mut product) }
}

/// Two channels by two pixels at a time: 23 instructions for 8 products, and 33 to requantize an output.
#[unsafe(naked)]
unsafe extern "C" fn multiply_two(product: &mut Product) {
    macro_rules! step {
        ($next:literal) => {
            concat!(
                "ldm r1!, {{r4, r5}}
                 ldrsb r6, [r0, r2]
                 ldrsb r7, [r0, r3]
                 muls r6, r4, r6
                 muls r7, r4, r7
                 adds r0, #1
                 ldrsb r4, [r0, r2]
                 muls r4, r5, r4
                 adds r6, r6, r4
                 ldrsb r4, [r0, r3]
                 muls r4, r5, r4
                 adds r7, r7, r4
                 adds r0, #",
                $next,
                "
                 add r6, lr
                 uxth r4, r6
                 add r8, r4
                 asrs r6, r6, #16
                 add r9, r6
                 add r7, lr
                 uxth r4, r7
                 add r10, r4
                 asrs r7, r7, #16
                 add r11, r7"
            )
        };
    }
    naked_asm!(
        save!(),
        "push {{r0}}",
        // A tile of two channels.
        "2:",
        "ldr r7, [sp]",
        "ldm r7!, {{r0, r1, r2, r3}}",
        "mov r12, r2",
        "mov lr, r3",
        "movs r2, #0",
        "movs r3, #4",
        "mov r8, r2",
        "mov r9, r2",
        "mov r10, r2",
        "mov r11, r2",
        "3:",
        step!("1"),
        step!("5"),
        "cmp r1, r12",
        "bne 3b",
        "ldr r7, [sp]",
        "str r0, [r7]",
        "ldr r0, [r7, #36]",
        "mov r12, r0",
        // First channel, second pixel and first.
        "ldr r0, [r7, #16]",
        "ldm r0!, {{r1, r4}}",
        "uxth r5, r4",
        "asrs r4, r4, #16",
        "mov r2, r9",
        "subs r2, r1, r2",
        "mov r9, r2",
        "mov r2, r8",
        "adds r1, r1, r2",
        "ldr r2, [r7, #32]",
        "subs r1, r1, r2",
        "bl 5f",
        "ldr r3, [r7, #24]",
        "strb r1, [r3]",
        "mov r1, r9",
        "bl 5f",
        "ldr r3, [r7, #28]",
        "strb r1, [r3]",
        // Second channel.
        "ldm r0!, {{r1, r4}}",
        "str r0, [r7, #16]",
        "uxth r5, r4",
        "asrs r4, r4, #16",
        "mov r2, r11",
        "subs r2, r1, r2",
        "mov r11, r2",
        "mov r2, r10",
        "adds r1, r1, r2",
        "ldr r2, [r7, #32]",
        "subs r1, r1, r2",
        "bl 5f",
        "ldr r3, [r7, #24]",
        "strb r1, [r3, #1]",
        "adds r3, #2",
        "str r3, [r7, #24]",
        "mov r1, r11",
        "bl 5f",
        "ldr r3, [r7, #28]",
        "strb r1, [r3, #1]",
        "adds r3, #2",
        "str r3, [r7, #28]",
        "ldr r1, [r7, #20]",
        "cmp r0, r1",
        "bne 2b",
        "add sp, #4",
        restore!(),
        // Requantizes r1 by the multiplier's halves in r4 and r5, as in `quant.rs`: the product of 64 bits is made of halves.
        "5:",
        "ldr r2, [r7, #40]",
        "lsls r1, r2",
        "uxth r3, r1",
        "asrs r1, r1, #16",
        "mov r2, r3",
        "muls r2, r5, r2",
        "lsrs r2, r2, #16",
        "mov r6, r1",
        "muls r6, r5, r6",
        "adds r6, r6, r2",
        "add r6, r12",
        "muls r3, r4, r3",
        "uxth r2, r6",
        "adds r3, r3, r2",
        "asrs r3, r3, #16",
        "asrs r6, r6, #16",
        "muls r1, r4, r1",
        "adds r1, r1, r3",
        "adds r1, r1, r6",
        "ldr r2, [r7, #44]",
        "adds r1, r1, r2",
        "ldr r2, [r7, #48]",
        "cmp r1, r2",
        "bge 6f",
        "mov r1, r2",
        "6:",
        "ldr r2, [r7, #52]",
        "cmp r1, r2",
        "ble 7f",
        "mov r1, r2",
        "7:",
        "bx lr",
    )
}

/// Sums of four channels over one pixel: two pairs of rows, `stride` bytes apart, the first up to `end`. 59 instructions for 16 products.
#[unsafe(naked)]
unsafe extern "C" fn sums_one(weights: *const i8, end: *const i8, stride: usize, column: *const i8, sums: &mut [i32; 4]) {
    macro_rules! step {
        ($next:literal) => {
            concat!(
                "ldrsb r7, [r0, r1]
                 ldrsb r6, [r0, r2]
                 muls r6, r7, r6
                 add r8, r6
                 ldrsb r6, [r0, r3]
                 muls r6, r7, r6
                 add r9, r6
                 ldrsb r6, [r0, r4]
                 muls r6, r7, r6
                 add r10, r6
                 ldrsb r6, [r0, r5]
                 muls r6, r7, r6
                 add r11, r6
                 adds r0, #",
                $next
            )
        };
    }
    naked_asm!(
        save!(),
        "mov r12, r1",
        "mov r4, r2",
        "subs r1, r3, r0", // where the inputs lie, from the weights
        "movs r2, #0",
        "movs r3, #4",
        "adds r5, r4, #4",
        "mov r8, r2",
        "mov r9, r2",
        "mov r10, r2",
        "mov r11, r2",
        "2:",
        step!("1"),
        step!("1"),
        step!("1"),
        step!("5"),
        "subs r1, #4",
        "cmp r0, r12",
        "bne 2b",
        "ldr r0, [sp, #36]",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "stm r0!, {{r4-r7}}",
        restore!(),
    )
}
