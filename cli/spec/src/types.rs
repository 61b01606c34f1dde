//! The typed scalars of all formats. Nothing untyped reaches a template: what a type accepts is
//! narrow enough that every output format can hold it.

mod crypto;
mod ethernet;
mod network;
mod numbers;
mod opcua;
mod program;
mod release;
mod ssh_key;
mod text;

use diag::Diagnostic;
use serde_json::Value;

use crate::decode::{Decode, Decoder};
use crate::yaml::{Kind, Node};

pub use crypto::{Cipher, Proposal, WireguardKey};
pub use ethernet::{EtherType, MulticastRange};
pub use network::{Address, HostName, InterfaceAddress, InterfaceName, Port, Prefix, Rate};
pub use numbers::{Count, Duration, Flag, Integer, Percentage, SecurityLevel, Size};
pub use opcua::{ApplicationUri, OpcuaTerm};
pub use program::{FileName, LocalPath};
pub use release::{
    BitbakeValue, BitbakeVariable, BuildrootRelease, Commit, FileUrl, Release, Series, Sha256,
};
pub use ssh_key::SshPublicKey;
pub use text::{
    AbsPath, Algorithm, Argument, Banner, CheckId, CheckKind, ConfigTarget, Glob, GuidText, KconfigSymbol,
    KconfigValue, KeyName, LinkTarget, Mirror, Mode, Name, PackageName, ParameterName, PatchPath, Reason,
    RequirementId, SysctlKey, SysctlValue, TemplatePath, Text, UnitName, UserName, Version, WaiverTarget,
    Word,
};

/// A value that is written as one scalar.
pub trait Scalar: Sized {
    /// What is expected: `a port (1-65535)`.
    const EXPECTED: &'static str;
    /// Reads it. `plain` is whether it was written without quotes.
    ///
    /// # Errors
    /// Why the text is not such a value, where more can be said than what was expected.
    fn parse(text: &str, plain: bool) -> Result<Self, Why>;
    /// JSON Schema of the value.
    fn schema() -> Value;
    /// The value for templates and for the plan.
    fn to_json(&self) -> Value;
}

/// Why a text is not a value of the type.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// What is wrong; empty when what was expected says it all.
    pub reason: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl From<&str> for Why {
    fn from(reason: &str) -> Self {
        Self { reason: reason.to_owned(), hint: None }
    }
}

impl From<String> for Why {
    fn from(reason: String) -> Self {
        Self { reason, hint: None }
    }
}

/// Reads a scalar, with the diagnostic that every type shares.
pub(crate) fn decode_scalar<T: Scalar>(node: &Node, decoder: &mut Decoder) -> Option<T> {
    let Kind::Scalar { text, plain } = &node.kind else {
        decoder.wrong_type(node, T::EXPECTED);
        return None;
    };
    if node.is_null() {
        decoder.wrong_type(node, T::EXPECTED);
        return None;
    }
    match T::parse(text, *plain) {
        Ok(value) => Some(value),
        Err(why) => {
            let mut message = format!("expected {}, found {}", T::EXPECTED, node.describe());
            if !why.reason.is_empty() {
                message = format!("{message}: {}", why.reason);
            }
            let mut diagnostic = Diagnostic::error("wrong-type", message);
            diagnostic.hint = why.hint;
            decoder.report(node.span, diagnostic);
            None
        }
    }
}

/// Makes a [`Scalar`] readable from a node.
macro_rules! decodes {
    ($($name:ident),* $(,)?) => {$(
        impl Decode for $name {
            fn expected() -> String {
                <Self as Scalar>::EXPECTED.to_owned()
            }
            fn schema() -> Value {
                <Self as Scalar>::schema()
            }
            fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
                decode_scalar(node, decoder)
            }
        }
    )*};
}

decodes!(
    AbsPath,
    Address,
    Algorithm,
    ApplicationUri,
    Argument,
    Banner,
    BitbakeValue,
    BitbakeVariable,
    BuildrootRelease,
    CheckId,
    CheckKind,
    Cipher,
    Commit,
    ConfigTarget,
    Count,
    Duration,
    EtherType,
    FileName,
    FileUrl,
    Flag,
    Glob,
    GuidText,
    HostName,
    Integer,
    InterfaceAddress,
    InterfaceName,
    KconfigSymbol,
    KconfigValue,
    KeyName,
    LinkTarget,
    LocalPath,
    Mirror,
    Mode,
    MulticastRange,
    Name,
    OpcuaTerm,
    PackageName,
    ParameterName,
    Percentage,
    SecurityLevel,
    Port,
    Prefix,
    Proposal,
    Rate,
    Release,
    RequirementId,
    Series,
    Sha256,
    Size,
    SshPublicKey,
    SysctlKey,
    SysctlValue,
    PatchPath,
    TemplatePath,
    Text,
    UnitName,
    UserName,
    Version,
    WaiverTarget,
    WireguardKey,
    Word,
);

/// A scalar that may hold `{{…}}`: then it is rendered first, and what comes out must be a `T`.
#[derive(Clone, Debug)]
pub struct Templated<T> {
    /// As it was written.
    pub text: String,
    /// Read already, when there is nothing to render.
    pub ready: Option<T>,
}

impl<T: Scalar> Decode for Templated<T> {
    fn expected() -> String {
        format!("{}, or a text with {{{{…}}}} that becomes one", T::EXPECTED)
    }
    fn schema() -> Value {
        serde_json::json!({"anyOf": [T::schema(), {"type": "string", "pattern": "\\{\\{"}]})
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.kind {
            Kind::Scalar { text, .. } if text.contains("{{") => {
                Some(Self { text: text.clone(), ready: None })
            }
            Kind::Scalar { text, .. } => {
                decode_scalar(node, decoder).map(|value| Self { text: text.clone(), ready: Some(value) })
            }
            _ => decode_scalar(node, decoder).map(|value| Self { text: String::new(), ready: Some(value) }),
        }
    }
}

impl Decode for Reason {
    fn expected() -> String {
        "a reason (text that is not empty)".to_owned()
    }
    fn schema() -> Value {
        serde_json::json!({"type": "string", "pattern": "\\S"})
    }
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let text = match &node.kind {
            Kind::Scalar { .. } if node.is_null() => "",
            Kind::Scalar { text, .. } => text.as_str(),
            _ => {
                decoder.wrong_type(node, &Self::expected());
                return None;
            }
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.is_empty() {
            let message = "expected a reason, found an empty one";
            let hint = "say why (or who, where that is asked) in words that a reviewer understands; the report prints it";
            decoder.report(node.span, Diagnostic::error("empty-reason", message).hint(hint));
            return None;
        }
        Some(Self(words.join(" ")))
    }
}
