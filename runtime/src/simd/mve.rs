//! Helium, Arm's M-profile vector extension: Cortex-M52, M55, M85. Integer instructions only, so it serves cores without vector
//! floating point as well.
//!
//! `VMLADAVA.S8` adds sixteen products to a general register, `VRMULH.S32` is the requantization. `VLD20`/`VLD21` part the two rows
//! of a pair while loading them.
//!
//! Columns: the pixels' inputs as they are, each pixel padded to a multiple of 16 bytes (with anything: weights beyond
//! the depth read as zero).

mod depthwise;
mod product;

pub(super) use self::{depthwise::Kernels, product::multiply};

pub(super) use super::pack_each_row as pack_rows;
pub(super) use super::portable::{PIXELS, add_products, wide_group, wide_sums, wide_tap_sums};
use super::{AddConstants, Variant, portable};
use core::arch::naked_asm;

pub(super) const VARIANT: Variant = Variant::Mve;

pub(super) const PACK_RUN: Option<super::PackRun> = None;

#[inline(always)]
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    // SAFETY: both slices are equally long.
    unsafe { copy_bytes(to.as_mut_ptr(), from.as_ptr(), from.len()) };
}

pub(super) fn pack_columns(columns: &mut [u32], k: usize, at: usize, [first, second]: [&[i8]; PIXELS]) {
    let bytes: &mut [i8] = bytemuck::cast_slice_mut(columns);
    for (start, pixel) in [(at, first), (k.next_multiple_of(16) + at, second)] {
        if let Some(place) = bytes.get_mut(start..).and_then(|rest| rest.get_mut(..pixel.len())) {
            copy(bytemuck::cast_slice_mut(place), bytemuck::cast_slice(pixel));
        }
    }
}

/// Copies bytes, sixteen at a time.
#[unsafe(naked)]
unsafe extern "C" fn copy_bytes(to: *mut u8, from: *const u8, length: usize) {
    naked_asm!(
        super::assembler_core!(),
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

// The compiler vectorizes the plain loop well (1.8 instructions per element).
pub(super) fn add(first: &[i8], second: &[i8], constants: &AddConstants, output: &mut [i8]) {
    portable::add(first, second, constants, output);
}

pub(super) fn add_assign(first: &mut [i8], second: &[i8], constants: &AddConstants) {
    portable::add_assign(first, second, constants);
}
