//! Prometheus' text format, as its collectors read it (version 0.0.4): families of samples,
//! each with its help and its kind.

use std::fmt::{Display, Write as _};

use super::counters::Causes;

/// What every name of a metric begins with.
const PREFIX: &str = "staplegun_";

/// A text that grows by families.
#[derive(Debug, Default)]
pub struct Exposition(pub String);

/// One family.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

/// The labels of a sample, ready to be written: `name="value",...`.
#[derive(Clone, Debug, Default)]
pub struct Labels(String);

impl Exposition {
    /// What is there now, and may fall.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// What is counted from the agent's start; its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// What is counted by size.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let text = &mut self.0;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}"
        );
        Family { text, name }
    }
}

impl Family<'_> {
    /// A sample without labels.
    pub fn value(&mut self, value: impl Display) {
        let _ = writeln!(self.text, "{PREFIX}{} {value}", self.name);
    }

    /// A sample.
    pub fn sample(&mut self, labels: &Labels, value: impl Display) {
        let _ = writeln!(self.text, "{PREFIX}{}{{{}}} {value}", self.name, labels.0);
    }

    /// A sample for each cause.
    pub fn by_cause(&mut self, labels: &Labels, causes: &Causes) {
        for (cause, count) in causes.iter() {
            self.sample(&labels.clone().and("cause", cause), count);
        }
    }

    /// The samples of a histogram: `counts` are of what is not above each of `bounds` and
    /// above the one before, the last of what is above all.
    pub fn buckets(&mut self, labels: &Labels, bounds: &[f64], counts: &[u64], sum: f64) {
        let mut all = 0;
        let infinity = [f64::INFINITY];
        for (bound, count) in bounds.iter().chain(&infinity).zip(counts) {
            all += count;
            let le = if bound.is_infinite() {
                "+Inf".to_owned()
            } else {
                bound.to_string()
            };
            let labels = labels.clone().and("le", &le);
            let _ = writeln!(
                self.text,
                "{PREFIX}{}_bucket{{{}}} {all}",
                self.name, labels.0
            );
        }
        let (name, labels) = (self.name, &labels.0);
        let _ = writeln!(self.text, "{PREFIX}{name}_sum{{{labels}}} {sum}");
        let _ = writeln!(self.text, "{PREFIX}{name}_count{{{labels}}} {all}");
    }
}

impl Labels {
    /// One label.
    pub fn of(name: &str, value: &str) -> Self {
        Self::default().and(name, value)
    }

    /// One more.
    #[must_use]
    pub fn and(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        let _ = write!(self.0, "{name}=\"");
        for c in value.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
        self.0.push('"');
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_makes_no_labels_and_no_lines() {
        let labels = Labels::of("subject", "a\",x=\"1\\\n").and("cause", "html");
        let mut text = Exposition::default();
        text.gauge("it", "A thing.").sample(&labels, 1);
        assert_eq!(
            text.0,
            "# HELP staplegun_it A thing.\n# TYPE staplegun_it gauge\n\
             staplegun_it{subject=\"a\\\",x=\\\"1\\\\\\n\",cause=\"html\"} 1\n"
        );
    }

    #[test]
    fn the_buckets_of_a_histogram_add_up() {
        let mut text = Exposition::default();
        let labels = Labels::of("host", "a");
        text.histogram("it_seconds", "Times.")
            .buckets(&labels, &[0.5, 1.0], &[2, 0, 1], 4.25);
        let lines: Vec<&str> = text.0.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "staplegun_it_seconds_bucket{host=\"a\",le=\"0.5\"} 2",
                "staplegun_it_seconds_bucket{host=\"a\",le=\"1\"} 2",
                "staplegun_it_seconds_bucket{host=\"a\",le=\"+Inf\"} 3",
                "staplegun_it_seconds_sum{host=\"a\"} 4.25",
                "staplegun_it_seconds_count{host=\"a\"} 3",
            ]
        );
    }
}
