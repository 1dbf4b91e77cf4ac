//! Names that are unknown, and the near ones that are known.

/// "did you mean x?" if one is near, else all there are.
pub fn suggest(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|other| (distance(name, other), other)).min();
    match nearest {
        Some((distance, other)) if distance <= 1 + name.chars().count() / 3 => format!("did you mean {other}?"),
        _ => format!("known are {}", known.join(", ")),
    }
}

/// Letters to insert, delete or exchange (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let exchange = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = exchange.min(1 + row[j]).min(1 + diagonal);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_else_all() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(suggest("densee", &["Conv2D", "Dense"]), "did you mean Dense?");
        assert_eq!(suggest("x", &["Conv2D", "Dense"]), "known are Conv2D, Dense");
    }
}
