//! What a study tries next.

use super::Study;
use crate::database::Record;
use crate::evolution::{Evolution, Origin};
use crate::gaussian::{self, Drawn};
use crate::random::{Random, mix};
use crate::sampler::{Draw, Past};
use crate::space::Chosen;
use crate::{Distribution, Parameter, Sampler, Value, parzen};
use std::cmp::Ordering;

/// Trials that a Gaussian process chooses from: anywhere, and beside each of the best.
const ANYWHERE: u64 = 400;
const BEST: usize = 5;
const BESIDE: usize = 40;

impl Study {
    /// The distribution that CMA-ES draws from, if that is the sampler.
    pub(super) fn evolution(&self, records: &[Record], past: &[Past<'_>]) -> Option<Evolution> {
        let is_its_own = self.options.sampler == Sampler::CmaEs;
        // What failed is drawn again, and counts for nothing; a loss that is infinite counts as the worst.
        is_its_own.then(|| Evolution::of(self.space.parameters(), records, |place| past[place].value))
    }

    /// A value for each parameter that is there, and where it comes from, if that is known; `None` behind the end of a grid.
    pub(super) fn draw(
        &self,
        draw: Draw,
        mut place: u64,
        past: &[Past<'_>],
        evolution: Option<&Evolution>,
    ) -> Option<(Drawn, Option<Origin>)> {
        let parameters = self.space.parameters();
        if let Some(evolution) = evolution {
            let mut random = Random::new(mix(&[draw.seed, draw.trial, draw.candidate], "evolution"));
            let (values, origin) = evolution.draw(parameters, &mut random);
            let chance = |parameter: &Parameter| Sampler::Random.draw(draw, &parameter.name, &parameter.distribution, 0, &[]);
            let known = |index: usize| values.iter().find(|(own, _)| *own == index).map(|(_, value)| value.clone());
            let drawn = self.drawn(|index, parameter| known(index).unwrap_or_else(|| chance(parameter)));
            return Some((drawn, Some(origin)));
        }
        let finished = past.iter().filter(|past| past.value.is_some()).count();
        if self.options.sampler == Sampler::Gaussian && finished >= parzen::STARTUP {
            return Some((gaussian::choose(parameters, self.candidates(draw, past), past)?, None));
        }
        let mut places = vec![0; parameters.len()];
        if self.options.sampler == Sampler::Grid {
            for (own, parameter) in places.iter_mut().zip(parameters).rev() {
                let count = Sampler::places(&parameter.distribution);
                (*own, place) = (place % count, place / count);
            }
            if place > 0 {
                return None;
            }
        }
        let drawn = self.drawn(|index, parameter| {
            self.options.sampler.draw(draw, &parameter.name, &parameter.distribution, places[index], past)
        });
        Some((drawn, None))
    }

    /// A value for each parameter that is there, given those before it.
    fn drawn(&self, mut value: impl FnMut(usize, &Parameter) -> Value) -> Drawn {
        let (mut drawn, mut chosen) = (Vec::new(), Chosen::new());
        for (index, parameter) in self.space.parameters().iter().enumerate() {
            if parameter.is_there(&chosen) {
                let value = value(index, parameter);
                chosen.insert(parameter.name.clone(), parameter.shown(&value));
                drawn.push((index, value));
            }
        }
        drawn
    }

    /// Trials to choose from: anywhere, and beside the best.
    fn candidates(&self, draw: Draw, past: &[Past<'_>]) -> Vec<Drawn> {
        let anywhere = (0..ANYWHERE).map(|candidate| {
            let draw = Draw { candidate: draw.candidate * ANYWHERE + candidate, ..draw };
            self.drawn(|_, parameter| Sampler::Random.draw(draw, &parameter.name, &parameter.distribution, 0, &[]))
        });
        let mut best: Vec<&Past<'_>> = past.iter().filter(|past| past.is_feasible && past.value.is_some()).collect();
        best.sort_by(|a, b| a.value.partial_cmp(&b.value).unwrap_or(Ordering::Equal));
        let mut random = Random::new(mix(&[draw.seed, draw.trial, draw.candidate], "beside"));
        let mut candidates: Vec<Drawn> = anywhere.collect();
        for past in best.into_iter().take(BEST) {
            for _ in 0..BESIDE {
                candidates.push(self.drawn(|_, parameter| {
                    let own = past.parameters.get(&parameter.name).map(|(value, _)| value);
                    let own = own.filter(|value| parameter.distribution.value(Distribution::number(value)).is_some());
                    match own {
                        Some(value) => gaussian::beside(&parameter.distribution, value, &mut random),
                        None => {
                            let draw = Draw { candidate: random.below(1 << 20) as u64, ..draw };
                            Sampler::Random.draw(draw, &parameter.name, &parameter.distribution, 0, &[])
                        }
                    }
                }));
            }
        }
        candidates
    }
}
