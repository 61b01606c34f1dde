//! Template helpers: one a format, and strict logic.
//!
//! A helper refuses a value that its format cannot hold, so that no value can inject syntax. The
//! helpers of handlebars itself take a missing value as false; these take it as a mistake.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, JsonTruthy, Output, PathAndJson, RenderContext,
    RenderError, RenderErrorReason, Renderable, ScopedJson,
};
use serde_json::Value;

/// How a format holds a text; none: it cannot.
type Hold = fn(&str) -> Option<String>;

const FORMATS: [(&str, Hold); 6] =
    [("nft", nft), ("nftstring", nft_string), ("sh", sh), ("kconfig", kconfig), ("ini", ini), ("conf", conf)];

/// What a number is for a template; none: it cannot be expressed so.
type Convert = fn(u64) -> Option<Value>;

const NUMBERS: [(&str, Convert); 3] = [
    // U-Boot's commands take numbers in hexadecimal, without a prefix.
    ("hex", |n| Some(format!("{n:x}").into())),
    // Sectors of 512 bytes, as block commands count.
    ("blocks", |n| (n % 512 == 0).then(|| (n / 512).into())),
    ("mebibytes", |n| (n >> 20 > 0 && n % (1 << 20) == 0).then(|| (n >> 20).into())),
];

type Decide = fn(&[&Value]) -> bool;

const LOGIC: [(&str, Decide); 5] = [
    ("eq", |p| p.windows(2).all(|w| w[0] == w[1])),
    ("ne", |p| p.windows(2).any(|w| w[0] != w[1])),
    ("and", |p| p.iter().all(|v| v.is_truthy(false))),
    ("or", |p| p.iter().any(|v| v.is_truthy(false))),
    ("not", |p| !p.iter().any(|v| v.is_truthy(false))),
];

/// Every helper's name, for suggestions.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    FORMATS
        .iter()
        .map(|(name, _)| *name)
        .chain(LOGIC.iter().map(|(name, _)| *name))
        .chain(NUMBERS.iter().map(|(name, _)| *name))
        .chain(["json", "join", "if", "unless", "each", "with", "lookup", "len"])
}

/// Registers all of them.
pub fn register(registry: &mut Handlebars<'static>) {
    for (name, hold) in FORMATS {
        registry.register_helper(name, Box::new(Format { name, hold }));
    }
    for (name, convert) in NUMBERS {
        registry.register_helper(name, Box::new(Number { name, convert }));
    }
    for (name, decide) in LOGIC {
        registry.register_helper(name, Box::new(Logic { name, decide }));
    }
    registry.register_helper("json", Box::new(Json));
    registry.register_helper("join", Box::new(Join));
    registry.register_helper("if", Box::new(Branch { when: true }));
    registry.register_helper("unless", Box::new(Branch { when: false }));
}

/// A token of nftables: an address, a prefix, a port, a name, a rate.
fn nft(text: &str) -> Option<String> {
    let clean = text.chars().all(|c| c.is_ascii_alphanumeric() || "._:/-@".contains(c));
    (clean && !text.is_empty() && !text.starts_with('-')).then(|| text.to_owned())
}

/// A quoted string of nftables, such as a comment; nft takes at most 128 bytes.
fn nft_string(text: &str) -> Option<String> {
    let clean = !text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\'));
    (clean && text.len() <= 128).then(|| format!("\"{text}\""))
}

/// A word of the shell, quoted where it must be.
fn sh(text: &str) -> Option<String> {
    if text.chars().any(char::is_control) {
        return None;
    }
    let bare =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._:/-@+,=%".contains(c));
    Some(if bare { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) })
}

/// Part of a Kconfig string, between its quotes.
fn kconfig(text: &str) -> Option<String> {
    (!text.chars().any(|c| c.is_control() || "\"\\$`".contains(c))).then(|| text.to_owned())
}

/// A value in a unit or another INI file; `%` would be a specifier to systemd.
fn ini(text: &str) -> Option<String> {
    let clean = !text.chars().any(|c| c.is_control() || "\"'\\%".contains(c));
    (clean && text.trim() == text && !text.starts_with(['#', ';', '['])).then(|| text.to_owned())
}

/// A value on a line of a file whose comments start with `#`.
fn conf(text: &str) -> Option<String> {
    let clean = !text.chars().any(|c| c.is_control() || "\"'\\#".contains(c));
    (clean && text.trim() == text).then(|| text.to_owned())
}

fn problem(text: String) -> RenderError {
    RenderErrorReason::Other(text).into()
}

/// A parameter that is there and exists.
fn present<'h, 'rc>(helper: &'h Helper<'rc>, index: usize) -> Result<&'h PathAndJson<'rc>, RenderError> {
    let Some(param) = helper.param(index) else {
        return Err(problem(format!("`{}` needs a value", helper.name())));
    };
    if param.is_value_missing() {
        return Err(RenderError::strict_error(param.relative_path()));
    }
    Ok(param)
}

fn scalar(name: &str, value: &Value) -> Result<String, RenderError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(problem(format!("`{name}` cannot hold a list, a mapping or nothing"))),
    }
}

struct Format {
    name: &'static str,
    hold: Hold,
}

impl HelperDef for Format {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let text = scalar(self.name, present(helper, 0)?.value())?;
        match (self.hold)(&text) {
            Some(held) => Ok(ScopedJson::Derived(held.into())),
            None => Err(problem(format!("`{}` cannot hold the value {}", self.name, Value::from(text)))),
        }
    }
}

struct Number {
    name: &'static str,
    convert: Convert,
}

impl HelperDef for Number {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let value = present(helper, 0)?.value();
        match value.as_u64().and_then(self.convert) {
            Some(converted) => Ok(ScopedJson::Derived(converted)),
            None => Err(problem(format!("`{}` cannot express {value}", self.name))),
        }
    }
}

struct Json;

impl HelperDef for Json {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        Ok(ScopedJson::Derived(present(helper, 0)?.value().to_string().into()))
    }
}

struct Join;

impl HelperDef for Join {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let (Value::Array(items), Value::String(between)) =
            (present(helper, 0)?.value(), present(helper, 1)?.value())
        else {
            return Err(problem("`join` needs a list and a text to put between".to_owned()));
        };
        let mut words = Vec::with_capacity(items.len());
        for item in items {
            let word = scalar("join", item)?;
            if word.chars().any(char::is_control) {
                return Err(problem(format!("`join` cannot hold the value {}", Value::from(word))));
            }
            words.push(word);
        }
        Ok(ScopedJson::Derived(words.join(between).into()))
    }
}

struct Logic {
    name: &'static str,
    decide: Decide,
}

impl HelperDef for Logic {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let count = helper.params().len();
        if matches!(self.name, "eq" | "ne") && count != 2 {
            return Err(problem(format!("`{}` compares two values, found {count}", self.name)));
        }
        let values: Vec<&Value> = (0..count.max(1))
            .map(|i| present(helper, i).map(PathAndJson::value))
            .collect::<Result<_, _>>()?;
        Ok(ScopedJson::Derived((self.decide)(&values).into()))
    }
}

struct Branch {
    when: bool,
}

impl HelperDef for Branch {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        render: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let holds = present(helper, 0)?.value().is_truthy(false) == self.when;
        match if holds { helper.template() } else { helper.inverse() } {
            Some(template) => template.render(registry, context, render, out),
            None => Ok(()),
        }
    }
}
