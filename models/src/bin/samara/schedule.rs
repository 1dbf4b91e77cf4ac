//! Schedules of the learning rate on the command line: a name, and options behind a colon, in epochs.

use samara_trainer::schedules::{
    Cosine, CosineRestarts, ExponentialDecay, InverseTimeDecay, OneCycle, PiecewiseConstant, PolynomialDecay, Schedule,
    StepDecay,
};

use crate::names;

/// What a schedule is called, and its options with their defaults; none, where an option has no default but what it leaves out.
type Kind = (&'static str, &'static [(&'static str, Option<f64>)]);

/// All schedules.
const KINDS: [Kind; 9] = [
    ("constant", &[]),
    ("cosine", &[("warm-up", Some(0.0)), ("end", Some(0.0))]),
    (
        "cosine-restarts",
        &[("first", Some(1.0)), ("growth", Some(2.0)), ("height", Some(1.0)), ("end", Some(0.0)), ("warm-up", Some(0.0))],
    ),
    ("one-cycle", &[("rise", Some(0.3)), ("from", Some(0.04)), ("end", Some(4e-6)), ("high", None), ("low", None)]),
    ("step", &[("every", Some(10.0)), ("factor", Some(0.1))]),
    ("exponential", &[("every", Some(1.0)), ("factor", Some(0.9))]),
    ("inverse-time", &[("every", Some(1.0)), ("rate", Some(1.0)), ("power", Some(1.0))]),
    ("polynomial", &[("power", Some(1.0)), ("end", Some(0.0))]),
    (PIECEWISE, &[]),
];
const PIECEWISE: &str = "piecewise";

/// What `--help` says.
pub const HELP: &str = "How the learning rate changes: a name, and options behind a colon, such as cosine:warm-up=2

constant; cosine:warm-up=0,end=0 (down to zero along half a cosine, after so many epochs of warm-up, to a fraction of the rate); \
cosine-restarts:first=1,growth=2,height=1,end=0,warm-up=0 (again and again: the first in so many epochs, each next so many times longer \
and as high); one-cycle:rise=0.3,from=0.04,end=0.000004 (up for this share of the steps, then down; high=0.95,low=0.85 moves the momentum the \
other way); step:every=10,factor=0.1 (times the factor after so many epochs); exponential:every=1,factor=0.9 (the same, evenly); \
inverse-time:every=1,rate=1,power=1 (1 / (1 + rate * epochs / every)^power); polynomial:power=1,end=0 (down to the end of the training); \
piecewise:5=0.1,8=0.01 (these fractions of the rate after so many epochs)";

/// A schedule with its options.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleArgument {
    /// As it was given.
    pub text: String,
    name: &'static str,
    /// In the order that they were given in.
    options: Vec<(String, f64)>,
}

impl ScheduleArgument {
    /// Reads a schedule.
    ///
    /// # Errors
    /// If there is none of this name, or it has no such option.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (given, options) = text.split_once(':').unwrap_or((text, ""));
        let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        let (name, wanted) = KINDS
            .iter()
            .find(|(name, _)| *name == given)
            .ok_or_else(|| format!("there is no schedule {given:?}; {}", names::suggest(given, &known)))?;
        let mut read: Vec<(String, f64)> = Vec::new();
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
            let number = number
                .ok_or_else(|| format!("{option:?} of the schedule {name} is no option and a number, such as end=0.1"))?;
            let is_known = if *name == PIECEWISE {
                key.parse::<usize>().is_ok_and(|epoch| epoch > 0)
            } else {
                wanted.iter().any(|(other, _)| *other == key)
            };
            if !is_known {
                let options: Vec<&str> = wanted.iter().map(|(option, _)| *option).collect();
                let has = if *name == PIECEWISE {
                    "a number of epochs, at least 1, for each factor".to_owned()
                } else {
                    options.join(", ")
                };
                return Err(format!(
                    "the schedule {name} has no option {key:?}; it has {}",
                    if has.is_empty() { "none" } else { &has }
                ));
            }
            if read.iter().any(|(other, _)| other == key) {
                return Err(format!("the option {key} of the schedule {name} is given twice"));
            }
            read.push((key.to_owned(), number));
        }
        if *name == PIECEWISE && read.is_empty() {
            return Err("the schedule piecewise wants epochs and factors, such as piecewise:5=0.1".to_owned());
        }
        Ok(Self { text: text.to_owned(), name, options: read })
    }

    fn option(&self, key: &str) -> Option<f64> {
        let given = self.options.iter().find(|(other, _)| other == key).map(|(_, value)| *value);
        let default = || KINDS.iter().find(|(name, _)| *name == self.name)?.1.iter().find(|(other, _)| *other == key)?.1;
        given.or_else(default)
    }

    /// The schedule for a training with so many steps in an epoch; none for a constant rate.
    ///
    /// # Errors
    /// If an option makes no sense.
    pub fn build(&self, steps: usize, epochs: usize) -> anyhow::Result<Option<Box<dyn Schedule>>> {
        let number = |key: &str| self.option(key).unwrap_or(0.0) as f32;
        // Of epochs; a negative number is 0, which the schedules refuse where it makes no sense.
        let steps_of = |key: &str| (self.option(key).unwrap_or(0.0) * steps as f64).round() as usize;
        let schedule: Box<dyn Schedule> = match self.name {
            "constant" => return Ok(None),
            "cosine" => Box::new(Cosine::new().warm_up_steps(steps_of("warm-up")).final_factor(number("end"))),
            "cosine-restarts" => {
                let restarts = CosineRestarts::new(steps_of("first")).growth(number("growth")).height(number("height"));
                Box::new(restarts.final_factor(number("end")).warm_up_steps(steps_of("warm-up")))
            }
            "one-cycle" => {
                let cycle = OneCycle::new().rising_share(number("rise")).factors(number("from"), number("end"));
                match (self.option("high"), self.option("low")) {
                    (Some(high), Some(low)) => Box::new(cycle.momenta(high as f32, low as f32)),
                    (None, None) => Box::new(cycle),
                    _ => anyhow::bail!("--schedule is {}: high and low go together", self.text),
                }
            }
            "step" => Box::new(StepDecay::new(steps_of("every"), number("factor"))),
            "exponential" => Box::new(ExponentialDecay::new(steps_of("every"), number("factor"))),
            "inverse-time" => Box::new(InverseTimeDecay::new(steps_of("every"), number("rate")).power(number("power"))),
            "polynomial" => Box::new(PolynomialDecay::new(steps * epochs).power(number("power")).final_factor(number("end"))),
            _ => Box::new(self.piecewise(steps)),
        };
        schedule.check()?;
        Ok(Some(schedule))
    }

    /// Each factor holds from behind its epoch on; before the first it is 1.
    fn piecewise(&self, steps: usize) -> PiecewiseConstant {
        let ends = self.options.iter().map(|(epochs, _)| epochs.parse::<usize>().unwrap_or(1) * steps - 1);
        let mut factors = self.options.iter().map(|(_, factor)| *factor as f32);
        let before: Vec<f32> = [1.0].into_iter().chain(factors.clone()).collect();
        PiecewiseConstant::new(ends.zip(before).collect::<Vec<_>>(), factors.next_back().unwrap_or(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(text: &str, steps: [usize; 4]) -> [f32; 4] {
        // Ten steps in an epoch, ten epochs.
        let schedule = ScheduleArgument::parse(text).unwrap().build(10, 10).unwrap().unwrap();
        steps.map(|step| (schedule.factor(step, 100) * 1e4).round() / 1e4)
    }

    #[test]
    fn options_count_epochs() {
        assert!(ScheduleArgument::parse("constant").unwrap().build(10, 10).unwrap().is_none());
        assert_eq!(factors("cosine", [0, 50, 75, 100]), [1.0, 0.5, 0.1464, 0.0]);
        assert_eq!(factors("cosine:warm-up=2,end=0.1", [0, 9, 20, 60]), [0.05, 0.5, 1.0, 0.55]);
        assert_eq!(factors("cosine-restarts:first=2,growth=1", [0, 10, 20, 30]), [1.0, 0.5, 1.0, 0.5]);
        assert_eq!(factors("one-cycle:rise=0.5,from=0.1", [0, 50, 99, 99]), [0.1, 0.9997, 0.0, 0.0]);
        assert_eq!(factors("step:every=3", [29, 30, 59, 60]), [1.0, 0.1, 0.1, 0.01]);
        assert_eq!(factors("exponential:factor=0.5", [0, 10, 20, 30]), [1.0, 0.5, 0.25, 0.125]);
        assert_eq!(factors("inverse-time:power=2", [0, 10, 20, 30]), [1.0, 0.25, 0.1111, 0.0625]);
        assert_eq!(factors("polynomial:end=0.5", [0, 50, 100, 100]), [1.0, 0.75, 0.5, 0.5]);
        assert_eq!(factors("piecewise:5=0.1,8=0.01", [49, 50, 79, 80]), [1.0, 0.1, 0.1, 0.01]);
        let cycle = ScheduleArgument::parse("one-cycle:high=0.95,low=0.85").unwrap().build(10, 10).unwrap().unwrap();
        assert_eq!(cycle.momentum(0, 100), Some(0.95));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, expected) in [
            ("cosin", "there is no schedule \"cosin\"; did you mean cosine?"),
            ("cosine:warmup=1", "the schedule cosine has no option \"warmup\"; it has warm-up, end"),
            ("constant:end=1", "the schedule constant has no option \"end\"; it has none"),
            ("step:every", "\"every\" of the schedule step is no option and a number, such as end=0.1"),
            ("step:every=1,every=2", "the option every of the schedule step is given twice"),
            ("piecewise", "the schedule piecewise wants epochs and factors, such as piecewise:5=0.1"),
            (
                "piecewise:0=1",
                "the schedule piecewise has no option \"0\"; it has a number of epochs, at least 1, for each factor",
            ),
        ] {
            assert_eq!(ScheduleArgument::parse(text).unwrap_err(), expected);
        }
        let message = |text: &str| ScheduleArgument::parse(text).unwrap().build(10, 10).unwrap_err().to_string();
        assert_eq!(message("step:every=0"), "the steps of a schedule is 0, but must be at least 1");
        assert_eq!(message("one-cycle:high=0.9"), "--schedule is one-cycle:high=0.9: high and low go together");
        assert!(message("piecewise:8=0.1,5=0.01").contains("is 49 behind 79"));
    }
}
