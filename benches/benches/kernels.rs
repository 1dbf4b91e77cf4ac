//! The runtime's kernels on the host, in multiply-accumulates per second: the layers that decide MLPerf Tiny's models.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use samara_benches::{linear, one_op};
use samara_runtime::{Session, arena::AlignedBuffer, ops::window::Window};
use samara_trainer::{device::ops::Kind, graph::Shape};

fn window(kernel: u16, stride: u16) -> Window {
    let padding = (kernel - 1) / 2;
    Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [1; 2], padding: [padding; 2] }
}

fn kernels(criterion: &mut Criterion) {
    let cases = [
        ("dense 640 to 128", Kind::Dense, Shape::from([640]), Shape::from([128]), 640),
        ("pointwise 8x8x64 to 64", Kind::Conv2d(window(1, 1)), Shape::from([8, 8, 64]), Shape::from([8, 8, 64]), 64),
        ("conv 3x3 16x16x16 to 16", Kind::Conv2d(window(3, 1)), Shape::from([16, 16, 16]), Shape::from([16, 16, 16]), 144),
        (
            "depthwise 3x3 16x16x64",
            Kind::DepthwiseConv2d(window(3, 1)),
            Shape::from([16, 16, 64]),
            Shape::from([16, 16, 64]),
            9,
        ),
    ];
    for int8 in [true, false] {
        let mut group = criterion.benchmark_group(if int8 { "int8" } else { "f32" });
        for (name, kind, input, output, fan_in) in &cases {
            let op = linear(*kind, output.channels(), *fan_in);
            let device = one_op(op, std::slice::from_ref(input), output.clone(), int8).expect("the shapes fit");
            let model = device.model().expect("checked before");
            let mut arena = AlignedBuffer::zeros(model.arena_bytes());
            let mut session = Session::new(model, arena.as_mut_slice()).expect("an arena of its size");
            group.throughput(Throughput::Elements((output.size() * fan_in) as u64));
            group.bench_function(*name, |bencher| bencher.iter(|| session.run()));
        }
        group.finish();
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
