//! Parameters of layers: each declares one of the types of [`crate::types`].

use diag::Diagnostic;
use serde_json::Value;

use crate::decode::{Decode, Decoder, choice, suggestion};
use crate::layer::Parameter;
use crate::types::{self, Scalar};
use crate::yaml::{Kind, Node};

choice! {
    /// Types that a layer's parameter can have.
    pub enum ParameterType {
        /// `true` or `false`.
        Bool = "bool",
        /// A whole number from 0.
        Integer = "integer",
        /// A TCP or UDP port.
        Port = "port",
        /// An IPv4 or IPv6 address.
        Address = "address",
        /// A network.
        Prefix = "prefix",
        /// A network interface's name.
        Interface = "interface",
        /// A host name.
        Host = "host",
        /// A duration; templates see seconds.
        Duration = "duration",
        /// A size; templates see bytes.
        Size = "size",
        /// A percentage; templates see the number.
        Percentage = "percentage",
        /// A rate, as nftables writes it.
        Rate = "rate",
        /// A name.
        Name = "name",
        /// A word without spaces or quotes.
        Word = "word",
        /// One line of text for people.
        Text = "text",
        /// An absolute path.
        Path = "path",
        /// An octal file mode.
        Mode = "mode",
        /// A user's or group's name.
        User = "user",
        /// A systemd unit.
        Unit = "unit",
        /// A package.
        Package = "package",
        /// A Kconfig value.
        Kconfig = "kconfig",
        /// An OpenSSH public key.
        SshKey = "ssh-key",
        /// A version.
        Version = "version",
    }
}

fn one<T: Decode + Scalar>(node: &Node, decoder: &mut Decoder) -> Option<Value> {
    T::decode(node, decoder).map(|value| value.to_json())
}

/// Reads one value of the type, for templates.
fn scalar(kind: ParameterType, node: &Node, decoder: &mut Decoder) -> Option<Value> {
    use ParameterType as P;
    let read = match kind {
        P::Bool => one::<types::Flag>,
        P::Integer => one::<types::Integer>,
        P::Port => one::<types::Port>,
        P::Address => one::<types::Address>,
        P::Prefix => one::<types::Prefix>,
        P::Interface => one::<types::InterfaceName>,
        P::Host => one::<types::HostName>,
        P::Duration => one::<types::Duration>,
        P::Size => one::<types::Size>,
        P::Percentage => one::<types::Percentage>,
        P::Rate => one::<types::Rate>,
        P::Name => one::<types::Name>,
        P::Word => one::<types::Word>,
        P::Text => one::<types::Text>,
        P::Path => one::<types::AbsPath>,
        P::Mode => one::<types::Mode>,
        P::User => one::<types::UserName>,
        P::Unit => one::<types::UnitName>,
        P::Package => one::<types::PackageName>,
        P::Kconfig => one::<types::KconfigValue>,
        P::SshKey => one::<types::SshPublicKey>,
        P::Version => one::<types::Version>,
    };
    read(node, decoder)
}

/// Reads a parameter's value as its layer declares it.
pub fn value(parameter: &Parameter, node: &Node, decoder: &mut Decoder) -> Option<Value> {
    if !parameter.list.0 {
        return chosen(parameter, node, decoder);
    }
    let Kind::List(items) = &node.kind else {
        decoder.wrong_type(node, &format!("a list of values of the type `{}`", parameter.r#type.as_str()));
        return None;
    };
    let read: Vec<Option<Value>> = items.iter().map(|item| chosen(parameter, item, decoder)).collect();
    read.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
}

fn chosen(parameter: &Parameter, node: &Node, decoder: &mut Decoder) -> Option<Value> {
    let read = scalar(parameter.r#type, node, decoder)?;
    let mut quiet = Decoder::new(std::sync::Arc::clone(&decoder.source));
    if let Some(least) = &parameter.least {
        let bound = scalar(parameter.r#type, &least.0, &mut quiet).and_then(|value| value.as_u64());
        // A bound that is no number bounds nothing: the layer is wrong, and so is every value of it.
        if read.as_u64().is_none_or(|number| bound.is_none_or(|bound| number < bound)) {
            let message = format!("expected at least {}, found {}", plain(&least.to_json()), node.describe());
            decoder.report(node.span, Diagnostic::error("below-the-least", message));
            return None;
        }
    }
    if parameter.choices.is_empty() {
        return Some(read);
    }
    let allowed: Vec<Value> =
        parameter.choices.iter().filter_map(|c| scalar(parameter.r#type, &c.0, &mut quiet)).collect();
    if allowed.contains(&read) {
        return Some(read);
    }
    let words: Vec<String> = parameter.choices.iter().map(|c| plain(&c.to_json())).collect();
    let message = format!("expected one of `{}`, found {}", words.join("`, `"), node.describe());
    let hint = suggestion(&plain(&read), words.iter().map(String::as_str));
    decoder.report(node.span, Diagnostic::error("not-a-choice", message).hint(hint));
    None
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
