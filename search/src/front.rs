//! Several objectives: who is beaten by nobody, and an order of all trials (non-dominated sorting and crowding distance: Deb and others, *A
//! Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II*, 2002), by which samplers for one objective tell good trials from others.

use optimizer::Direction;
use optimizer::pareto::{crowding_distance, non_dominated_sort};

/// Places of those that none beats in all objectives; small is good.
pub(crate) fn first(losses: &[Vec<f64>]) -> Vec<usize> {
    fronts(losses).into_iter().next().unwrap_or_default()
}

/// A place in the order of all, from 0, for each that has losses: front by front, and within a front those first that are far from others.
pub(crate) fn ranks(losses: &[Option<Vec<f64>>]) -> Vec<Option<f64>> {
    let (places, known): (Vec<usize>, Vec<Vec<f64>>) =
        losses.iter().enumerate().filter_map(|(place, losses)| Some((place, losses.clone()?))).unzip();
    let mut ranks = vec![None; losses.len()];
    let mut next = 0.0;
    for mut front in fronts(&known) {
        let own: Vec<Vec<f64>> = front.iter().map(|place| known[*place].clone()).collect();
        let distances = crowding_distance(&own, &directions(&own));
        let mut order: Vec<usize> = (0..front.len()).collect();
        // The older one first where they are equal: the same trials have the same order.
        order.sort_by(|a, b| distances[*b].total_cmp(&distances[*a]).then(front[*a].cmp(&front[*b])));
        front = order.into_iter().map(|place| front[place]).collect();
        for place in front {
            ranks[places[place]] = Some(next);
            next += 1.0;
        }
    }
    ranks
}

fn fronts(losses: &[Vec<f64>]) -> Vec<Vec<usize>> {
    if losses.is_empty() { Vec::new() } else { non_dominated_sort(losses, &directions(losses)) }
}

fn directions(losses: &[Vec<f64>]) -> Vec<Direction> {
    vec![Direction::Minimize; losses.first().map_or(0, Vec::len)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_beaten_comes_later() {
        let losses = [[1.0, 9.0], [2.0, 5.0], [3.0, 6.0], [9.0, 1.0], [2.5, 4.9], [9.0, 9.0]].map(|losses| losses.to_vec());
        let mut found = first(&losses);
        found.sort_unstable();
        assert_eq!(found, [0, 1, 3, 4]);
        let ranked = ranks(&losses.clone().map(Some));
        // The ends of the front, then those between them; then who is beaten once, then who is beaten by all.
        assert_eq!([0, 3].map(|place| ranked[place].unwrap() < 2.0), [true; 2]);
        assert_eq!((ranked[2], ranked[5]), (Some(4.0), Some(5.0)));
        assert_eq!(ranks(&[None, Some(vec![1.0, 1.0]), None]), [None, Some(0.0), None]);
        assert!(first(&[]).is_empty());
    }
}
