//! Which values share a buffer: tensors whose lifetimes do not overlap may.

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
    // Of each buffer: its size, and the last step of its last tenant.
    let mut buffers: Vec<(usize, usize)> = Vec::new();
    for index in order {
        let Some(Lifetime { first, last, size }) = lifetimes[index] else { continue };
        let free = (0..buffers.len()).filter(|&slot| buffers[slot].1 < first);
        let slot = free.min_by_key(|&slot| buffers[slot].0.abs_diff(size)).unwrap_or_else(|| {
            buffers.push((0, 0));
            buffers.len() - 1
        });
        let largest = if buffers[slot].0 > size { buffers[slot].0 } else { size };
        buffers[slot] = (largest, last);
        places[index] = Some(Place { slot, size });
    }
    (places, buffers.into_iter().map(|(size, _)| size).collect())
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
