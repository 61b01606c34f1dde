//! YAML of our own catalogue as a JSON value: no anchors, no tags, plain scalars typed.
//!
//! Files that people write for a product are read by `spec`, with places; this is for data
//! that is compiled in.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

const DEPTH_LIMIT: usize = 32;

/// The first document.
///
/// # Errors
/// With the place of what is wrong.
pub fn load(text: &str) -> Result<Value, String> {
    let mut parser = Parser::new_from_str(text);
    loop {
        match next(&mut parser)? {
            Event::StreamStart | Event::DocumentStart(_) => {}
            first => return value(&mut parser, first, 0),
        }
    }
}

type Input<'a> = Parser<'a, saphyr_parser::StrInput<'a>>;

fn next<'a>(parser: &mut Input<'a>) -> Result<Event<'a>, String> {
    match parser.next() {
        Some(Ok((event, _))) => Ok(event),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the document ends too early".to_owned()),
    }
}

fn value<'a>(parser: &mut Input<'a>, event: Event<'a>, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_LIMIT {
        return Err(format!("nested deeper than {DEPTH_LIMIT}"));
    }
    match event {
        Event::Scalar(text, ScalarStyle::Plain, _, _) => Ok(plain(&text)),
        Event::Scalar(text, ..) => Ok(Value::String(text.into_owned())),
        Event::SequenceStart(..) => {
            let mut list = Vec::new();
            loop {
                match next(parser)? {
                    Event::SequenceEnd => return Ok(Value::Array(list)),
                    event => list.push(value(parser, event, depth + 1)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut map = Map::new();
            loop {
                let key = match next(parser)? {
                    Event::MappingEnd => return Ok(Value::Object(map)),
                    Event::Scalar(text, ..) => text.into_owned(),
                    other => return Err(format!("a key must be a scalar, found {other:?}")),
                };
                let event = next(parser)?;
                let value = value(parser, event, depth + 1)?;
                if map.insert(key.clone(), value).is_some() {
                    return Err(format!("the key `{key}` is there twice"));
                }
            }
        }
        other => Err(format!("expected a value, found {other:?}")),
    }
}

fn plain(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "" | "~" | "null" => Value::Null,
        _ => text
            .parse::<i64>()
            .map_or_else(|_| Value::String(text.to_owned()), |number| Value::Number(Number::from(number))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_typed_only_when_plain() {
        let value = load("a: [1, '1', yes, true, ~]\nb: {c: d e}\n").unwrap();
        assert_eq!(value, serde_json::json!({"a": [1, "1", "yes", true, null], "b": {"c": "d e"}}));
    }

    #[test]
    fn a_repeated_key_is_refused() {
        assert_eq!(load("a: 1\na: 2\n").unwrap_err(), "the key `a` is there twice");
    }
}
