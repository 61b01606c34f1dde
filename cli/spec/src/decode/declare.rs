//! [`model!`] and [`choice!`]: one declaration gives a type, how it is read, and its schema.
//!
//! What they expand to is in the words of [`crate::decode`]; nothing is read here.

/// Declares a mapping with fixed keys: the struct, how it is read, and its schema. A field with
/// `= default` may be left out.
macro_rules! model {
    (@default $type:ty) => { None };
    (@default $type:ty, $default:expr) => { Some((|| $default) as fn() -> $type) };
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident {
            $( $(#[doc = $field_about:literal])* $field:ident : $type:ty $(= $default:expr)? ),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $( $(#[doc = $field_about])* pub $field: $type ),*
        }

        impl $crate::decode::Decode for $name {
            fn expected() -> String {
                const KEYS: &[&str] = &[$(stringify!($field)),*];
                format!("a mapping with the keys `{}`", KEYS.join("`, `").replace("r#", ""))
            }

            fn schema() -> serde_json::Value {
                let mut properties = serde_json::Map::new();
                let mut required = Vec::new();
                $({
                    let key = stringify!($field).trim_start_matches("r#");
                    let default: Option<fn() -> $type> = model!(@default $type $(, $default)?);
                    if default.is_none() {
                        required.push(key);
                    }
                    let schema = <$type as $crate::decode::Decode>::schema();
                    let expected = <$type as $crate::decode::Decode>::expected();
                    let about = concat!($($field_about),*);
                    properties.insert(key.to_owned(), $crate::decode::described(schema, about, &expected));
                })*
                $crate::decode::object_schema(concat!($($about),*), properties, &required)
            }

            fn decode(
                node: &$crate::yaml::Node,
                decoder: &mut $crate::decode::Decoder,
            ) -> Option<Self> {
                let entries = decoder.mapping(node, &Self::expected())?;
                decoder.reject_unknown_keys(
                    entries,
                    &[$(stringify!($field).trim_start_matches("r#")),*],
                );
                $(
                    let $field = decoder.field::<$type>(
                        entries,
                        node.span,
                        stringify!($field).trim_start_matches("r#"),
                        model!(@default $type $(, $default)?),
                    );
                )*
                Some(Self { $($field: $field?),* })
            }
        }
    };
}

/// Declares a closed list of words: the enum, how it is read, its schema, and its words.
macro_rules! choice {
    (
        $(#[doc = $about:literal])*
        pub enum $name:ident {
            $( $(#[doc = $word_about:literal])* $variant:ident = $word:literal ),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $( $(#[doc = $word_about])* $variant ),*
        }

        impl $name {
            /// Every word, in order.
            pub const WORDS: &[&str] = &[$($word),*];

            /// The word as it is written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl $crate::decode::Decode for $name {
            fn expected() -> String {
                format!("one of `{}`", Self::WORDS.join("`, `"))
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({"type": "string", "enum": Self::WORDS})
            }

            fn decode(
                node: &$crate::yaml::Node,
                decoder: &mut $crate::decode::Decoder,
            ) -> Option<Self> {
                match &node.kind {
                    $($crate::yaml::Kind::Scalar { text, .. } if text == $word => return Some(Self::$variant),)*
                    $crate::yaml::Kind::Scalar { text, .. } if !node.is_null() => {
                        let message = format!("expected {}, found `{text}`", Self::expected());
                        let hint = $crate::decode::suggestion(text, Self::WORDS.iter().copied());
                        decoder.report(node.span, diag::Diagnostic::error("wrong-type", message).hint(hint));
                    }
                    _ => decoder.wrong_type(node, &Self::expected()),
                }
                None
            }
        }
    };
}

pub(crate) use {choice, model};
