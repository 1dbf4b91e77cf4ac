//! Members of one kind.

use serde_json::Value;

use crate::checkpoint::Architecture;
use crate::train::Model;

/// `true` for models of the same layers, connected in the same way: where they differ, it is by what they learned, from another seed or
/// from other samples; the trees of a forest are what it learned. Their names do not count. `false`, too, for models with layers from outside of
/// the library that cannot be saved.
pub fn are_alike(one: &Model, other: &Model) -> bool {
    let untaught = |model: &Model| {
        let mut architecture = serde_json::to_value(Architecture::of(model.graph()).ok()?).ok()?;
        forget_trees(&mut architecture);
        Some(architecture)
    };
    untaught(one).is_some_and(|own| untaught(other) == Some(own))
}

fn forget_trees(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("trees");
            fields.values_mut().for_each(forget_trees);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_trees),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn forests_are_alike_whatever_has_grown() {
        let build = |trees: usize| {
            let x = input([4]);
            Model::new("f", &x, Forest::new(crate::forest::full(4, 3, 3, trees, 2, 1.0)).apply(&x)).unwrap()
        };
        assert!(are_alike(&build(2), &build(3)));
        let x = input([4]);
        assert!(!are_alike(&build(2), &Model::new("f", &x, Dense::new(3).apply(&x)).unwrap()));
    }

    #[test]
    fn seeds_and_names_make_no_other_kind() {
        let build = |name: &str, units: usize, seed: u64| {
            let x = input([4]);
            let mut model = Model::new(name, &x, Dense::new(3).apply(Dense::new(units).apply(&x))).unwrap();
            model.initialize(seed);
            model
        };
        let model = build("a", 8, 1);
        assert!(are_alike(&model, &build("b", 8, 2)));
        assert!(!are_alike(&model, &build("a", 9, 1)));
    }
}
