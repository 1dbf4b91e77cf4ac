//! Each set of instructions that this processor has against portable code: a program takes the best one, so that the others would not run.

use super::*;
use crate::simd::{
    layout::{columns_words, pair_rows, paired_bytes},
    tests::{product, requantize},
};
use proptest::prelude::*;
use std::{vec, vec::Vec};

proptest! {
    #[test]
    fn products_are_those_of_portable_code((k, rows, pixels, constants, _) in product()) {
        let requantize = requantize(&constants);
        let channels = requantize.channels.len();
        let mut weights = vec![0; paired_bytes(channels, k)];
        pair_rows(&rows, channels, k, &mut weights);
        let mut columns = vec![0x5a5a_5a5a; columns_words(k, 2)];
        let (first, second) = pixels[..2 * k].split_at(k);
        pack_columns(&mut columns, k, 0, [first, second]);
        let (x1, rest) = bytemuck::cast_slice(&columns).split_at(padded(k));
        let x2 = &rest[..padded(k)];

        type Outputs = [Vec<i8>; 2];
        let of = |multiply: &dyn Fn(&mut [i8], &mut [i8])| -> Outputs {
            let mut outputs = [vec![0; channels], vec![0; channels]];
            let [first, second] = &mut outputs;
            multiply(first, second);
            outputs
        };
        let expected = of(&|first, second| portable::multiply(&weights, k, &columns, &requantize, [first, second]));
        if has_avx2() {
            // SAFETY: the processor has AVX2.
            let of_two = of(&|y1, y2| unsafe { avx2::multiply(&weights, [x1, x2], &requantize, [y1, y2]) });
            prop_assert_eq!(&of_two, &expected);
            let of_one = of(&|y1, y2| unsafe {
                avx2::multiply(&weights, [x1], &requantize, [y1]);
                avx2::multiply(&weights, [x2], &requantize, [y2]);
            });
            prop_assert_eq!(&of_one, &expected);
        }
        if has_vnni() {
            // SAFETY: the processor has VNNI.
            let of_two = of(&|y1, y2| unsafe { vnni::multiply(&weights, [x1, x2], &requantize, [y1, y2]) });
            prop_assert_eq!(&of_two, &expected);
        }

        type Add<'a> = &'a dyn Fn(&mut [i16]);
        let (numbers, shift) = (requantize.channels, requantize.shift);
        let sums = |add: Add| {
            let mut sums: Vec<i16> = (0..channels).map(|channel| (channel * 9000) as u16 as i16).collect();
            add(&mut sums);
            sums
        };
        let expected = sums(&|sums| portable::add_products(&weights, k, x1, numbers, shift, sums));
        if has_avx2() {
            // SAFETY: the processor has AVX2.
            prop_assert_eq!(&sums(&|sums| unsafe { avx2::add_products(&weights, x1, numbers, shift, sums) }), &expected);
        }
        if has_vnni() {
            // SAFETY: the processor has VNNI.
            prop_assert_eq!(&sums(&|sums| unsafe { vnni::add_products(&weights, x1, numbers, shift, sums) }), &expected);
        }
    }
}
