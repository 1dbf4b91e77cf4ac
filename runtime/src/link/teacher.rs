//! A head of either kind, and what it needs to learn.

use super::message::{Answer, Fault};
use crate::{
    persist::Part,
    train::{ClosedFormHead, GradientHead, Guard, Head, Replay, Target, TrainError, Verdict},
};

/// Parts of a generation: the sums of a [`ClosedFormHead`].
pub const SUMS: u8 = 1;
/// Parts of a generation: counters, u32 each: samples learned.
pub const COUNTERS: u8 = 2;
/// Parts of a generation: weights and biases of a [`GradientHead`].
pub const WEIGHTS: u8 = 3;
/// Parts of a generation: samples of a [`Replay`].
pub const REPLAY: u8 = 4;

/// What a device learns with.
#[derive(Debug)]
pub enum Teacher<'a> {
    /// A head that is solved from sums.
    ClosedForm(ClosedFormHead<'a>),
    /// A head that is trained by gradients. A sample makes a step, in a batch that stored samples fill.
    Gradient {
        /// The head.
        head: GradientHead<'a>,
        /// The samples that are stored.
        replay: Replay<'a>,
        /// Samples that are held out, which say whether the head became better.
        guard: Guard<'a>,
    },
}

impl<'a> Teacher<'a> {
    /// What the file says of the head.
    pub const fn record(&self) -> Head<'a> {
        match self {
            Self::ClosedForm(head) => *head.record(),
            Self::Gradient { head, .. } => *head.record(),
        }
    }

    /// What was learned, as it is exported: sums, or weights and biases.
    pub fn learned(&self) -> &[u8] {
        match self {
            Self::ClosedForm(head) => head.sums(),
            Self::Gradient { head, .. } => bytemuck::cast_slice(head.solution()),
        }
    }

    /// What the head says of a sample; none if it knows no class. `work` is what it works in.
    pub(super) fn answer(&mut self, features: &[i8], work: &mut [u8]) -> Option<Answer> {
        match self {
            Self::ClosedForm(head) => head.classify(features).ok().map(|found| Answer {
                class: found.class as u32,
                margin: found.margin,
                strangeness: found.strangeness,
                known: found.known,
            }),
            Self::Gradient { head, .. } => {
                let class = head.classify(features).ok()?;
                let outputs: &mut [f32] = bytemuck::try_cast_slice_mut(work.get_mut(..4 * head.record().capacity)?).ok()?;
                head.predict(features, outputs).ok()?;
                let others = outputs.iter().enumerate().filter(|&(other, _)| other != class);
                let second =
                    others.fold(f32::NEG_INFINITY, |second, (_, &output)| if output > second { output } else { second });
                let margin = outputs.get(class)? - second;
                Some(Answer { class: class as u32, margin, strangeness: 0.0, known: true })
            }
        }
    }

    /// Learns a sample of a class.
    pub(super) fn learn(&mut self, features: &[i8], class: usize) -> Result<(), TrainError> {
        match self {
            Self::ClosedForm(head) => head.add(features, class),
            Self::Gradient { head, replay, .. } => {
                head.add(features, Target::Class(class))?;
                replay.add(features, class)?;
                for _ in 0..head.room() {
                    if let Some((features, class)) = replay.draw() {
                        head.add(features, Target::Class(class))?;
                    }
                }
                head.step().map(drop)
            }
        }
    }

    /// Samples of a class that were learned.
    pub(super) fn count(&self, class: usize) -> u32 {
        match self {
            Self::ClosedForm(head) => head.count(class),
            Self::Gradient { replay, .. } => replay.seen(class),
        }
    }

    /// The head that is solved from sums.
    pub(super) fn closed_form(&mut self) -> Result<&mut ClosedFormHead<'a>, Fault> {
        match self {
            Self::ClosedForm(head) => Ok(head),
            Self::Gradient { .. } => Err(Fault::HeadKind),
        }
    }

    /// Holds a sample of a class out.
    pub(super) fn hold(&mut self, features: &[i8], class: usize) -> Result<(), Fault> {
        match self {
            Self::ClosedForm(_) => Err(Fault::HeadKind),
            Self::Gradient { head, guard, .. } => Ok(guard.hold(head, features, Target::Class(class))?),
        }
    }

    /// Looks whether held-out samples are found as well as before, and goes back if not.
    pub(super) fn check(&mut self) -> Result<Verdict, Fault> {
        match self {
            Self::ClosedForm(_) => Err(Fault::HeadKind),
            Self::Gradient { head, guard, .. } => Ok(guard.check(head)?),
        }
    }

    /// Takes what was exported; [`solve`](Self::solve) follows. `work` begins with it.
    pub(super) fn restore(&mut self, learned: &[u8]) -> Result<(), TrainError> {
        match self {
            Self::ClosedForm(head) => head.restore(learned),
            Self::Gradient { head, guard, .. } => {
                head.restore(bytemuck::try_cast_slice(learned).map_err(|_| TrainError::MemoryMisaligned)?)?;
                guard.clear();
                guard.trust(head);
                Ok(())
            }
        }
    }

    /// Makes the head of its sums. One that knows no class is nothing to be solved, and a trained one is ready.
    pub(super) fn solve(&mut self, work: &mut [u8]) -> Result<(), TrainError> {
        match self {
            Self::ClosedForm(head) => match head.solve(work) {
                Err(TrainError::NoSamples) => Ok(()),
                other => other,
            },
            Self::Gradient { .. } => Ok(()),
        }
    }

    /// Forgets all that was learned on the device.
    pub(super) fn reset(&mut self) {
        match self {
            Self::ClosedForm(head) => head.reset(),
            Self::Gradient { head, replay, guard } => {
                head.reset();
                replay.reset();
                guard.clear();
                guard.trust(head);
            }
        }
    }

    /// Hands what is to be stored to `save`.
    pub(super) fn save<T>(&self, counters: &[u8], save: impl FnOnce(&[Part<'_>]) -> T) -> T {
        let counters = Part { kind: COUNTERS, slices: &[counters] };
        match self {
            Self::ClosedForm(head) => save(&[Part { kind: SUMS, slices: &[head.sums()] }, counters]),
            Self::Gradient { replay, .. } => {
                let weights = Part { kind: WEIGHTS, slices: &[self.learned()] };
                save(&[weights, Part { kind: REPLAY, slices: &replay.bytes() }, counters])
            }
        }
    }

    /// Restores what was stored; `load` reads a part into a buffer and returns its bytes.
    pub(super) fn load(
        &mut self,
        work: &mut [u8],
        mut load: impl FnMut(u8, &mut [u8]) -> Result<usize, Fault>,
    ) -> Result<(), Fault> {
        let kind = match self {
            Self::ClosedForm(_) => SUMS,
            Self::Gradient { .. } => WEIGHTS,
        };
        let length = load(kind, work)?;
        self.restore(work.get(..length).unwrap_or_default())?;
        if let Self::Gradient { replay, .. } = self {
            let length = load(REPLAY, work)?;
            replay.restore(work.get(..length).unwrap_or_default())?;
        }
        Ok(self.solve(work)?)
    }
}
