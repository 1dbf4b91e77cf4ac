//! A shop with inputs of several kinds and three outputs, as in the textbook: from named data to int8 on the device.

use samara_trainer::numeric::random::Random;
use samara_trainer::{prelude::*, quantize::Options};

/// Facts are numbers, words are tokens, photos are bytes; two photos go through one net.
fn shop() -> Result<Model> {
    let photo = input([8, 8, 1]);
    let x = Conv2D::new(6, 3).padding(Padding::Same).activation(Activation::Relu).apply(&photo);
    let camera = Model::new("camera", &photo, GlobalAveragePooling2D::new().apply(MaxPooling2D::new(2).apply(x)))?;
    let [front, back] = ["front", "back"].map(|name| input([8, 8, 1]).named(name));
    let (facts, words) = (input([3]).named("facts"), input([6]).named("words"));
    let text = GlobalAveragePooling1D::new().apply(Embedding::new(30, 8).apply(&words));
    let numbers = Dense::new(8).activation(Activation::Relu).apply(&facts);
    let all = Concatenate::new().apply([&numbers, &text, &camera.apply(&front), &camera.apply(&back)]);
    let hidden = Dense::new(24).activation(Activation::Relu).named("hidden").apply(&all);
    let price = Dense::new(1).named("price").apply(&hidden);
    let kind = Dense::new(3).activation(Activation::Softmax).named("kind").apply(&hidden);
    let sold = Dense::new(1).activation(Activation::Sigmoid).named("sold").apply(&hidden);
    Model::new("shop", [&facts, &words, &front, &back], [&price, &kind, &sold])
}

/// Tensors in the order of the model. The price follows from two facts; the kind, of which the last is rare, from the words,
/// each kind having ten of its own; it is sold if the front is brighter than the back.
fn tensors(samples: usize, seed: u64) -> Result<[Tensor; 7]> {
    let mut random = Random::new(seed, 0);
    let (mut facts, mut words, mut photos) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
    let (mut prices, mut kinds, mut sold) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..samples {
        let own: [f32; 3] = std::array::from_fn(|_| random.uniform() as f32);
        let kind = [0u8, 0, 0, 0, 1, 1, 1, 1, 1, 2][random.below(10)];
        facts.extend(own);
        words.extend((0..6).map(|_| f32::from(kind) * 10.0 + random.below(10) as f32));
        let is_sold = random.below(2) == 1;
        for (photo, is_bright) in photos.iter_mut().zip([is_sold, !is_sold]) {
            let floor = if is_bright { 90 } else { 0 };
            photo.extend((0..64).map(|_| (floor + random.below(150)) as u8));
        }
        prices.push(own[0] - 0.5 * own[1]);
        kinds.push(kind);
        sold.push(f32::from(u8::from(is_sold)));
    }
    let [front, back] = photos;
    Ok([
        Tensor::new([samples, 3], facts)?,
        Tensor::new([samples, 6], words)?,
        Tensor::from_bytes([samples, 8, 8, 1], front, 255.0)?,
        Tensor::from_bytes([samples, 8, 8, 1], back, 255.0)?,
        Tensor::new([samples, 1], prices)?,
        Tensor::from_labels(&kinds),
        Tensor::new([samples, 1], sold)?,
    ])
}

/// By name, in another order than the model's.
fn by_name([facts, words, front, back, price, kind, sold]: [Tensor; 7]) -> Result<Dataset> {
    let data = Dataset::builder().input("back", back).input("words", words).input("front", front).input("facts", facts);
    data.target("sold", sold).target("price", price).target("kind", kind).build()
}

/// The share of samples for which two lists of answers agree.
fn agreement<A: PartialEq>(a: impl Iterator<Item = A>, b: impl Iterator<Item = A>) -> f64 {
    let equal: Vec<bool> = a.zip(b).map(|(a, b)| a == b).collect();
    equal.iter().filter(|&&equal| equal).count() as f64 / equal.len() as f64
}

fn classes(rows: &Tensor) -> impl Iterator<Item = usize> + '_ {
    rows.values().chunks_exact(3).map(|row| (0..3).fold(0, |best, class| if row[class] > row[best] { class } else { best }))
}

#[test]
fn mixed_inputs_and_three_outputs_from_data_by_name_to_the_device() -> Result<()> {
    let mut model = shop()?;
    let price = on("price", MeanSquaredError).weight(2.0).metric(metrics::MeanAbsoluteError);
    let kind = on("kind", SparseCategoricalCrossentropy).class_weights([1.0, 1.0, 3.0]);
    model.compile(Adam::new(0.01), [on("sold", BinaryCrossentropy), kind, price])?;
    assert_eq!(model.warnings(), Vec::<String>::new());

    let (train, test) = (tensors(500, 1)?, tensors(200, 2)?);
    let (data, held_out) = (by_name(train.clone())?, by_name(test.clone())?);
    let fit = Fit { epochs: 20, validation: Some(&held_out), verbose: false, ..Fit::default() };
    let history = model.fit(&data, fit)?;

    // The history names each output's losses and metrics, of training and of validation.
    let last = history.epochs.last().unwrap();
    let mut names: Vec<&str> = last.measurements.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    let own = ["kind_accuracy", "kind_loss", "loss", "price_loss", "price_mean_absolute_error", "sold_accuracy", "sold_loss"];
    let validation = own.map(|name| format!("val_{name}"));
    let wanted: Vec<&str> = own.into_iter().chain(validation.iter().map(String::as_str)).collect();
    assert_eq!(names, wanted);
    let measured = |name: &str| history.last(name).unwrap();
    assert!(measured("val_kind_accuracy") > 0.97 && measured("val_sold_accuracy") > 0.97, "{}", last.measurements);
    assert!(measured("val_price_mean_absolute_error") < 0.08, "{}", last.measurements);
    let total = 2.0 * measured("val_price_loss") + measured("val_kind_loss") + measured("val_sold_loss");
    assert!((measured("val_loss") - total).abs() < 1e-9, "{} is not {total}", measured("val_loss"));

    // By position it is the same.
    let [facts, words, front, back, price, kind, sold] = test;
    let inputs = [facts, words, front, back];
    let placed = Dataset::with_many(inputs.to_vec(), vec![price.clone(), kind.clone(), sold.clone()])?;
    assert_eq!(model.evaluate(&placed)?, model.evaluate(&held_out)?);

    // One net for both photos: one set of weights, and a box for each time it is applied.
    let cameras = model.parameters().iter().filter(|entry| entry.name.contains("conv2d/kernel"));
    assert_eq!(cameras.map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["camera/conv2d/kernel"]);
    let summary = model.summary().to_string();
    let boxes: Vec<&str> = summary.lines().filter(|line| line.contains(" Model")).map(str::trim).collect();
    assert_eq!(boxes.iter().map(|line| line.split_whitespace().next()).collect::<Vec<_>>(), [Some("camera"), Some("camera@1")]);
    assert!(summary.lines().any(|line| line.starts_with("  camera@1/conv2d ") && line.contains("shared")), "{summary}");

    // The int8 file takes the same tensors, and gives all three outputs.
    let device = DeviceModel::new(&model.export_int8(&train[..4], Options::default())?)?;
    let (here, there) = (model.predict_all(&inputs[..])?, device.predict(&inputs)?);
    assert_eq!(there.len(), 3);
    let furthest =
        here[0].values().iter().zip(there[0].values()).map(|(a, b)| (a - b).abs()).fold(0.0, |a, b| if b > a { b } else { a });
    assert!(furthest < 0.1, "a price is {furthest} off");
    assert!(agreement(classes(&here[1]), classes(&there[1])) >= 0.98);
    let is_sold = |tensor: &Tensor| tensor.values().iter().map(|&value| value > 0.5).collect::<Vec<_>>();
    assert!(agreement(is_sold(&here[2]).into_iter(), is_sold(&there[2]).into_iter()) >= 0.98);
    assert!(agreement(is_sold(&sold).into_iter(), is_sold(&there[2]).into_iter()) > 0.95);
    assert!(agreement(kind.values().iter().map(|&class| class as usize), classes(&there[1])) > 0.95);

    // Saved whole, it is the same on the device.
    let again = Model::from_bytes(&model.to_bytes()?, &[])?;
    assert!(again.export_int8(&train[..4], Options::default())? == device.bytes());
    Ok(())
}
