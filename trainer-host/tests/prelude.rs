//! A program that needs the prelude alone, and one error type for all that it calls.

use samara_trainer::prelude::*;

/// What a user's `main` does, from data to a file that is run.
fn run(directory: &std::path::Path) -> Result<f32> {
    struct Nothing;
    impl Callback for Nothing {}
    let schedule: Box<dyn Schedule> = Box::new(Cosine::new());
    let x: Vec<f32> = (0..64u8).map(|number| f32::from(number) / 64.0).collect();
    let y = x.iter().map(|x| 2.0 * x).collect();
    let data = Dataset::builder().input("x", Tensor::new([64, 1], x)?).target("line", Tensor::new([64, 1], y)?).build()?;

    let x = input([1]).named("x");
    let line =
        Dense::new(1).named("line").kernel_initializer(initializers::Constant::new(1.0)).kernel_regularizer(L2::new(0.0));
    let mut model = Model::new("double", &x, line.apply(&x))?;
    model.compile(Adam::new(0.05), on("line", MeanSquaredError).metric(metrics::MeanAbsoluteError))?;
    let callbacks: Vec<Box<dyn Callback>> = vec![Box::new(Nothing)];
    model.fit(&data, Fit { epochs: 60, schedule: Some(schedule), callbacks, verbose: false, ..Fit::default() })?;
    let options = quantize::Options { calibration: Calibration::MinMax, ..quantize::Options::default() };
    let file = model.export_int8(data.inputs(), options)?;
    std::fs::write(directory.join("double.samara"), &file)?;
    let device = DeviceModel::new(&std::fs::read(directory.join("double.samara"))?)?;
    let outputs = device.run_each(
        1,
        |session, _| session.write_f32(0, &[0.5]),
        |session, _| session.output_f32(0).and_then(|mut values| values.next()).unwrap_or_default(),
    )?;
    Ok(outputs[0])
}

#[test]
fn the_prelude_is_enough() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path()).unwrap();
    assert!((output - 1.0).abs() < 0.05, "{output}");
}

#[test]
fn errors_of_all_parts_are_the_trainers_and_keep_their_sources() {
    fn message(result: Result<()>) -> String {
        result.unwrap_err().to_string()
    }
    let source = || -> Result<()> {
        NpzFile::open("none.npz".as_ref())?;
        Ok(())
    };
    assert!(message(source()).starts_with("none.npz cannot be read: "), "{}", message(source()));
    let error = source().unwrap_err();
    assert!(std::error::Error::source(&error).is_some_and(|source| source.is::<std::io::Error>()), "{error:?}");
    let load = || -> Result<()> {
        DeviceModel::new(&[0; 8])?;
        Ok(())
    };
    assert!(matches!(load(), Err(Error::Load(_))), "{:?}", load());
    let export = || -> Result<()> {
        let x = input([300, 300, 1]);
        Model::new("m", &x, MaxPooling2D::new(300).apply(&x))?.export_f32()?;
        Ok(())
    };
    assert!(message(export()).starts_with("layer \"max_pooling2d\" cannot be exported: "), "{}", message(export()));
}
