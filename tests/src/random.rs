//! Random shapes and values for property tests.

use crate::naive::Image;
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use samara_runtime::ops::window::Window;
use samara_trainer::device::ops::window;

/// A window over an image, and the size of the output: any that the runtime takes, small.
pub fn window_over(random: &mut StdRng, largest_kernel: u16, largest_dilation: u16) -> (Window, Image, [usize; 2]) {
    let mut axis = || -> ([u16; 4], usize, usize) {
        let (kernel, stride) = (random.random_range(1..=largest_kernel), random.random_range(1..=3));
        let dilation = random.random_range(1..=largest_dilation);
        let reach = (kernel - 1) * dilation;
        let padding = if random.random() { random.random_range(0..=reach) } else { reach / 2 };
        let size = random.random_range(1..=9usize);
        // As many outputs as begin within the image, or fewer.
        let most = (size + usize::from(padding)).div_ceil(stride.into());
        let count = if random.random() { most } else { random.random_range(1..=most) };
        ([kernel, stride, dilation, padding], size, count)
    };
    let ([k0, s0, d0, p0], height, rows) = axis();
    let ([k1, s1, d1, p1], width, columns) = axis();
    (window([k0, k1], [s0, s1], [d0, d1], [p0, p1]), [height, width, 0], [rows, columns])
}

/// Values of int8: any, or extremes only.
pub fn int8(random: &mut StdRng, count: usize) -> Vec<i8> {
    match random.random_range(0..4) {
        0 => (0..count).map(|_| *[-128, 127].choose(random).expect("not empty")).collect(),
        1 => vec![*[-128, 127].choose(random).expect("not empty"); count],
        _ => (0..count).map(|_| random.random()).collect(),
    }
}

/// Weights of int8: -127 to 127, or extremes only.
pub fn weights(random: &mut StdRng, count: usize) -> Vec<i8> {
    int8(random, count).into_iter().map(|weight| if weight == -128 { -127 } else { weight }).collect()
}

/// Values of f32, of one magnitude.
pub fn real(random: &mut StdRng, count: usize) -> Vec<f32> {
    let scale = *[1.0, 1.0, 100.0, 1e-3].choose(random).expect("not empty");
    (0..count).map(|_| random.random_range(-1.0f32..1.0) * scale).collect()
}
