//! The matrix product: one function, from `faer`.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// A row-major matrix within a slice, perhaps seen transposed.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    stride: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// The first `rows * columns` values of a slice, row by row.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self { values: &values[..rows * columns], rows, columns, stride: columns, transposed: false }
    }

    /// Some of the columns of a matrix that is not transposed.
    pub fn columns(self, range: Range<usize>) -> Self {
        let end = (self.rows.max(1) - 1) * self.stride + range.end;
        let values = if self.rows == 0 { &[] } else { &self.values[range.start..end] };
        Self { values, columns: range.len(), ..self }
    }

    /// The same values as the transposed matrix.
    pub fn transposed(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    fn view(self) -> MatRef<'a, f32> {
        let view = MatRef::from_row_major_slice_with_stride(self.values, self.rows, self.columns, self.stride);
        if self.transposed { view.transpose() } else { view }
    }
}

/// `output = left * right`, or `output += left * right` with `accumulate`; `output` is row-major. On one thread: shards
/// of a batch, not products, are what threads share, since at the sizes of small nets a product's own threading halves
/// its speed.
pub fn multiply(output: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, accumulate: bool) {
    let (left, right) = (left.view(), right.view());
    let (rows, columns) = (left.nrows(), right.ncols());
    let output = MatMut::from_row_major_slice_mut(&mut output[..rows * columns], rows, columns);
    let mode = if accumulate { Accum::Add } else { Accum::Replace };
    matmul(output, mode, left, right, 1.0, Par::Seq);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_all_orientations() {
        // [1 2 3; 4 5 6] times [1 0; 2 1; 0 3] = [5 11; 14 23]
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [1.0, 0.0, 2.0, 1.0, 0.0, 3.0];
        let mut c = [9.0; 4];
        multiply(&mut c, Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), false);
        assert_eq!(c, [5.0, 11.0, 14.0, 23.0]);
        multiply(&mut c, Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), true);
        assert_eq!(c, [10.0, 22.0, 28.0, 46.0]);
        // b^T a^T = (a b)^T
        multiply(&mut c, Matrix::new(&b, 3, 2).transposed(), Matrix::new(&a, 2, 3).transposed(), false);
        assert_eq!(c, [5.0, 14.0, 11.0, 23.0]);
    }
}
