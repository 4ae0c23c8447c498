//! Reports files and functions that have grown long. A report for the reader, never a failure.

/// Lines of a file before its tests.
const FILE_LINES: usize = 450;
const FUNCTION_LINES: usize = 70;

/// What is longer than it should be in one Rust file; tests may be as long as they like.
pub fn report(name: &str, text: &str) -> Vec<String> {
    if name.split('/').any(|part| ["tests", "tests.rs"].contains(&part)) {
        return Vec::new();
    }
    let lines: Vec<&str> = text.lines().take_while(|line| *line != "#[cfg(test)]").collect();
    let mut found = Vec::new();
    if lines.len() > FILE_LINES {
        found.push(format!("{name}: {} lines before its tests", lines.len()));
    }
    for (index, line) in lines.iter().enumerate() {
        let Some(function) = function_name(line) else { continue };
        let length = function_length(lines.iter().skip(index).copied());
        if length > FUNCTION_LINES {
            found.push(format!("{name}:{}: {function} has {length} lines", index + 1));
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let qualifiers = ["const", "async", "unsafe", "extern", "\"C\""];
    let keyword = words.find(|word| !word.starts_with("pub") && !qualifiers.contains(word))?;
    let name = words.next().filter(|_| keyword == "fn")?;
    name.split(['(', '<']).next()
}

/// Lines from a function's signature to its closing brace, which rustfmt puts at the indentation of the signature.
fn function_length<'a>(lines: impl Iterator<Item = &'a str>) -> usize {
    let mut lines = lines.enumerate().peekable();
    let indentation = lines.peek().map_or(0, |(_, line)| line.len() - line.trim_start().len());
    for (index, line) in lines {
        let text = line.trim_start();
        let outermost = line.len() - text.len() == indentation;
        if outermost && (text.ends_with('}') || text.ends_with(';')) {
            return index + 1;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!(
            "impl X {{\n    pub(crate) async fn long<T>(\n{}    }}\n}}\n",
            "        step();\n".repeat(lines - 2)
        )
    }

    #[test]
    fn a_function_over_the_length_is_named_with_its_line() {
        assert_eq!(report("a.rs", &function(FUNCTION_LINES)), Vec::<String>::new());
        assert_eq!(report("a.rs", &function(FUNCTION_LINES + 1)), ["a.rs:2: long has 71 lines"]);
    }

    #[test]
    fn declarations_and_one_line_bodies_end_at_once() {
        let text = format!("fn a();\nfn b() {{}}\n{}", "// comment\n".repeat(FUNCTION_LINES + 1));
        assert_eq!(report("a.rs", &text), Vec::<String>::new());
    }

    #[test]
    fn tests_do_not_count() {
        let code = "// code\n".repeat(FILE_LINES);
        assert_eq!(report("a.rs", &format!("{code}#[cfg(test)]\n{code}")), Vec::<String>::new());
        let long = format!("{code}// more\n");
        assert_eq!(report("a.rs", &long), ["a.rs: 451 lines before its tests"]);
        assert_eq!(report("crates/a/src/tests.rs", &long), Vec::<String>::new());
        assert_eq!(report("tests/a.rs", &long), Vec::<String>::new());
    }
}
