//! Which values share a buffer: tensors whose lifetimes do not overlap may.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::graph::pass::Place;

/// When a tensor is first written and last read, in steps of the plan, and its size per sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub first: usize,
    pub last: usize,
    pub size: usize,
}

/// Gives every tensor a buffer; returns the places and the buffers' sizes per sample. Greedy: in order of birth, the
/// free buffer whose size fits best.
pub(super) fn share(lifetimes: &[Option<Lifetime>]) -> (Vec<Option<Place>>, Vec<usize>) {
    let mut order: Vec<usize> = (0..lifetimes.len()).filter(|&index| lifetimes[index].is_some()).collect();
    order.sort_by_key(|&index| lifetimes[index].map(|life| life.first));
    let mut places = vec![None; lifetimes.len()];
    let mut sizes: Vec<usize> = Vec::new();
    // The buffers in use, by the last step of their tenant, and the free ones, by size.
    let mut used = BinaryHeap::new();
    let mut free = BTreeSet::new();
    for index in order {
        let Some(Lifetime { first, last, size }) = lifetimes[index] else { continue };
        while let Some(&Reverse((end, slot))) = used.peek()
            && end < first
        {
            used.pop();
            free.insert((sizes[slot], slot));
        }
        let candidates = [free.range((size, 0)..).next(), free.range(..(size, 0)).next_back()];
        let slot = match candidates.into_iter().flatten().min_by_key(|(other, _)| other.abs_diff(size)).copied() {
            Some(best) => {
                free.remove(&best);
                best.1
            }
            None => {
                sizes.push(0);
                sizes.len() - 1
            }
        };
        sizes[slot] = sizes[slot].max(size);
        used.push(Reverse((last, slot)));
        places[index] = Some(Place { slot, size });
    }
    (places, sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_disjoint_lifetimes_share() {
        let life = |first, last, size| Some(Lifetime { first, last, size });
        // The third is born in the step in which the first dies: it may not share with it, but the fourth may.
        let lifetimes = [life(0, 2, 100), life(1, 3, 10), life(2, 4, 90), life(3, 5, 100), None, life(5, 6, 12)];
        let (places, sizes) = share(&lifetimes);
        let slot = |index: usize| places[index].unwrap().slot;
        assert_eq!(slot(0), slot(3));
        assert_ne!(slot(0), slot(2));
        assert_eq!(slot(5), slot(1));
        assert_eq!(places[4], None);
        assert_eq!(sizes, [100, 12, 90]);
    }
}
