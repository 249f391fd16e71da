//! What a measurement says in the end.

use crate::processor::Cost;

/// Of several rounds; zero of none.
pub fn median(rounds: &[f64]) -> f64 {
    let mut rounds = rounds.to_vec();
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a count of rounds")]
fn mean(rounds: &[f64]) -> f64 {
    rounds.iter().sum::<f64>() / rounds.len() as f64
}

/// Something and its floor, measured in turns.
#[derive(Debug)]
pub struct Comparison {
    pub name: String,
    /// How many times the floor it may cost, where that can be held against any machine.
    pub bar: Option<f64>,
    /// It, then its floor.
    pub rounds: Vec<[Cost; 2]>,
}

impl Comparison {
    pub const HEADER: &str = "\
                          wall µs  its floor  ratio   processor µs  its floor  ratio   at most";

    /// By both clocks.
    pub fn holds(&self) -> bool {
        self.bar.is_none_or(|bar| self.wall() <= bar && self.processor() <= bar)
    }

    pub fn line(&self) -> String {
        format!(
            "{:<24} {:>8.2} {:>10.2} {:>6.2} {:>14.2} {:>10.2} {:>6.2} {:>9}{}",
            self.name,
            median(&self.each(|[it, _]| it.wall_micros())),
            median(&self.each(|[_, floor]| floor.wall_micros())),
            self.wall(),
            mean(&self.each(|[it, _]| it.processor_micros())),
            mean(&self.each(|[_, floor]| floor.processor_micros())),
            self.processor(),
            self.bar.map_or_else(String::new, |bar| bar.to_string()),
            if self.holds() { "" } else { "   EXCEEDED" },
        )
    }

    /// The median of the rounds' ratios: a machine that slows down slows both halves of a round.
    fn wall(&self) -> f64 {
        median(&self.each(|[it, floor]| it.wall_micros() / floor.wall_micros()))
    }

    /// Of all rounds together: the kernel counts too coarsely for one.
    fn processor(&self) -> f64 {
        mean(&self.each(|[it, _]| it.processor_micros()))
            / mean(&self.each(|[_, floor]| floor.processor_micros()))
    }

    fn each(&self, of: fn(&[Cost; 2]) -> f64) -> Vec<f64> {
        self.rounds.iter().map(of).collect()
    }
}

#[expect(clippy::print_stdout, reason = "the report is what these programs are for")]
pub fn say(line: &str) {
    println!("{line}");
}
