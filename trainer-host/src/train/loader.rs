//! Batches for a model, each prepared while the model works on the one before.

use std::ops::Range;
use std::sync::mpsc::sync_channel;

use super::feed::Feed;
use crate::data::BatchBuffers;
use crate::error::Result;

/// In which order samples are taken.
#[derive(Debug, Clone)]
pub(super) enum Order<'a> {
    /// One after the other.
    Range(Range<usize>),
    /// As listed.
    List(&'a [u32]),
}

impl Order<'_> {
    fn samples(&self) -> usize {
        match self {
            Self::Range(range) => range.len(),
            Self::List(list) => list.len(),
        }
    }

    fn take(&self, feed: &Feed<'_>, batch: Range<usize>, key: u64, buffers: &mut BatchBuffers) -> Result<()> {
        match self {
            // Numbers of samples are below 2^32: the feed checked that.
            Self::Range(range) => feed.take(batch.map(|place| (range.start + place) as u32), key, buffers),
            Self::List(list) => feed.take(list[batch].iter().copied(), key, buffers),
        }
    }
}

/// Fills batches from a feed.
#[derive(Debug)]
pub(super) struct Loader<'a> {
    feed: Feed<'a>,
    batch: usize,
    /// Those that are not under way.
    free: Vec<BatchBuffers>,
}

impl<'a> Loader<'a> {
    /// For batches of this size.
    pub fn new(feed: Feed<'a>, batch: usize) -> Self {
        Self { feed, batch, free: Vec::new() }
    }

    /// Calls `work` with one batch after the other, up to the last, to an error, or until it returns `false`. A thread fills
    /// the second of two buffers while `work` reads the first; what it fills depends on order and key alone. Between the first
    /// batch and the last nothing is allocated.
    pub fn for_each(
        &mut self,
        order: Order<'_>,
        key: u64,
        mut work: impl FnMut(&Feed<'_>, &BatchBuffers) -> Result<bool>,
    ) -> Result<()> {
        let Self { feed, batch, free } = self;
        let samples = order.samples();
        let batches = samples.div_ceil(*batch);
        let range = |number: usize| number * *batch..samples.min((number + 1) * *batch);
        while free.len() < batches.min(2) {
            free.push(BatchBuffers::new(feed.source(), *batch));
        }
        if batches < 2 {
            if let (1, Some(buffers)) = (batches, free.first_mut()) {
                order.take(feed, range(0), key, buffers)?;
                work(feed, buffers)?;
            }
            return Ok(());
        }
        let feed = &*feed;
        std::thread::scope(|scope| {
            let (to_fill, empty) = sync_channel::<BatchBuffers>(2);
            let (to_use, full) = sync_channel::<Result<BatchBuffers>>(2);
            // A channel whose other end is gone gives back what it was sent: the producer has ended.
            free.drain(..2).for_each(|buffers| drop(to_fill.send(buffers)));
            scope.spawn(move || {
                for number in 0..batches {
                    let Ok(mut buffers) = empty.recv() else { return };
                    let result = order.take(feed, range(number), key, &mut buffers).map(|()| buffers);
                    let failed = result.is_err();
                    if to_use.send(result).is_err() || failed {
                        return;
                    }
                }
            });
            for number in 0..batches {
                // Without a producer there is nothing to wait for: it panicked, as this scope will.
                let Ok(buffers) = full.recv() else { break };
                let buffers = buffers?;
                let goes_on = work(feed, &buffers)?;
                if !goes_on {
                    break;
                }
                if number + 2 < batches {
                    drop(to_fill.send(buffers));
                } else {
                    free.push(buffers);
                }
            }
            Ok(())
        })
    }
}
