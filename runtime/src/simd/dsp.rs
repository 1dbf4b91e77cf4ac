//! Arm's DSP extension: Cortex-M4, M7, M33. The inner loops are naked functions, since an `asm!` block may not use all 14
//! registers, and the compiler spills with fewer.
//!
//! `SXTB16` takes bytes 0 and 2 of a word, `SXTB16 ror #8` bytes 1 and 3; weights and inputs are widened alike, so nothing
//! has to be re-ordered, and `SMLAD` does two products.
//!
//! Columns: inputs are widened once per pixel and serve all channels. Per four inputs and pixel two words (bytes 0 and 2, bytes
//! 1 and 3); of three pixels first those, then these, so that one LDM fetches all three.

mod depthwise;
mod product;
mod wide;

pub(super) use self::{
    depthwise::Kernels,
    product::multiply,
    wide::{wide_group, wide_sums, wide_tap_sums},
};
pub(super) use super::portable::add_products;

use super::{AddConstants, PixelRun, Variant, portable};
use core::arch::asm;

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

/// Words, then bytes; not for the compiler to recognize as a call of `memcpy`.
#[inline(always)]
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    let (words, rest) = (from.len() / 4, from.len() % 4);
    // SAFETY: the slices are equally long, and words of the cores with this extension may lie anywhere.
    unsafe {
        asm!(
            "cmp {words}, #0",
            "beq 3f",
            "2:",
            "ldr {x}, [{from}], #4",
            "str {x}, [{to}], #4",
            "subs {words}, #1",
            "bne 2b",
            "3:",
            "cmp {rest}, #0",
            "beq 5f",
            "4:",
            "ldrb {x}, [{from}], #1",
            "strb {x}, [{to}], #1",
            "subs {rest}, #1",
            "bne 4b",
            "5:",
            words = inout(reg) words => _,
            rest = inout(reg) rest => _,
            from = inout(reg) from.as_ptr() => _,
            to = inout(reg) to.as_mut_ptr() => _,
            x = out(reg) _,
            options(nostack)
        );
    }
}

/// Pixels that are packed and multiplied at a time. Two of them are three, the last one twice.
pub(super) const PIXELS: usize = 3;

pub(super) fn pack_columns(columns: &mut [u32], _k: usize, at: usize, [first, second, third]: [&[i8]; PIXELS]) {
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
        let third = if third.is_empty() { second } else { third };
        let words = first_words.len();
        let Some(columns) = columns.get_mut(at / 4 * 6..) else { return };
        let (columns, _) = columns.as_chunks_mut::<6>();
        if let Some(places) = columns.get_mut(..words)
            && words > 0
        {
            // SAFETY: the slices are equally long (`mod.rs`), and have so many whole words.
            unsafe { pack_three(places.as_flattened_mut().as_mut_ptr(), [first, second, third].map(<[i8]>::as_ptr), words) };
        }
        if let (Some(place), false) = (columns.get_mut(words), first_rest.is_empty()) {
            let [x, y, z] = [first, second, third].map(|pixel| word(pixel.get(words * 4..).unwrap_or_default()));
            *place = [even(x), even(y), even(z), odd(x), odd(y), odd(z)];
        }
    }
}

pub(super) fn pack_rows(columns: &mut [u32], pixels: [(&[i8], usize); PIXELS], rows: usize, length: usize) {
    let [first, second, third] = pixels;
    if second.0.is_empty() {
        return super::pack_each_row(columns, pixels, rows, length);
    }
    let third = if third.0.is_empty() { second } else { third };
    let mut to = columns.as_mut_ptr();
    let mut from = [first, second, third].map(|(pixel, stride)| (pixel.as_ptr(), stride));
    for _ in 0..rows {
        // SAFETY: a row lies in each slice, and its columns in theirs (`mod.rs`).
        unsafe { pack_three(to, from.map(|(pixel, _)| pixel), length / 4) };
        to = to.wrapping_add(length / 4 * 6);
        from = from.map(|(pixel, stride)| (pixel.wrapping_add(stride), stride));
    }
}

pub(super) const PACK_RUN: Option<super::PackRun> = Some(pack_run);

fn pack_run(columns: &mut [u32], inputs: &[i8], run: &PixelRun) {
    let &PixelRun { step, stride, rows, length, .. } = run;
    let (mut to, mut first) = (columns.as_mut_ptr(), inputs.as_ptr());
    for _ in 0..rows {
        let second = first.wrapping_add(step);
        // SAFETY: all rows lie in the slice, and their columns in theirs (`mod.rs`).
        unsafe { pack_three(to, [first, second, second.wrapping_add(step)], length / 4) };
        (to, first) = (to.wrapping_add(length / 4 * 6), first.wrapping_add(stride));
    }
}

/// Widens groups of four inputs of three pixels: those of even number, then the others.
///
/// # Safety
/// There are so many groups, 1 at least, in each pixel, and places of six words for them.
#[inline(always)]
unsafe fn pack_three(to: *mut u32, [first, second, third]: [*const i8; 3], groups: usize) {
    // SAFETY: as the caller promises; words of the cores with this extension may lie anywhere.
    unsafe {
        asm!(
            "2:",
            "ldr {x}, [{first}], #4",
            "ldr {y}, [{second}], #4",
            "ldr {z}, [{third}], #4",
            "sxtb16 {a}, {x}",
            "sxtb16 {b}, {y}",
            "strd {a}, {b}, [{to}], #8",
            "sxtb16 {a}, {z}",
            "sxtb16 {b}, {x}, ror #8",
            "strd {a}, {b}, [{to}], #8",
            "sxtb16 {a}, {y}, ror #8",
            "sxtb16 {b}, {z}, ror #8",
            "strd {a}, {b}, [{to}], #8",
            "subs {groups}, #1",
            "bne 2b",
            first = inout(reg) first => _,
            second = inout(reg) second => _,
            third = inout(reg) third => _,
            to = inout(reg) to => _,
            groups = inout(reg) groups => _,
            x = out(reg) _,
            y = out(reg) _,
            z = out(reg) _,
            a = out(reg) _,
            b = out(reg) _,
            options(nostack)
        );
    }
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
