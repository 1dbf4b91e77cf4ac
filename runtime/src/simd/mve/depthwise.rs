//! Depthwise convolution on Helium: sixteen channels at a time, taps in pairs.

use super::super::{
    Requantize,
    depthwise::{BLOCK, Depthwise, Run},
};
use core::arch::naked_asm;

pub(in super::super) struct Kernels;

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

    /// The zero points at the start of `scratch`, as if they were in the input: the kernel adds offsets with wrap-around.
    fn padding_tap(_: &Requantize, input: *const i8, scratch: &[u32]) -> u32 {
        (scratch.as_ptr() as usize).wrapping_sub(input as usize) as u32
    }

    fn run(run: &Run, weights: &[i8], requantize: &Requantize, scratch: &mut [u32], output: &mut [i8]) {
        let Some((_, constants)) = scratch.split_first_chunk::<{ BLOCK / 4 }>() else { return };
        let input = run.input.as_ptr().wrapping_add(run.from);
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
            // length were checked against each other), or in the zero points; weights are `[taps, channels]`; only
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
                super::super::assembler_core!(),
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
