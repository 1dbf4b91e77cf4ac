//! What a teacher says, as targets for a small net.

use super::opinions::{check_labels, check_probabilities, classes_of};
use crate::data::{Dataset, Tensor};
use crate::error::Result;
use crate::train::Model;

/// The data set with the targets of [`Distillation`](crate::losses::Distillation): each sample's class, and the probabilities that the
/// teacher gives. An ensemble that [`join`](super::join) made is a teacher, and so is any net that tells the classes apart.
///
/// ```
/// use samara_trainer::ensemble::taught;
/// use samara_trainer::prelude::*;
///
/// # let data = Dataset::new(Tensor::new([4, 2], vec![0.5, 1.0, -0.5, 0.2, 0.1, 0.9, -1.0, 0.3])?, Tensor::from_labels(&[0u8, 1, 0, 1]))?;
/// # let net = |units: usize| {
/// #     let x = input([2]);
/// #     let hidden = Dense::new(units).activation(Activation::Relu).apply(&x);
/// #     Model::new("net", &x, Dense::new(2).activation(Activation::Softmax).apply(&hidden))
/// # };
/// let (teacher, mut student) = (net(64)?, net(4)?); // the teacher trained before
/// student.compile(Adam::new(0.01), Distillation::new(4.0, 0.5))?;
/// student.fit(&taught(&teacher, &data)?, Fit { verbose: false, ..Fit::default() })?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// [`EnsembleError`](super::EnsembleError) if the teacher does not give the probabilities of classes, or a target is none of its classes; if the samples do not
/// fit it.
pub fn taught(teacher: &Model, data: &Dataset) -> Result<Dataset> {
    let classes = classes_of(teacher)?;
    let labels = data.targets().first().map(|targets| targets.values().to_vec()).unwrap_or_default();
    let said = teacher.predict(data)?;
    let rows = said.values();
    check_labels(&labels, classes)?;
    check_probabilities(teacher.name(), rows, labels.len(), classes)?;
    let targets = labels.iter().zip(rows.chunks_exact(classes)).flat_map(|(label, row)| std::iter::once(label).chain(row));
    data.with_target(Tensor::from_samples([1 + classes], targets.copied().collect())?)
}
