//! RISC-V of 32 bits with multiplication. There are registers for tiles of four channels by two pixels, and of eight by one, so that most
//! of what is left is the multiplications and sums themselves; the compiler loads a whole step first, and then spills.
//!
//! Columns: as portable code has them.

mod depthwise;

pub(super) use self::depthwise::Kernels;
pub(super) use super::pack_each_row as pack_rows;
pub(super) use super::portable::{PIXELS, add, add_assign, add_products, pack_columns, wide_group, wide_sums, wide_tap_sums};

use super::{
    Requantize, Variant,
    layout::padded,
    portable::{self, store},
};
use core::arch::asm;

pub(super) const VARIANT: Variant = Variant::Rv32m;

pub(super) const PACK_RUN: Option<super::PackRun> = None;

/// Few bytes, at any address, in less than a call of `memcpy` takes.
#[inline(always)]
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    let (groups, rest) = from.as_chunks::<4>();
    let (places, last_places) = to.as_chunks_mut::<4>();
    if groups.len() >= 4 {
        return portable::copy(to, from);
    }
    for (place, group) in places.iter_mut().zip(groups) {
        // SAFETY: four bytes each.
        unsafe {
            asm!(
                "lbu {a}, 0({from})", "lbu {b}, 1({from})", "lbu {c}, 2({from})", "lbu {d}, 3({from})",
                "sb {a}, 0({to})", "sb {b}, 1({to})", "sb {c}, 2({to})", "sb {d}, 3({to})",
                from = in(reg) group.as_ptr(), to = in(reg) place.as_mut_ptr(),
                a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
                options(nostack, preserves_flags)
            );
        }
    }
    for (place, &byte) in last_places.iter_mut().zip(rest) {
        *place = byte;
    }
}

pub(super) fn multiply(
    weights: &[i8],
    k: usize,
    columns: &[u32],
    requantize: &Requantize,
    [first, second]: [&mut [i8]; PIXELS],
) {
    let inputs: &[i8] = bytemuck::cast_slice(columns);
    let Some((first_inputs, second_inputs)) = inputs.split_at_checked(padded(k)) else { return };
    let row = 2 * padded(k); // of a pair
    let done = if second.is_empty() {
        let (tiles, _) = requantize.channels.as_chunks::<8>();
        let outputs = first.as_chunks_mut::<8>().0;
        for ((weights, constants), outputs) in weights.chunks_exact((4 * row).max(8)).zip(tiles).zip(outputs) {
            // SAFETY: there are four pairs of rows, and inputs as long as a row.
            let sums = unsafe { sums_one(weights.as_ptr(), row, first_inputs) };
            store(&sums, constants, requantize, outputs);
        }
        tiles.len() * 8
    } else if second_inputs.len() >= padded(k) {
        let (tiles, _) = requantize.channels.as_chunks::<4>();
        let outputs = first.as_chunks_mut::<4>().0.iter_mut().zip(second.as_chunks_mut::<4>().0);
        for ((weights, constants), (outputs, more_outputs)) in weights.chunks_exact((2 * row).max(8)).zip(tiles).zip(outputs) {
            // SAFETY: there are two pairs of rows, and inputs as long as a row.
            let [ones, twos] = unsafe { sums_two(weights.as_ptr(), row, first_inputs, second_inputs.as_ptr()) };
            store(&ones, constants, requantize, outputs);
            store(&twos, constants, requantize, more_outputs);
        }
        tiles.len() * 4
    } else {
        0
    };
    let channels = requantize.channels.get(done..).unwrap_or_default();
    if !channels.is_empty() {
        let weights = weights.get(done * padded(k)..).unwrap_or_default();
        let [first, second] = [first, second].map(|outputs| outputs.get_mut(done..).unwrap_or_default());
        portable::multiply(weights, k, columns, &Requantize { channels, ..*requantize }, [first, second]);
    }
}

/// Four weights of a channel, from `offset` of a pair's pointer on, times the inputs of two pixels.
macro_rules! products_of_two {
    ($pair:literal, $offset:literal, $first:literal, $second:literal) => {
        concat!(
            "lb {w}, ",
            $offset,
            "({",
            $pair,
            "})
             mul {t}, {w}, {x}
             mul {w}, {w}, {y}
             add {",
            $first,
            "}, {",
            $first,
            "}, {t}
             add {",
            $second,
            "}, {",
            $second,
            "}, {w}"
        )
    };
}

/// Sums of four channels, two pairs of rows `row` bytes apart, over two pixels: 181 instructions for 64 products. An odd
/// number of groups of four inputs enters the loop in its middle, as if another one had been before.
///
/// # Safety
/// There are `2 * row` weights, and as many inputs of the second pixel as of the first, a multiple of 4 and half of `row`.
#[inline(always)]
unsafe fn sums_two(weights: *const i8, row: usize, first: &[i8], second: *const i8) -> [[i32; 4]; 2] {
    let odd = first.len() % 8;
    let [mut a1, mut b1, mut c1, mut d1, mut a2, mut b2, mut c2, mut d2] = [0; 8];
    macro_rules! step {
        ($input:literal, $at:literal, $behind:literal) => {
            concat!(
                "lb {x}, ",
                $input,
                "({first})
                 lb {y}, ",
                $input,
                "({second})
                 ",
                products_of_two!("pair", $at, "a1", "a2"),
                "\n",
                products_of_two!("pair", $behind, "b1", "b2"),
                "\n",
                products_of_two!("other", $at, "c1", "c2"),
                "\n",
                products_of_two!("other", $behind, "d1", "d2")
            )
        };
    }
    // SAFETY: every pass reads four inputs of each pixel, and eight weights of each pair.
    unsafe {
        asm!(
            "bnez {odd}, 3f",
            "2:",
            step!("0", "0", "4"),
            step!("1", "1", "5"),
            step!("2", "2", "6"),
            step!("3", "3", "7"),
            "3:",
            step!("4", "8", "12"),
            step!("5", "9", "13"),
            step!("6", "10", "14"),
            step!("7", "11", "15"),
            "addi {first}, {first}, 8",
            "addi {second}, {second}, 8",
            "addi {pair}, {pair}, 16",
            "addi {other}, {other}, 16",
            "bne {first}, {end}, 2b",
            first = inout(reg) first.as_ptr().wrapping_sub(odd) => _,
            second = inout(reg) second.wrapping_sub(odd) => _,
            pair = inout(reg) weights.wrapping_sub(2 * odd) => _,
            other = inout(reg) weights.wrapping_add(row).wrapping_sub(2 * odd) => _,
            odd = in(reg) odd,
            end = in(reg) first.as_ptr_range().end,
            a1 = inout(reg) a1,
            b1 = inout(reg) b1,
            c1 = inout(reg) c1,
            d1 = inout(reg) d1,
            a2 = inout(reg) a2,
            b2 = inout(reg) b2,
            c2 = inout(reg) c2,
            d2 = inout(reg) d2,
            w = out(reg) _,
            x = out(reg) _,
            y = out(reg) _,
            t = out(reg) _,
            options(readonly, nostack)
        );
    }
    [[a1, b1, c1, d1], [a2, b2, c2, d2]]
}

/// Sums of eight channels, four pairs of rows `row` bytes apart, over one pixel: 206 instructions for 64 products; see
/// [`sums_two`] for the entry.
///
/// # Safety
/// There are `4 * row` weights, and half of `row` inputs, a multiple of 4.
#[inline(always)]
unsafe fn sums_one(weights: *const i8, row: usize, inputs: &[i8]) -> [i32; 8] {
    let odd = inputs.len() % 8;
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = [0; 8];
    macro_rules! product {
        ($pair:literal, $offset:literal, $sum:literal) => {
            concat!(
                "lb {w}, ",
                $offset,
                "({",
                $pair,
                "})
                 mul {w}, {w}, {x}
                 add {",
                $sum,
                "}, {",
                $sum,
                "}, {w}\n"
            )
        };
    }
    macro_rules! step {
        ($input:literal, $at:literal, $behind:literal) => {
            concat!(
                "lb {x}, ",
                $input,
                "({inputs})\n",
                product!("first", $at, "a"),
                product!("first", $behind, "b"),
                product!("second", $at, "c"),
                product!("second", $behind, "d"),
                product!("third", $at, "e"),
                product!("third", $behind, "f"),
                product!("fourth", $at, "g"),
                product!("fourth", $behind, "h")
            )
        };
    }
    // SAFETY: every pass reads four inputs, and eight weights of each pair.
    unsafe {
        asm!(
            "bnez {odd}, 3f",
            "2:",
            step!("0", "0", "4"),
            step!("1", "1", "5"),
            step!("2", "2", "6"),
            step!("3", "3", "7"),
            "3:",
            step!("4", "8", "12"),
            step!("5", "9", "13"),
            step!("6", "10", "14"),
            step!("7", "11", "15"),
            "addi {inputs}, {inputs}, 8",
            "addi {first}, {first}, 16",
            "addi {second}, {second}, 16",
            "addi {third}, {third}, 16",
            "addi {fourth}, {fourth}, 16",
            "bne {inputs}, {end}, 2b",
            inputs = inout(reg) inputs.as_ptr().wrapping_sub(odd) => _,
            first = inout(reg) weights.wrapping_sub(2 * odd) => _,
            second = inout(reg) weights.wrapping_add(row).wrapping_sub(2 * odd) => _,
            third = inout(reg) weights.wrapping_add(2 * row).wrapping_sub(2 * odd) => _,
            fourth = inout(reg) weights.wrapping_add(3 * row).wrapping_sub(2 * odd) => _,
            odd = in(reg) odd,
            end = in(reg) inputs.as_ptr_range().end,
            a = inout(reg) a,
            b = inout(reg) b,
            c = inout(reg) c,
            d = inout(reg) d,
            e = inout(reg) e,
            f = inout(reg) f,
            g = inout(reg) g,
            h = inout(reg) h,
            w = out(reg) _,
            x = out(reg) _,
            options(readonly, nostack)
        );
    }
    [a, b, c, d, e, f, g, h]
}
