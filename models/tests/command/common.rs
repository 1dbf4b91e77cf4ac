//! A scratch place, runs of the command, data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use samara_trainer::prelude::*;
use serde_json::Value;

pub struct Place(pub tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.text(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

pub fn samara(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_samara")).args(arguments).output().unwrap()
}

/// The one sentence on standard error, after checking the exit code, and that nothing is printed on standard output.
pub fn refusal(code: i32, arguments: &[&str]) -> String {
    let output = samara(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert!(!text.contains("panicked"), "{text}");
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{arguments:?}: {text}");
    errors[0]["error: ".len()..].to_owned()
}

pub fn success(arguments: &[&str]) -> String {
    let output = samara(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one line on standard output, parsed.
pub fn json(arguments: &[&str]) -> Value {
    let text = success(&[arguments, &["--json"]].concat());
    assert_eq!((text.lines().count(), text.ends_with('\n')), (1, true), "{arguments:?}: {text}");
    serde_json::from_str(&text).unwrap()
}

pub fn length(path: &str) -> u64 {
    fs::metadata(path).unwrap().len()
}

pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn idx(dimensions: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    dimensions.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

/// A directory of images that are told apart by where they are bright.
pub fn images(place: &Place, samples: usize, label_of: impl Fn(usize) -> u8) -> String {
    let directory = place.path("images");
    fs::create_dir_all(&directory).unwrap();
    for (part, samples) in [("train", samples), ("t10k", samples.min(20))] {
        let pixel = |sample: usize, pixel: usize| if pixel / 79 == sample % 10 { 200 } else { (pixel * 7 + sample) as u8 % 50 };
        let pixels: Vec<u8> = (0..samples).flat_map(|sample| (0..784).map(move |place| pixel(sample, place))).collect();
        let labels: Vec<u8> = (0..samples).map(&label_of).collect();
        fs::write(directory.join(format!("{part}-images-idx3-ubyte")), idx(&[samples as u32, 28, 28], &pixels)).unwrap();
        fs::write(directory.join(format!("{part}-labels-idx1-ubyte")), idx(&[samples as u32], &labels)).unwrap();
    }
    directory.display().to_string()
}

/// An NPZ archive of stored f32 arrays, each given with its shape, the same ones for training and for testing.
pub fn archive(x: (&str, &[f32]), y: (&str, &[f32])) -> Vec<u8> {
    let npy = |(shape, values): (&str, &[f32])| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &values].concat()
    };
    let (x, y) = (npy(x), npy(y));
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    let files = [("x_train.npy", &x), ("y_train.npy", &y), ("x_test.npy", &x), ("y_test.npy", &y)];
    for (name, content) in files {
        let sizes = [samara_runtime::crc32(content), content.len() as u32, content.len() as u32];
        let mut fields = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        sizes.iter().for_each(|size| fields.extend(size.to_le_bytes()));
        fields.extend([name.len() as u8, 0, 0, 0]);
        let start = (bytes.len() as u32).to_le_bytes();
        bytes.extend([&b"PK\x03\x04"[..], &fields, name.as_bytes(), content].concat());
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &fields, &[0; 10], &start, name.as_bytes()].concat());
    }
    let (start, length) = ((bytes.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    bytes.extend([&directory[..], b"PK\x05\x06", &[0, 0, 0, 0, 4, 0, 4, 0], &length, &start, &[0, 0]].concat());
    bytes
}

pub fn train<'a>(data: &'a str, out: &'a str) -> Vec<&'a str> {
    vec!["train", "--model", "fashion-separable", "--epochs", "1", "--data", data, "--out", out]
}

/// A small int8 model file with an input of 28 x 28.
pub fn small_model() -> Vec<u8> {
    let model = Sequential::new("small", [28, 28, 1])
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .build()
        .unwrap();
    let samples = Tensor::new([2, 28, 28, 1], (0..1568u16).map(|i| f32::from(i) / 1568.0).collect()).unwrap();
    model.export_int8(&[samples], Default::default()).unwrap()
}
