//! The messages of event files, as protocol buffers: of those of TensorFlow and TensorBoard the fields that are written here, under
//! their numbers there (`event.proto`, `summary.proto`, `graph.proto`, `tensor.proto`, and the plugins' own).

use std::collections::BTreeMap;

/// What an event file holds, one after another.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    #[prost(oneof = "What", tags = "3, 4, 5, 7")]
    pub what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    /// An encoded [`GraphDef`].
    #[prost(bytes, tag = "4")]
    GraphDef(Vec<u8>),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionLog {
    /// [`SESSION_START`].
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// What a run wrote before this event's step counts; what it wrote at that step and after it does not.
pub const SESSION_START: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// A value under a tag.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(message, optional, tag = "8")]
    pub tensor: Option<TensorProto>,
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<SummaryMetadata>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SummaryMetadata {
    #[prost(message, optional, tag = "1")]
    pub plugin: Option<PluginData>,
    #[prost(enumeration = "DataClass", tag = "4")]
    pub data_class: i32,
}

/// Which plugin shows a value, and what it has to know.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PluginData {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub content: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum DataClass {
    Unknown = 0,
    Scalar = 1,
    Tensor = 2,
    BlobSequence = 3,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorProto {
    #[prost(enumeration = "DataType", tag = "1")]
    pub data_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShape>,
    #[prost(float, repeated, tag = "5")]
    pub floats: Vec<f32>,
    #[prost(double, repeated, tag = "6")]
    pub doubles: Vec<f64>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub strings: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum DataType {
    Invalid = 0,
    Float = 1,
    Double = 2,
    String = 7,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorShape {
    #[prost(message, repeated, tag = "2")]
    pub dimensions: Vec<Dimension>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Dimension {
    /// -1 where it is not known: the batch.
    #[prost(int64, tag = "1")]
    pub size: i64,
}

impl TensorShape {
    pub fn new(sizes: impl IntoIterator<Item = i64>) -> Self {
        Self { dimensions: sizes.into_iter().map(|size| Dimension { size }).collect() }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GraphDef {
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<NodeDef>,
    #[prost(message, optional, tag = "4")]
    pub versions: Option<VersionDef>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct VersionDef {
    #[prost(int32, tag = "1")]
    pub producer: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct NodeDef {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub op: String,
    #[prost(string, repeated, tag = "3")]
    pub inputs: Vec<String>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub attributes: BTreeMap<String, AttributeValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeValue {
    #[prost(oneof = "Attribute", tags = "1, 2, 3, 6, 7")]
    pub value: Option<Attribute>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Attribute {
    #[prost(message, tag = "1")]
    Shapes(Shapes),
    #[prost(bytes, tag = "2")]
    Text(Vec<u8>),
    #[prost(int64, tag = "3")]
    Integer(i64),
    #[prost(enumeration = "DataType", tag = "6")]
    DataType(i32),
    #[prost(message, tag = "7")]
    Shape(TensorShape),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Shapes {
    #[prost(message, repeated, tag = "7")]
    pub shapes: Vec<TensorShape>,
}

/// What the hyperparameters' plugin keeps beside a value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HyperparameterData {
    #[prost(oneof = "SessionInfo", tags = "3, 4")]
    pub info: Option<SessionInfo>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum SessionInfo {
    #[prost(message, tag = "3")]
    Start(SessionStart),
    #[prost(message, tag = "4")]
    End(SessionEnd),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionStart {
    #[prost(btree_map = "string, message", tag = "1")]
    pub hyperparameters: BTreeMap<String, AnyValue>,
    #[prost(double, tag = "5")]
    pub start_seconds: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionEnd {
    /// [`SUCCESS`].
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(double, tag = "2")]
    pub end_seconds: f64,
}

/// A training that came to its end.
pub const SUCCESS: i32 = 1;

/// A value of JSON (`google.protobuf.Value`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct AnyValue {
    #[prost(oneof = "Any", tags = "2, 3, 4")]
    pub value: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Any {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Flag(bool),
}

/// What the plugin of precision and recall has to know.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PrecisionRecallData {
    #[prost(uint32, tag = "2")]
    pub thresholds: u32,
}
