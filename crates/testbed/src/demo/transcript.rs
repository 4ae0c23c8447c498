//! The demo's voice: scenes, requests, answers, sums, and at the end the checks.

use std::fmt::Display;
use std::io::IsTerminal;

use crate::http::Answer;

/// How much of a text is shown.
const SHOWN_CHARS: usize = 140;

/// What is told, and what was checked.
#[derive(Debug)]
pub struct Transcript {
    scene: usize,
    colour: bool,
    checks: Vec<Check>,
}

#[derive(Debug)]
struct Check {
    scene: usize,
    what: String,
    held: bool,
    found: String,
}

impl Transcript {
    /// An empty transcript to standard output.
    #[must_use]
    pub fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { scene: 0, colour, checks: Vec::new() }
    }

    /// Begins a scene.
    pub fn scene(&mut self, title: &str) {
        self.scene = self.scene.saturating_add(1);
        println!("\n{}", self.paint("1;36", &format!("{}. {title}", self.scene)));
    }

    /// Tells something.
    pub fn say(&self, text: impl Display) {
        println!("   {text}");
    }

    /// Shows what a client sends.
    pub fn request(&self, text: impl Display) {
        println!("   {} {text}", self.paint("34", "→"));
    }

    /// Shows what it gets.
    pub fn answer(&self, status: u16, text: &str) {
        let colour = if status < 400 { "32" } else { "33" };
        println!(
            "   {} {} {}",
            self.paint(colour, "←"),
            self.paint(colour, &status.to_string()),
            shortened(text)
        );
    }

    /// Shows a refusal: its code, and what it tells people.
    pub fn refusal(&self, answer: &Answer) {
        let body = answer.json().unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(serde_json::Value::as_str).unwrap_or("?");
        self.answer(answer.status, &format!("{}: {}", text("code"), text("detail")));
    }

    /// Shows a sum.
    pub fn sum(&self, text: impl Display) {
        println!("     {}", self.paint("2", &text.to_string()));
    }

    /// Checks something; goes on either way.
    pub fn check(&mut self, what: &str, held: bool, found: impl Display) {
        let mark = if held { self.paint("32", "✓") } else { self.paint("1;31", "✗") };
        println!("   {mark} {what}");
        let found = found.to_string();
        if !held {
            println!("     {}", self.paint("31", &found));
        }
        self.checks.push(Check { scene: self.scene, what: what.to_owned(), held, found });
    }

    /// Whether there were checks and all of them held.
    #[must_use]
    pub fn held(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.held)
    }

    /// Prints the table of checks; true if all held.
    #[must_use]
    pub fn conclude(&self) -> bool {
        println!("\n{}", self.paint("1", "Checks"));
        for check in &self.checks {
            let mark = if check.held { self.paint("32", "✓") } else { self.paint("1;31", "✗") };
            println!("  {mark}  scene {:<2}  {}", check.scene, check.what);
            if !check.held {
                println!("               {}", check.found);
            }
        }
        let good = self.checks.iter().filter(|check| check.held).count();
        println!("\n{good} of {} checks held.", self.checks.len());
        self.held()
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Default for Transcript {
    fn default() -> Self {
        Self::new()
    }
}

/// The beginning of a text, on one line.
#[must_use]
pub fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SHOWN_CHARS {
        return line;
    }
    let begin: String = line.chars().take(SHOWN_CHARS).collect();
    format!("{begin} …")
}
