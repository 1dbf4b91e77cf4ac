//! What a study tries next.

use super::Study;
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
    /// A value for each parameter that is there; `None` behind the end of a grid.
    pub(super) fn draw(&self, draw: Draw, mut place: u64, past: &[Past<'_>]) -> Option<Drawn> {
        let parameters = self.space.parameters();
        let finished = past.iter().filter(|past| past.value.is_some()).count();
        if self.options.sampler == Sampler::Gaussian && finished >= parzen::STARTUP {
            return gaussian::choose(parameters, self.candidates(draw, past), past);
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
        Some(self.drawn(|index, parameter| {
            self.options.sampler.draw(draw, &parameter.name, &parameter.distribution, places[index], past)
        }))
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
