//! Which classes a model takes for which.

use std::fmt::Write as _;

use crate::output::thousands;
use samara_models::chart::escape;

/// Classes whose table is drawn; of more, only what is confused most.
const LARGEST_TABLE: usize = 40;
/// Pairs of classes that are listed where the table is not drawn.
const LISTED: usize = 20;

/// Counts by true and answered class.
#[derive(Debug, Clone, PartialEq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<usize>,
}

impl Confusion {
    /// Of answers: the true class and the one that the model says.
    pub fn of(classes: usize, answers: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![0; classes * classes];
        answers.into_iter().for_each(|(label, said)| counts[label * classes + said] += 1);
        Self { classes, counts }
    }

    /// How many samples of a class the model says to be of another, or of it.
    pub fn count(&self, label: usize, said: usize) -> usize {
        self.counts[label * self.classes + said]
    }

    /// The share of a class's samples that are found, and the share of what is said to be of it that is.
    fn recall_and_precision(&self, class: usize) -> [Option<f64>; 2] {
        let right = self.count(class, class) as f64;
        let of_class: usize = (0..self.classes).map(|said| self.count(class, said)).sum();
        let said: usize = (0..self.classes).map(|label| self.count(label, class)).sum();
        [of_class, said].map(|all| (all > 0).then(|| right / all as f64))
    }

    /// A table with a row for each true class, or a list of what is confused most.
    pub fn draw(&self, names: &[String]) -> String {
        let name = |class: usize| escape(names.get(class).map_or(&class.to_string(), |name| name));
        let shown = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.1}%", 100.0 * share));
        if self.classes > LARGEST_TABLE {
            return self.list(&name);
        }
        let numbers: String = (0..self.classes).map(|class| format!("<th title=\"{}\">{class}</th>", name(class))).collect();
        let mut html = format!("<table class=\"confusion\"><tr><th></th>{numbers}<th>found</th></tr>");
        for label in 0..self.classes {
            let row: usize = (0..self.classes).map(|said| self.count(label, said)).sum();
            let _ = write!(
                html,
                "<tr><th class=\"left\">{label} {}</th>",
                if names.is_empty() { String::new() } else { name(label) }
            );
            for said in 0..self.classes {
                let count = self.count(label, said);
                let share = count as f64 / row.max(1) as f64;
                let colour = if label == said { "0, 114, 178" } else { "213, 94, 0" };
                let class = if share > 0.6 { " class=\"dark\"" } else { "" };
                let text = if count > 0 { count.to_string() } else { String::new() };
                let _ =
                    write!(html, "<td{class} style=\"background: rgba({colour}, {:.2})\">{text}</td>", share.sqrt().min(1.0));
            }
            let _ = write!(html, "<td>{}</td></tr>", shown(self.recall_and_precision(label)[0]));
        }
        let precisions: String =
            (0..self.classes).map(|class| format!("<td>{}</td>", shown(self.recall_and_precision(class)[1]))).collect();
        let _ = write!(html, "<tr><th class=\"left\">of it right</th>{precisions}<td></td></tr>");
        html + "</table>"
    }

    fn list(&self, name: &dyn Fn(usize) -> String) -> String {
        let pairs = (0..self.classes).flat_map(|label| (0..self.classes).map(move |said| (label, said)));
        let mut pairs: Vec<_> = pairs.filter(|(label, said)| label != said && self.count(*label, *said) > 0).collect();
        pairs.sort_by_key(|&(label, said)| std::cmp::Reverse(self.count(label, said)));
        let row = |&(label, said): &(usize, usize)| {
            format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                name(label),
                name(said),
                thousands(self.count(label, said) as u64)
            )
        };
        let rows: String = pairs.iter().take(LISTED).map(row).collect();
        format!("<table><tr><th>is</th><th>taken for</th><th>samples</th></tr>{rows}</table>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confusion() -> Confusion {
        Confusion::of(3, [(0, 0), (0, 0), (0, 1), (1, 1), (2, 1)])
    }

    #[test]
    fn rows_are_true_classes() {
        let found = confusion();
        assert_eq!((found.count(0, 0), found.count(0, 1), found.count(1, 0)), (2, 1, 0));
        assert_eq!(found.recall_and_precision(0), [Some(2.0 / 3.0), Some(1.0)]);
        assert_eq!(found.recall_and_precision(1), [Some(1.0), Some(1.0 / 3.0)]);
        assert_eq!(found.recall_and_precision(2), [Some(0.0), None]);
    }

    #[test]
    fn names_and_shares_are_in_the_table() {
        let html = confusion().draw(&["cat".to_owned(), "a<b".to_owned()]);
        for part in ["0 cat", "1 a&lt;b", "2 2", ">66.7%<", ">33.3%<", ">-<"] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }

    #[test]
    fn many_classes_are_a_list_of_what_is_confused_most() {
        let html = Confusion::of(50, [(7, 8), (7, 8), (1, 2), (3, 3)]).draw(&[]);
        let (most, less) = (html.find("<td>7</td><td>8</td><td>2</td>"), html.find("<td>1</td><td>2</td><td>1</td>"));
        assert!(most.is_some() && most < less && !html.contains("<td>3</td><td>3</td>"), "{html}");
    }
}
