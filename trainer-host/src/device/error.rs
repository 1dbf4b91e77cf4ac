//! What can go wrong on the way to a file.

/// Why a graph cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A layer has no counterpart on the device, or not with this configuration.
    #[error("layer {layer:?} cannot be exported: {reason}")]
    Layer {
        /// Name of the layer's node.
        layer: String,
        /// What stands in the way.
        reason: String,
    },
    /// The calibration data does not fit the model.
    #[error("calibration: {0}")]
    Calibration(String),
    /// A model has more of something than the file can say.
    #[error("the model has {found} {what}, a file holds at most {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        limit: usize,
    },
    /// A node was named that the simplified graph does not have.
    #[error("no node is called {0:?}; `samara inspect` lists the nodes of a model file")]
    NoNode(String),
    /// The runtime refused a file that was just written: a defect of the exporter.
    #[error("the exported file was refused by the runtime: {0}")]
    Refused(#[from] samara_runtime::LoadError),
}
