//! The solver of closed-form heads: a linear discriminant with a shared covariance (Fisher 1936; Hastie et al., *The Elements
//! of Statistical Learning*, 4.3), in plain f32 operations in the order written.
//!
//! With `n` samples, class counts `n_c`, sums `s_c` and second moments `M`, all of integers:
//!
//! - centre: `r = round(sum_c s_c / n)`, an integer for each feature. Everything is taken relative to it, in integers, so that
//!   nothing is lost where features lie far from zero: `M' = M - r t^T - t r^T + n r r^T` (`t = sum_c s_c`), `s'_c = s_c - n_c r`;
//! - covariance: `S = (M' - sum_c s'_c s'_c^T / n_c) / n`, then `lambda * trace(S) / D` is added to the diagonal;
//! - factor: `S = R^T R`, `R` upper triangular (Cholesky);
//! - head: `mu_c = s'_c / n_c`, `w_c = S^-1 mu_c`, `b_c = 0.5 (D / n_c - mu_c . w_c)`. The score of class `c` is
//!   `w_c . (q - r) + b_c`: for equal priors the logarithm of its likelihood, up to what all classes share. `D / n_c` makes up for the
//!   error of a mean of few samples, which by itself adds that much to the expected distance (McLachlan, *Discriminant Analysis and
//!   Statistical Pattern Recognition*, 3.3): without it, classes of few samples are found too rarely.

/// The rows of an upper triangle, each from its diagonal on.
fn rows<T>(triangle: &[T], size: usize) -> impl Iterator<Item = &[T]> {
    let mut rest = triangle;
    (0..size).rev().map_while(move |behind| {
        let (row, below) = rest.split_at_checked(behind + 1)?;
        rest = below;
        Some(row)
    })
}

/// The features' totals over all classes, `t`, and the centre, `r`.
pub fn centre(sums: &[i32], samples: i64, totals: &mut [i32], centre: &mut [i32]) {
    let size = totals.len().max(1);
    totals.fill(0);
    for class in sums.chunks_exact(size) {
        totals.iter_mut().zip(class).for_each(|(total, &sum)| *total = total.wrapping_add(sum));
    }
    for (centre, &total) in centre.iter_mut().zip(&*totals) {
        *centre = rounded_quotient(total.into(), samples) as i32;
    }
}

/// `dividend / divisor`, rounded to the nearest integer, halves away from zero; 0 for a divisor that is not positive.
pub fn rounded_quotient(dividend: i64, divisor: i64) -> i64 {
    let half = if dividend < 0 { -(divisor / 2) } else { divisor / 2 };
    if divisor > 0 { dividend.wrapping_add(half).wrapping_div(divisor) } else { 0 }
}

/// Second moments relative to the centre: `M'`.
pub fn centred_moments(moments: &[i32], samples: i64, totals: &[i32], centre: &[i32], covariance: &mut [f32]) {
    let mut out = covariance.iter_mut();
    for (row, moments) in rows(moments, totals.len()).enumerate() {
        let (Some(totals), Some(centre)) = (totals.get(row..), centre.get(row..)) else { return };
        let (Some(&total), Some(&own)) = (totals.first(), centre.first()) else { return };
        let columns = moments.iter().zip(totals).zip(centre);
        for (((&moment, &other_total), &other), out) in columns.zip(&mut out) {
            let shift = i64::from(own) * i64::from(other_total) + i64::from(other) * i64::from(total);
            *out = (i64::from(moment) - shift + samples * i64::from(own) * i64::from(other)) as f32;
        }
    }
}

/// A class's sums relative to the centre, as real numbers: `s'_c`.
pub fn centred_sums(sums: &[i32], count: i64, centre: &[i32], out: &mut [f32]) {
    for ((&sum, &centre), out) in sums.iter().zip(centre).zip(out) {
        *out = (i64::from(sum) - count * i64::from(centre)) as f32;
    }
}

/// Takes the part of the moments that lies between the classes away: `M' -= s' s'^T / n_c`, `sums` being `s'`.
pub fn subtract_outer_product(covariance: &mut [f32], sums: &[f32], count: f32) {
    let mut out = covariance.iter_mut();
    for (row, &sum) in sums.iter().enumerate() {
        let mean = sum / count;
        let columns = sums.get(row..).unwrap_or_default();
        columns.iter().zip(&mut out).for_each(|(&column, out)| *out -= mean * column);
    }
}

/// Divides by the number of samples and shrinks: what stands on the diagonal grows by `lambda` of its mean.
pub fn shrink(covariance: &mut [f32], size: usize, samples: f32, shrinkage: f32) {
    covariance.iter_mut().for_each(|moment| *moment /= samples);
    let trace = rows(covariance, size).filter_map(|row| row.first()).fold(0.0, |trace, &variance| trace + variance);
    let more = shrinkage * (trace / size as f32);
    let mut rest = covariance;
    for behind in (0..size).rev() {
        let Some((row, below)) = rest.split_at_mut_checked(behind + 1) else { return };
        if let Some(variance) = row.first_mut() {
            *variance += more;
        }
        rest = below;
    }
}

/// Factorizes in place, row by row: `R` with `R^T R` the matrix. `false` if a pivot is not positive and finite.
pub fn factorize(triangle: &mut [f32], size: usize) -> bool {
    let mut rest = triangle;
    for behind in (0..size).rev() {
        let Some((row, below)) = rest.split_at_mut_checked(behind + 1) else { return false };
        let Some((pivot, columns)) = row.split_first_mut() else { return false };
        if !(*pivot > 0.0 && pivot.is_finite()) {
            return false;
        }
        *pivot = libm::sqrtf(*pivot);
        columns.iter_mut().for_each(|column| *column /= *pivot);
        rest = below;
        // What is below is still symmetric: its row i loses r_i times the columns from i on.
        let (mut below, mut columns) = (&mut *rest, &*columns);
        while let Some((&first, others)) = columns.split_first() {
            let Some((row, next)) = below.split_at_mut_checked(columns.len()) else { return false };
            row.iter_mut().zip(columns).for_each(|(element, &column)| *element -= first * column);
            (below, columns) = (next, others);
        }
    }
    true
}

/// Solves `R^T y = x` in place.
pub fn solve_transposed(factor: &[f32], x: &mut [f32]) {
    let mut rest = x;
    let size = rest.len();
    for row in rows(factor, size) {
        let (Some((first, others)), Some((&pivot, columns))) = (rest.split_first_mut(), row.split_first()) else { return };
        *first /= pivot;
        others.iter_mut().zip(columns).for_each(|(other, &column)| *other -= column * *first);
        rest = others;
    }
}

/// Solves `R w = y` in place.
pub fn solve_upper(factor: &[f32], y: &mut [f32]) {
    let mut end = factor.len();
    for position in (0..y.len()).rev() {
        let length = y.len() - position;
        let start = end.saturating_sub(length);
        let row = factor.get(start..end).unwrap_or_default();
        let (Some((&pivot, columns)), Some((first, others))) =
            (row.split_first(), y.get_mut(position..).and_then(<[f32]>::split_first_mut))
        else {
            return;
        };
        let sum = columns.iter().zip(&*others).fold(*first, |sum, (&column, &other)| sum - column * other);
        *first = sum / pivot;
        end = start;
    }
}

/// `a . b`, summed in order.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (&a, &b)| sum + a * b)
}
