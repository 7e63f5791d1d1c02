//! What was found out about a program, and what follows from all of it.

use serde::Serialize;

/// What a finding means for the question whether the library reaches the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It cannot.
    Prevents,
    /// It does, for the OpenSSL that this is about.
    Allows,
    /// It depends on what the program does when it runs.
    Open,
    /// Nothing by itself, but worth knowing.
    Note,
}

/// One thing that was found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it means.
    pub effect: Effect,
    /// A stable word in snake_case, for programs that read the report.
    pub cause: &'static str,
    /// What was seen.
    pub text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    /// A finding without advice.
    pub fn new(effect: Effect, cause: &'static str, text: impl Into<String>) -> Self {
        Self {
            effect,
            cause,
            text: text.into(),
            advice: None,
        }
    }

    /// Adds what to do about it.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The library reaches the program.
    Reachable,
    /// It does not.
    NotReachable,
    /// Only the running program can tell.
    CannotTell,
}

impl Verdict {
    /// What follows from the findings: one that prevents is enough for a no, and
    /// without it one that allows for a yes.
    pub fn of(findings: &[Finding]) -> Self {
        let any = |effect| findings.iter().any(|finding| finding.effect == effect);
        if any(Effect::Prevents) {
            Self::NotReachable
        } else if any(Effect::Allows) {
            Self::Reachable
        } else {
            Self::CannotTell
        }
    }

    /// The exit status of `staplegun check`.
    pub fn status(self) -> u8 {
        match self {
            Self::Reachable => 0,
            Self::NotReachable => 1,
            Self::CannotTell => 2,
        }
    }
}

/// Why the library cannot reach what has these, each reason with what to do; None if it can, or
/// may.
pub fn obstacle(findings: &[Finding]) -> Option<String> {
    if Verdict::of(findings) != Verdict::NotReachable {
        return None;
    }
    let preventing = findings
        .iter()
        .filter(|finding| finding.effect == Effect::Prevents);
    let reasons = preventing.map(|finding| match &finding.advice {
        Some(advice) => format!("{}; {advice}", finding.text),
        None => finding.text.clone(),
    });
    Some(reasons.collect::<Vec<_>>().join("; "))
}
