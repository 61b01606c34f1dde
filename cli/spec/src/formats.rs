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

const FORMATS: [(&str, Hold); 7] = [
    ("nft", nft),
    ("nftstring", nft_string),
    ("sh", sh),
    ("kconfig", kconfig),
    ("ini", ini),
    ("conf", conf),
    ("xml", xml),
];

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
        .chain(["json", "join", "words", "fill", "if", "unless", "each", "with", "lookup", "len"])
}

/// Registers all of them.
pub fn register(registry: &mut Handlebars<'static>) {
    for (name, hold) in FORMATS {
        registry.register_helper(name, Box::new(Inner(move |h: &Helper<'_>| held(h, hold))));
    }
    for (name, convert) in NUMBERS {
        registry.register_helper(name, Box::new(Inner(move |h: &Helper<'_>| converted(h, convert))));
    }
    for (name, decide) in LOGIC {
        registry.register_helper(name, Box::new(Inner(move |h: &Helper<'_>| decided(h, decide))));
    }
    registry.register_helper("json", Box::new(Inner(json)));
    registry.register_helper("join", Box::new(Inner(join)));
    registry.register_helper("words", Box::new(Inner(words)));
    registry.register_helper("fill", Box::new(Inner(fill)));
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

/// Text of an XML element, or of an attribute between double quotes.
fn xml(text: &str) -> Option<String> {
    let escaped =
        || text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    (!text.chars().any(char::is_control)).then(escaped)
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

/// A helper that gives a value, made from its parameters alone.
struct Inner<F>(F);

impl<F> HelperDef for Inner<F>
where
    F: Fn(&Helper<'_>) -> Result<Value, RenderError> + Send + Sync,
{
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        (self.0)(helper).map(ScopedJson::Derived)
    }
}

fn held(helper: &Helper<'_>, hold: Hold) -> Result<Value, RenderError> {
    let name = helper.name();
    let text = scalar(name, present(helper, 0)?.value())?;
    match hold(&text) {
        Some(held) => Ok(held.into()),
        None => Err(problem(format!("`{name}` cannot hold the value {}", Value::from(text)))),
    }
}

fn converted(helper: &Helper<'_>, convert: Convert) -> Result<Value, RenderError> {
    let value = present(helper, 0)?.value();
    value
        .as_u64()
        .and_then(convert)
        .ok_or_else(|| problem(format!("`{}` cannot express {value}", helper.name())))
}

fn decided(helper: &Helper<'_>, decide: Decide) -> Result<Value, RenderError> {
    let (name, count) = (helper.name(), helper.params().len());
    if matches!(name, "eq" | "ne") && count != 2 {
        return Err(problem(format!("`{name}` compares two values, found {count}")));
    }
    let values: Vec<&Value> =
        (0..count.max(1)).map(|i| present(helper, i).map(PathAndJson::value)).collect::<Result<_, _>>()?;
    Ok(decide(&values).into())
}

fn json(helper: &Helper<'_>) -> Result<Value, RenderError> {
    Ok(present(helper, 0)?.value().to_string().into())
}

fn join(helper: &Helper<'_>) -> Result<Value, RenderError> {
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
    Ok(words.join(between).into())
}

/// Texts put together, for a helper that holds the whole.
fn words(helper: &Helper<'_>) -> Result<Value, RenderError> {
    let mut whole = String::new();
    for index in 0..helper.params().len().max(1) {
        whole += &scalar("words", present(helper, index)?.value())?;
    }
    Ok(whole.into())
}

/// Columns of a text for people.
const COLUMNS: usize = 79;

/// A text for people, in lines of [`COLUMNS`]: it begins in a column, where every further line begins, too, so that no value
/// begins a line of its own.
fn fill(helper: &Helper<'_>) -> Result<Value, RenderError> {
    let column = present(helper, 0)?.value().as_u64().and_then(|column| usize::try_from(column).ok());
    let Some(column) = column.filter(|column| (1..COLUMNS).contains(column)) else {
        return Err(problem(format!("`fill` needs a column from 1 to {}", COLUMNS - 1)));
    };
    let text = scalar("fill", present(helper, 1)?.value())?;
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(problem(format!("`fill` cannot hold the value {}", Value::from(text))));
    }
    let mut filled = String::new();
    let mut at = column;
    for (index, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if index > 0 && at + 1 + length > COLUMNS {
            filled.push('\n');
            filled.extend(std::iter::repeat_n(' ', column));
            at = column;
        } else if index > 0 {
            filled.push(' ');
            at += 1;
        }
        filled += word;
        at += length;
    }
    Ok(filled.into())
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
