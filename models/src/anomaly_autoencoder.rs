//! MLPerf Tiny's anomaly detection.

use samara_trainer::prelude::*;

/// An autoencoder: dense layers of 128, 128, 128, 128, 8, 128, 128, 128 and 128 units, each with batch normalization and
/// ReLU, and a linear one that gives back the input. Sounds unlike those of training are the ones it reconstructs badly.
///
/// Input `[640]`, 5 frames of 128 mel bands in decibels; output `[640]`. 269,992 parameters, 264,192 multiply-accumulates.
///
/// Source: C. Banbury et al., *MLPerf Tiny Benchmark*, 2021, anomaly detection; Y. Koizumi et al., *DCASE2020 Challenge
/// Task 2*, 2020.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn anomaly_autoencoder() -> Result<Model> {
    let mut model = Sequential::new("anomaly-autoencoder", [640]);
    for units in [128, 128, 128, 128, 8, 128, 128, 128, 128] {
        model = model.add(Dense::new(units)).add(BatchNormalization::new()).add(ActivationLayer::new(Activation::Relu));
    }
    model.add(Dense::new(640)).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn it_has_the_published_size() {
        let model = anomaly_autoencoder().unwrap();
        assert_eq!((expect::parameters(&model), expect::macs(&model)), (269_992, 264_192));
    }
}
