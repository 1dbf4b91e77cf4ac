//! What a study came to: the best, those that none beats, what mattered.

use super::Study;
use crate::database::Record;
use crate::{Importance, Result, State, Trial, front, importance};
use std::cmp::Ordering;

impl Study {
    /// Complete trials within all limits that none of them beats: another one that is as good in all objectives, and better in one. The best in
    /// the first objective comes first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn front(&mut self) -> Result<Vec<Trial>> {
        let complete: Vec<Record> = self.records()?.into_iter().filter(is_within).collect();
        let losses: Vec<Vec<f64>> = complete.iter().map(|record| self.losses(record)).collect();
        let mut places = front::first(&losses);
        places.sort_by(|a, b| losses[*a].partial_cmp(&losses[*b]).unwrap_or(Ordering::Equal).then(a.cmp(b)));
        Ok(places.into_iter().map(|place| Trial::of(&complete[place], None)).collect())
    }

    /// How much of the differences in the first value each parameter explains, alone and with another one, by functional ANOVA of a random forest.
    /// `None` below ten complete trials.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn importance(&mut self) -> Result<Option<Importance>> {
        let records = self.records()?;
        let loss = |record: &Record| self.losses(record).first().copied().filter(|loss| loss.is_finite());
        let complete = records.iter().filter(|record| record.state == State::Complete);
        let trials: Vec<(&Record, f64)> = complete.filter_map(|record| Some((record, loss(record)?))).collect();
        Ok(importance::of(self.space.parameters(), &trials))
    }

    /// The complete trial with the best first value, of those within all limits.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn best(&mut self) -> Result<Option<Trial>> {
        let direction = self.directions[0];
        let within = self.records()?.into_iter().filter(is_within);
        let loss = |record: &Record| record.values.first().map_or(f64::INFINITY, |value| direction.as_loss(*value));
        let best = within.min_by(|a, b| loss(a).total_cmp(&loss(b)));
        Ok(best.map(|record| Trial::of(&record, None)))
    }
}

/// Whether a trial is complete, and kept within all limits.
fn is_within(record: &Record) -> bool {
    record.state == State::Complete && record.constraints.iter().all(|constraint| *constraint <= 0.0)
}
