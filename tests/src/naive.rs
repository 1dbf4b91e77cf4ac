//! The ops as their formulas say, without any care for speed: i64 for int8 models, f64 for f32 models.

use samara_runtime::ops::window::Window;
use std::ops::{AddAssign, Mul};

/// Height, width and channels.
pub type Image = [usize; 3];

/// The position in an image of a tap of a window, if it is not padding.
pub fn tap(window: &Window, image: Image, at: [usize; 2], tap: [usize; 2]) -> Option<[usize; 2]> {
    let along = |axis: usize| {
        let position = at[axis] * usize::from(window.stride[axis]) + tap[axis] * usize::from(window.dilation[axis]);
        position.checked_sub(window.padding[axis].into()).filter(|&position| position < image[axis])
    };
    Some([along(0)?, along(1)?])
}

/// Every tap of a window.
pub fn taps(window: &Window) -> impl Iterator<Item = [usize; 2]> + use<> {
    let [height, width] = window.kernel.map(usize::from);
    (0..height).flat_map(move |u| (0..width).map(move |v| [u, v]))
}

/// Every pixel of an image.
pub fn pixels([height, width, _]: Image) -> impl Iterator<Item = [usize; 2]> {
    (0..height).flat_map(move |y| (0..width).map(move |x| [y, x]))
}

/// Sums of a convolution: `sums[y, x, c] = bias[c] + sum weights[c][u][v][d] * input[..., d]`, padding reads `padding`.
pub fn convolution<T: Copy + AddAssign + Mul<Output = T>>(
    window: &Window,
    (input, image): (&[T], Image),
    output: Image,
    (weights, bias): (&[T], &[T]),
    padding: T,
) -> Vec<T> {
    let (depth, kernel_width) = (image[2], usize::from(window.kernel[1]));
    let fan_in = window.taps() * depth;
    let mut sums = Vec::new();
    for at in pixels(output) {
        for (channel, &bias) in bias.iter().enumerate() {
            let mut sum = bias;
            for [u, v] in taps(window) {
                for d in 0..depth {
                    let x = tap(window, image, at, [u, v]).map_or(padding, |[y, x]| input[(y * image[1] + x) * depth + d]);
                    sum += weights[channel * fan_in + (u * kernel_width + v) * depth + d] * x;
                }
            }
            sums.push(sum);
        }
    }
    sums
}

/// Sums of a depthwise convolution: `sums[y, x, c] = bias[c] + sum weights[c][u][v] * input[..., c]`.
pub fn depthwise<T: Copy + AddAssign + Mul<Output = T>>(
    window: &Window,
    (input, image): (&[T], Image),
    output: Image,
    (weights, bias): (&[T], &[T]),
    padding: T,
) -> Vec<T> {
    let mut sums = Vec::new();
    for at in pixels(output) {
        for (channel, &bias) in bias.iter().enumerate() {
            let mut sum = bias;
            for (number, place) in taps(window).enumerate() {
                let x = tap(window, image, at, place).map_or(padding, |[y, x]| input[(y * image[1] + x) * image[2] + channel]);
                sum += weights[channel * window.taps() + number] * x;
            }
            sums.push(sum);
        }
    }
    sums
}

/// The elements under each window of a pool, those that are not padding, per output pixel and channel.
pub fn pooled<T: Copy>(window: &Window, (input, image): (&[T], Image), output: Image) -> Vec<Vec<T>> {
    let mut all = Vec::new();
    for at in pixels(output) {
        for channel in 0..image[2] {
            let element = |[y, x]: [usize; 2]| input[(y * image[1] + x) * image[2] + channel];
            all.push(taps(window).filter_map(|place| tap(window, image, at, place)).map(element).collect());
        }
    }
    all
}

/// `clamp(zero_point + floor((accumulator * 2^shift * multiplier + 2^31) / 2^32))` without any limit of bits.
pub fn requantized(accumulator: i64, shift: u8, multiplier: i32, zero_point: i8, minimum: i8, maximum: i8) -> i8 {
    let product = (i128::from(accumulator) << shift) * i128::from(multiplier) + (1 << 31);
    let rounded = product.div_euclid(1 << 32) + i128::from(zero_point);
    rounded.clamp(minimum.into(), maximum.into()) as i8
}

/// Concatenation of `[outer, size_i, inner]` tensors along the middle axis.
pub fn concatenated<T: Copy>(parts: &[(&[T], usize)], outer: usize, inner: usize) -> Vec<T> {
    let mut all = Vec::new();
    for row in 0..outer {
        for &(part, size) in parts {
            all.extend_from_slice(&part[row * size * inner..][..size * inner]);
        }
    }
    all
}

/// An image with `value` around it.
pub fn padded<T: Copy>((input, image): (&[T], Image), output: Image, [top, left]: [usize; 2], value: T) -> Vec<T> {
    let mut all = vec![value; output.iter().product()];
    for [y, x] in pixels(image) {
        for channel in 0..image[2] {
            all[((y + top) * output[1] + x + left) * image[2] + channel] = input[(y * image[1] + x) * image[2] + channel];
        }
    }
    all
}
