//! The examples of `docs/catalog.md`: each is a catalog, or sections that stand in for those of the first one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

use tariff::{Catalog, Meter, Micros, Usage, source};

const DOCS: &str = include_str!("../../../docs/catalog.md");

/// The YAML blocks, with the heading above each.
fn examples() -> Vec<(String, String)> {
    let mut examples = Vec::new();
    let (mut heading, mut block) = (String::new(), None::<String>);
    for line in DOCS.lines() {
        match &mut block {
            None if line.starts_with('#') => heading = line.trim_start_matches('#').trim().to_owned(),
            None if line == "```yaml" => block = Some(String::new()),
            None => {}
            Some(text) if line == "```" => {
                examples.push((heading.clone(), std::mem::take(text)));
                block = None;
            }
            Some(text) => *text += &format!("{line}\n"),
        }
    }
    examples
}

/// A file's top-level sections: name and text.
fn sections(file: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(':') {
            Some((name, _)) if !line.starts_with(' ') => {
                sections.push((name.to_owned(), format!("{line}\n")))
            }
            _ => sections.last_mut().unwrap().1 += &format!("{line}\n"),
        }
    }
    sections
}

/// The first example with the sections of another one in the place of its own.
fn whole(base: &str, example: &str) -> String {
    let (base, own) = (sections(base), sections(example));
    let replaced = |name: &str| own.iter().any(|(other, _)| other == name);
    base.iter().filter(|(name, _)| !replaced(name)).chain(&own).map(|(_, text)| text.as_str()).collect()
}

fn load(heading: &str, file: &str) -> Catalog {
    match source::read(file) {
        Ok((catalog, warnings)) => {
            assert!(warnings.is_empty(), "{heading}: {warnings:#?}\n{file}");
            catalog
        }
        Err(problems) => {
            let problems: Vec<String> =
                problems.iter().map(|problem| problem.in_file(heading).to_string()).collect();
            panic!("{}\n{file}", problems.join("\n"))
        }
    }
}

#[test]
fn every_example_is_a_catalog() {
    let examples = examples();
    let base = &examples.first().unwrap().1;
    assert!(base.contains("name: Example") && examples.len() >= 24, "{} examples", examples.len());
    for (heading, example) in &examples {
        let catalog = load(heading, &whole(base, example));
        for plan in &catalog.plans {
            assert!(catalog.policy(&plan.name, &tariff::Standing::default()).is_some(), "{heading}");
        }
    }
}

#[test]
fn every_field_that_a_catalog_may_have_is_in_the_reference() {
    let schema: serde_json::Value = serde_json::from_str(&source::schema()).unwrap();
    let kinds = schema["definitions"].as_object().unwrap().values().chain([&schema]);
    for kind in kinds {
        for field in kind["properties"].as_object().unwrap().keys() {
            let named = DOCS.contains(&format!("`{field}`")) || DOCS.contains(&format!("{field}: "));
            assert!(named, "{field} ({}) is not in docs/catalog.md", kind["description"]);
        }
    }
    for meter in Meter::ALL {
        assert!(DOCS.contains(&format!("`{}`", meter.as_str())), "{}", meter.as_str());
    }
}

#[test]
fn the_first_examples_figures_are_right() {
    let examples = examples();
    let catalog = load("first", &examples.first().unwrap().1);
    let usage = Usage::new().with(Meter::InputTokens, 10_000).with(Meter::OutputTokens, 2_000);
    let charge = catalog.model("chat-large").unwrap().prices.charge(&usage).unwrap();
    assert_eq!(charge.rounded, Micros(900_000));
    let rest = tariff::Ratio::whole(400_000).checked_mul(catalog.factor("pro", "topup")).unwrap();
    assert_eq!(rest, tariff::Ratio::whole(320_000));
    let free = catalog.policy("free", &tariff::Standing::default()).unwrap();
    assert_eq!(free.gates[0].unlocks[0].plan, "pro");
}
