//! A net for tables.

use samara_trainer::data::sources::ColumnKind;
use samara_trainer::initializers::Constant;
use samara_trainer::prelude::*;

/// Dense layers of 32 and 16 units for the samples of a table, as wide as its columns ask. For a target of classes it ends in
/// their probabilities. For a number it ends in a frozen batch normalization that brings values of mean 0 and deviation 1 to
/// the target's units (on the device it is part of the dense layer before it), so that the net learns as fast whatever these are.
///
/// Input `[width]`; output `[classes]`, probabilities, or `[1]`.
///
/// # Errors
/// If the columns have no values, or no classes.
pub fn table_mlp(columns: &Columns) -> Result<Model> {
    let x = input([columns.width()]).named("row");
    let hidden = Dense::new(32).activation(Activation::Relu).apply(&x);
    let hidden = Dense::new(16).activation(Activation::Relu).apply(hidden);
    match &columns.target.kind {
        ColumnKind::Category(names) => {
            Model::new(NAME, x, Dense::new(names.len()).activation(Activation::Softmax).apply(hidden))
        }
        &ColumnKind::Number { mean, deviation } => {
            let units = BatchNormalization::new().named("units");
            let factor = deviation * (1.0 + units.variance_epsilon()).sqrt();
            let units = units.gamma_initializer(Constant::new(factor)).beta_initializer(Constant::new(mean));
            let model = Model::new(NAME, x, units.apply(Dense::new(1).apply(hidden)))?;
            model.set_trainable("units", false)?;
            Ok(model)
        }
    }
}

/// The name that its weights have.
const NAME: &str = "table-mlp";

#[cfg(test)]
mod tests {
    use super::*;
    use samara_trainer::data::sources::Column;

    fn columns(kind: ColumnKind) -> Columns {
        let colour = ColumnKind::Category(vec!["red".to_owned(), "blue".to_owned()]);
        let size = ColumnKind::Number { mean: 0.0, deviation: 1.0 };
        let named = |(name, kind): (&str, ColumnKind)| Column { name: name.to_owned(), kind };
        Columns { inputs: [("colour", colour), ("size", size)].map(named).into(), target: named(("y", kind)), file: 0 }
    }

    #[test]
    fn it_is_as_wide_as_the_columns() {
        let model = table_mlp(&columns(ColumnKind::Category(vec!["a".to_owned(); 5]))).unwrap();
        assert_eq!(model.trainable_size(), 3 * 32 + 32 + 32 * 16 + 16 + 16 * 5 + 5);
    }

    #[test]
    fn numbers_come_in_the_units_of_the_target() {
        let mut model = table_mlp(&columns(ColumnKind::Number { mean: 2e5, deviation: 5e4 })).unwrap();
        model.initialize(3);
        // What goes in is 0, and what the last dense layer gives is its bias.
        let sample = Tensor::new([1, 3], vec![0.0; 3]).unwrap();
        for (bias, expected) in [(0.0, 2e5), (-1.0, 1.5e5f32)] {
            model.set_parameter("dense_2/bias", &[bias]).unwrap();
            let found = model.predict(&sample).unwrap().values()[0];
            assert!((found - expected).abs() < 1.0, "{found}, expected {expected}");
        }
        // On the device three dense layers are left, of which the last has the units in it.
        assert_eq!(crate::expect::file(&model).nodes.len(), 3);
    }
}
