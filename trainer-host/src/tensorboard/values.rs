//! Values under tags, in the forms that TensorBoard's plugins show.

use prost::Message;

use super::messages::{
    DataClass, DataType, HyperparameterData, PluginData, PrecisionRecallData, SessionInfo, SummaryMetadata, TensorProto,
    TensorShape, Value,
};

fn value(tag: &str, plugin: &str, content: Vec<u8>, data_class: DataClass, tensor: TensorProto) -> Value {
    let plugin = Some(PluginData { name: plugin.to_owned(), content });
    let metadata = Some(SummaryMetadata { plugin, data_class: data_class.into() });
    Value { tag: tag.to_owned(), tensor: Some(tensor), metadata }
}

fn floats(shape: &[usize], floats: Vec<f32>) -> TensorProto {
    TensorProto { data_type: DataType::Float.into(), shape: Some(shape_of(shape)), floats, ..TensorProto::default() }
}

fn shape_of(sizes: &[usize]) -> TensorShape {
    TensorShape::new(sizes.iter().map(|&size| size as i64))
}

/// A number.
pub fn scalar(tag: &str, number: f64) -> Value {
    value(tag, "scalars", Vec::new(), DataClass::Scalar, floats(&[], vec![number as f32]))
}

/// How numbers are spread: for each bucket where it begins, where it ends, and how many are in it.
pub fn histogram(tag: &str, buckets: &[[f64; 3]]) -> Value {
    let tensor = TensorProto {
        data_type: DataType::Double.into(),
        shape: Some(shape_of(&[buckets.len(), 3])),
        doubles: buckets.as_flattened().to_vec(),
        ..TensorProto::default()
    };
    value(tag, "histograms", Vec::new(), DataClass::Tensor, tensor)
}

/// Pictures of one size, each as the bytes of a PNG file.
pub fn images(tag: &str, [width, height]: [usize; 2], pictures: Vec<Vec<u8>>) -> Value {
    let strings: Vec<Vec<u8>> = [width, height].map(|size| size.to_string().into_bytes()).into_iter().chain(pictures).collect();
    let tensor = TensorProto {
        data_type: DataType::String.into(),
        shape: Some(shape_of(&[strings.len()])),
        strings,
        ..TensorProto::default()
    };
    value(tag, "images", Vec::new(), DataClass::BlobSequence, tensor)
}

/// Precision and recall by threshold: true positives, false positives, true negatives, false negatives, precision and recall.
pub fn precision_recall(tag: &str, rows: &[Vec<f32>; 6]) -> Value {
    let thresholds = rows[0].len();
    let content = PrecisionRecallData { thresholds: thresholds as u32 }.encode_to_vec();
    value(tag, "pr_curves", content, DataClass::Tensor, floats(&[rows.len(), thresholds], rows.concat()))
}

/// What the hyperparameters' plugin is to know.
pub fn session(tag: &str, info: SessionInfo) -> Value {
    let content = HyperparameterData { info: Some(info) }.encode_to_vec();
    value(tag, "hparams", content, DataClass::Tensor, floats(&[0], Vec::new()))
}
