//! Templates: handlebars in strict mode, with one explicit helper a format.
//!
//! A value that is missing stops rendering. Templates see what the resolver gives them and
//! nothing else: no files, no partials, no scripts.

use std::collections::HashMap;
use std::sync::Arc;

use diag::Diagnostic;
use handlebars::{Context, Handlebars, RenderError, RenderErrorReason, TemplateError, no_escape};
use serde_json::Value;

use crate::formats;
use crate::pieces::pieces;
use crate::source::{At, Source, Span};

/// A piece of a template file.
enum Part {
    Text(String),
    /// What it is registered as, and how many lines are before it.
    Template(String, usize),
}

/// Renders templates against one context that the resolver keeps up to date.
pub struct Renderer {
    registry: Handlebars<'static>,
    /// By the name of a file.
    known: HashMap<String, Vec<Part>>,
    context: Context,
}

impl Renderer {
    /// A renderer over the resolved facts.
    #[must_use]
    pub fn new(facts: Value) -> Self {
        let mut registry = Handlebars::new();
        registry.set_strict_mode(true);
        registry.register_escape_fn(no_escape);
        formats::register(&mut registry);
        Self { registry, known: HashMap::new(), context: Context::from(facts) }
    }

    /// Sets a fact at the top of the context, such as `parameters`.
    pub fn set(&mut self, name: &str, value: Value) {
        if let Value::Object(map) = self.context.data_mut() {
            map.insert(name.to_owned(), value);
        }
    }

    /// A fact at the top of the context; null when there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Value {
        self.context.data().get(name).cloned().unwrap_or_default()
    }

    /// Takes a fact out again, so that a template that should not see it cannot.
    pub fn unset(&mut self, name: &str) {
        if let Value::Object(map) = self.context.data_mut() {
            map.remove(name);
        }
    }

    /// Renders a template file.
    ///
    /// # Errors
    /// The template is wrong, a value is missing, or a format cannot hold one; the diagnostic
    /// points into the template.
    pub fn file(&mut self, source: &Arc<Source>) -> Result<String, Box<Diagnostic>> {
        if !self.known.contains_key(source.name()) {
            let registered = self.register(source)?;
            self.known.insert(source.name().to_owned(), registered);
        }
        let mut text = String::new();
        for part in &self.known[source.name()] {
            match part {
                Part::Text(plain) => text += plain,
                Part::Template(name, before) => {
                    text += &self.registry.render_with_context(name, &self.context).map_err(|error| {
                        let span = place(error.line_no.map(|line| line + before), error.column_no);
                        Box::new(failed(&error).at(source.location(span)))
                    })?;
                }
            }
        }
        Ok(text)
    }

    /// Parses a template file in pieces, or as a whole where a piece is none of its own: then the
    /// mistake, if there is one, is told of the whole.
    fn register(&mut self, source: &Source) -> Result<Vec<Part>, Box<Diagnostic>> {
        let in_pieces: Result<Vec<_>, TemplateError> = pieces(source.text())
            .into_iter()
            .map(|piece| {
                if piece.plain {
                    return Ok(Part::Text(piece.text.to_owned()));
                }
                let name = format!("{}:{}", source.name(), piece.before);
                self.registry.register_template_string(&name, piece.text)?;
                Ok(Part::Template(name, piece.before))
            })
            .collect();
        in_pieces.or_else(|_| {
            self.registry
                .register_template_string(source.name(), source.text())
                .map_err(|error| Box::new(malformed(&error, source)))?;
            Ok(vec![Part::Template(source.name().to_owned(), 0)])
        })
    }

    /// Renders a value of a definition that holds `{{…}}`.
    ///
    /// # Errors
    /// As [`Renderer::file`]; the diagnostic points to the value.
    pub fn inline(&self, text: &str, at: &At) -> Result<String, Box<Diagnostic>> {
        self.registry
            .render_template_with_context(text, &self.context)
            .map_err(|error| Box::new(failed(&error).at(at.location())))
    }
}

/// Whether a template can be parsed, for tests of definitions.
///
/// # Errors
/// It cannot; the diagnostic points into it.
pub fn check_form(source: &Arc<Source>) -> Result<(), Box<Diagnostic>> {
    match handlebars::Template::compile(source.text()) {
        Ok(_) => Ok(()),
        Err(error) => Err(Box::new(malformed(&error, source))),
    }
}

fn malformed(error: &TemplateError, source: &Source) -> Diagnostic {
    let (line, column) = error.pos().unwrap_or((1, 1));
    Diagnostic::error("template-syntax", format!("expected a handlebars template, found: {}", error.reason()))
        .at(source.location(place(Some(line), Some(column))))
}

fn place(line: Option<usize>, column: Option<usize>) -> Span {
    let small = |n: Option<usize>| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1);
    Span { line: small(line), column: small(column), length: 1 }
}

fn failed(error: &RenderError) -> Diagnostic {
    match error.reason() {
        RenderErrorReason::MissingVariable(name) => {
            let name = name.as_deref().unwrap_or("of this expression");
            Diagnostic::error(
                "template-value",
                format!("the template asks for a value that does not exist: `{name}`"),
            )
            .hint("declare it as a parameter of the layer, or correct its name")
        }
        RenderErrorReason::HelperNotFound(name) => {
            let hint = crate::decode::suggestion(name, formats::names());
            Diagnostic::error("template-helper", format!("unknown helper `{name}`")).hint(hint)
        }
        other => Diagnostic::error("template-value", format!("the template cannot be rendered: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(text: &str) -> Result<String, Box<Diagnostic>> {
        let facts = json!({
            "name": "a", "evil": "x\"; rm -rf /\nAccept yes", "port": 22, "off": false, "empty": [],
            "list": ["a", "b"], "map": {"kernel.x": "1"}, "quote": "it's", "text": "two words",
            "markup": "<a b=\"c\"> &amp;",
        });
        let source = Source::new("templates/t.hbs", "templates/t.hbs", text.to_owned());
        Renderer::new(facts).file(&source)
    }

    #[test]
    fn plain_things_render() {
        assert_eq!(render("{{name}} {{nft port}} {{join list \", \"}}").as_deref(), Ok("a 22 a, b"));
        assert_eq!(render("{{#each map}}{{@key}}={{conf this}}{{/each}}").as_deref(), Ok("kernel.x=1"));
        assert_eq!(render("{{#if (and (eq name \"a\") (not off))}}y{{else}}n{{/if}}").as_deref(), Ok("y"));
        assert_eq!(render("{{#if (or off (ne port 22))}}y{{else}}n{{/if}}").as_deref(), Ok("n"));
        assert_eq!(
            render("{{#unless off}}y{{/unless}}{{#if port}}z{{/if}}{{#if empty}}no{{/if}}").as_deref(),
            Ok("yz")
        );
        assert_eq!(render("{{sh quote}} {{sh text}} {{sh name}}").as_deref(), Ok(r"'it'\''s' 'two words' a"));
        assert_eq!(render("{{xml markup}}").as_deref(), Ok("&lt;a b=&quot;c&quot;&gt; &amp;amp;"));
        assert_eq!(render("{{json list}} {{nftstring text}}").as_deref(), Ok("[\"a\",\"b\"] \"two words\""));
    }

    #[test]
    fn no_format_lets_a_value_inject_syntax() {
        for helper in ["nft", "nftstring", "sh", "kconfig", "ini", "conf", "xml"] {
            let problem = render(&format!("line\n  {{{{{helper} evil}}}}")).expect_err(helper);
            assert!(problem.message.contains(&format!("`{helper}` cannot hold")), "{}", problem.message);
            assert_eq!(
                problem.location.map(|l| (l.file, l.line)),
                Some(("templates/t.hbs".into(), 2)),
                "{helper}"
            );
        }
        for text in ["{{nft text}}", "{{nft list}}", "{{conf map}}", "{{join list}}", "{{join name \",\"}}"] {
            assert!(render(text).is_err(), "{text}");
        }
        assert!(render("{{json evil}}").is_ok_and(|out| !out.contains('\n')));
    }

    #[test]
    fn a_missing_value_is_an_error_with_its_line_wherever_it_stands() {
        for text in [
            "{{nmae}}",
            "{{nft nmae}}",
            "{{#if nmae}}{{/if}}",
            "{{#unless nmae}}{{/unless}}",
            "{{#if (eq nmae 1)}}{{/if}}",
            "{{#if (not nmae)}}{{/if}}",
            "{{#each nmae}}{{/each}}",
            "{{json nmae}}",
            "{{join nmae \",\"}}",
            "{{#if (or nmae 1)}}{{/if}}",
        ] {
            let problem = render(&format!("\n\n{text}")).expect_err(text);
            assert_eq!(problem.code, "template-value", "{text}");
            assert!(problem.message.contains("nmae"), "{text}: {}", problem.message);
            assert_eq!(problem.location.map(|l| l.line), Some(3), "{text}");
        }
    }

    #[test]
    fn numbers_take_the_form_that_is_asked_and_come_out_even() {
        assert_eq!(
            render("{{hex 4096}} {{hex (blocks 4096)}} {{mebibytes 8388608}}").as_deref(),
            Ok("1000 8 8")
        );
        for text in ["{{blocks 513}}", "{{mebibytes 5}}", "{{hex name}}", "{{hex nmae}}"] {
            assert!(render(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_text_for_people_is_filled_and_begins_no_line_of_its_own() {
        assert_eq!(render("x {{fill 2 text}}").as_deref(), Ok("x two words"));
        let long = format!("{{{{fill 4 (words text \" {} \" name)}}}}", "b".repeat(70));
        let filled = format!("two words\n    {} a", "b".repeat(70));
        assert_eq!(render(&long).as_deref(), Ok(filled.as_str()));
        // A line of a value is no line of the text.
        assert_eq!(render("{{fill 2 evil}}").as_deref(), Ok("x\"; rm -rf / Accept yes"));
        for text in [
            "{{fill 0 text}}",
            "{{fill 79 text}}",
            "{{fill name text}}",
            "{{fill 2}}",
            "{{fill 2 nmae}}",
            "{{fill 2 list}}",
        ] {
            assert!(render(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mistakes_in_a_template_point_into_it() {
        let problem = render("ok\n{{#if name}}").expect_err("not closed");
        assert_eq!(problem.code, "template-syntax");
        let problem = render("ok\n{{ntf name}}").expect_err("no such helper");
        assert_eq!(
            (problem.code.as_str(), problem.hint.as_deref()),
            ("template-helper", Some("did you mean `nft`?"))
        );
        assert!(render("{{> other}}").is_err(), "partials do not exist");
        // Far down, in a piece of its own, and where a piece is none because a tag's string has braces in it.
        let far = "text\n".repeat(50);
        let braces = "{{#if (ne name \"}}{{/x}}\")}}\n";
        for (text, code, line) in [
            (format!("{far}{{{{nmae}}}}"), "template-value", 51),
            (format!("{far}{{{{#if name}}}}"), "template-syntax", 51),
            (format!("{braces}{far}{{{{/if}}}}{{{{nmae}}}}"), "template-value", 52),
        ] {
            let problem = render(&text).expect_err(&text);
            assert_eq!(problem.code, code);
            assert_eq!(problem.location.map(|l| l.line), Some(line), "{text}");
        }
        assert_eq!(render(&format!("{far}{{{{name}}}}\n{far}")).as_deref(), Ok(&*format!("{far}a\n{far}")));
    }
}
