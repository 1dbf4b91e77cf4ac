//! Batches for a model, each prepared while the model works on the one before.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

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
        let exchange = Exchange::new(free.drain(..2));
        std::thread::scope(|scope| {
            let _ending = Ending(&exchange);
            scope.spawn(|| {
                let _ending = Ending(&exchange);
                for number in 0..batches {
                    let Some(mut buffers) = exchange.take_empty() else { return };
                    let result = order.take(feed, range(number), key, &mut buffers).map(|()| buffers);
                    let failed = result.is_err();
                    exchange.give_full(result);
                    if failed {
                        return;
                    }
                }
            });
            for number in 0..batches {
                // Without a producer there is nothing to wait for: it panicked, as this scope will.
                let Some(buffers) = exchange.take_full() else { break };
                let buffers = buffers?;
                let goes_on = work(feed, &buffers)?;
                if !goes_on {
                    break;
                }
                if number + 2 < batches {
                    exchange.give_empty(buffers);
                } else {
                    free.push(buffers);
                }
            }
            Ok(())
        })
    }
}

/// Buffers on their way between the thread that fills them and the one that reads them. It allocates when it is made, and never
/// after: a channel of the standard library does where a thread waits for the first time, which may be in any step.
#[derive(Debug)]
struct Exchange {
    state: Mutex<Exchanged>,
    changed: Condvar,
}

#[derive(Debug)]
struct Exchanged {
    empty: Vec<BatchBuffers>,
    full: VecDeque<Result<BatchBuffers>>,
    /// One of the two threads has ended.
    ended: bool,
}

impl Exchange {
    fn new(empty: impl Iterator<Item = BatchBuffers>) -> Self {
        let empty: Vec<_> = empty.collect();
        let full = VecDeque::with_capacity(empty.len());
        Self { state: Mutex::new(Exchanged { empty, full, ended: false }), changed: Condvar::new() }
    }

    /// Buffers to fill; none once the reader has ended.
    fn take_empty(&self) -> Option<BatchBuffers> {
        self.wait_for(|state| if state.ended { None } else { state.empty.pop() })
    }

    /// The batch that was filled first; none once the filler has ended and all were taken.
    fn take_full(&self) -> Option<Result<BatchBuffers>> {
        self.wait_for(|state| state.full.pop_front())
    }

    fn give_empty(&self, buffers: BatchBuffers) {
        self.change(|state| state.empty.push(buffers));
    }

    fn give_full(&self, batch: Result<BatchBuffers>) {
        self.change(|state| state.full.push_back(batch));
    }

    fn wait_for<T>(&self, take: impl Fn(&mut Exchanged) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            let taken = take(&mut state);
            if taken.is_some() || state.ended {
                return taken;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Exchanged)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// No code that panics runs under the lock: what a poisoned one guards is sound.
    fn lock(&self) -> MutexGuard<'_, Exchanged> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the other thread that this one ends, also by a panic.
struct Ending<'a>(&'a Exchange);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.ended = true);
    }
}
