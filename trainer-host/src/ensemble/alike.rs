//! Members of one kind.

use crate::checkpoint::Architecture;
use crate::train::Model;

/// `true` for models of the same layers, connected in the same way: where they differ, it is by what they learned, from another seed or
/// from other samples. Their names do not count. `false`, too, for models with layers from outside of the library that cannot be saved.
pub fn are_alike(one: &Model, other: &Model) -> bool {
    let text = |model: &Model| serde_json::to_string(&Architecture::of(model.graph()).ok()?).ok();
    text(one).is_some_and(|own| text(other) == Some(own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

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
