//! `standards/opcua.yaml`: the security policies, modes and user tokens of OPC UA, and which may be used.

use diag::{Diagnostic, Outcome};

use crate::algorithms::Status;
use crate::decode::{Spanned, choice, model, suggestion};
use crate::library::{Area, Library, read_model};
use crate::product::OpcuaStack;
use crate::source::At;
use crate::types::{Integer, OpcuaTerm, Reason, Text};

/// The file of `standards/`.
const FILE: &str = "opcua.yaml";

model! {
    /// The security of OPC UA.
    pub struct OpcuaStandard {
        /// Security policies, the preferred one first.
        policies: Vec<Policy>,
        /// Message security modes.
        modes: Vec<Term>,
        /// Kinds of user tokens.
        user_tokens: Vec<Term>,
    }
}

model! {
    /// A security policy.
    pub struct Policy {
        /// Its name, the part of its URI behind the `#`.
        name: OpcuaTerm,
        /// Kind of the application's key.
        key: KeyKind,
        /// Shortest key in bits that is taken.
        key_bits: Integer,
        /// Longest key in bits that the policy allows.
        key_bits_max: Integer,
        /// Hash of certificates' signatures.
        certificate_hash: Text,
        /// Signature and encryption by the application's key.
        asymmetric: Text,
        /// Encryption and signature of messages.
        symmetric: Text,
        /// Whether it may be used.
        status: Status,
        /// Stacks that have it.
        stacks: Vec<OpcuaStack> = Vec::new(),
        /// Why.
        reason: Reason,
        /// Where this is written.
        reference: Text,
    }
}

choice! {
    /// Kinds of an application's key.
    pub enum KeyKind {
        /// None.
        None = "none",
        /// RSA.
        Rsa = "rsa",
        /// NIST P-256.
        P256 = "p256",
        /// NIST P-384.
        P384 = "p384",
        /// Another curve.
        Other = "other",
    }
}

model! {
    /// A mode, or a kind of user token.
    pub struct Term {
        /// Its name in OPC 10000-4.
        name: OpcuaTerm,
        /// Whether it may be used.
        status: Status,
        /// Why.
        reason: Reason,
        /// Where this is written.
        reference: Text,
    }
}

/// The table of a library; none: there is no such file.
///
/// # Errors
/// The file is there and cannot be read.
pub fn table(library: &Library, trouble: &mut Vec<Diagnostic>) -> Outcome<Option<OpcuaStandard>> {
    let source = library.read(Area::Standards, FILE)?;
    Ok(source.and_then(|source| read_model::<OpcuaStandard>(&source, trouble)))
}

/// What is asked, for messages: what it is, and the code of its refusal behind `unknown-`, `weak-` and `absent-`.
struct What(&'static str, &'static str);

const POLICY: What = What("security policy", "policy");
const MODE: What = What("message security mode", "mode");
const TOKEN: What = What("user token", "user-token");

/// One row of any of the lists.
struct Row<'t>(&'t OpcuaTerm, Status, &'t Reason, &'t Text);

fn look(rows: &[Row], what: &What, name: &str, at: &At, trouble: &mut Vec<Diagnostic>) -> bool {
    let good: Vec<&str> = rows.iter().filter(|r| r.1 == Status::Good).map(|r| r.0.as_str()).collect();
    let instead = || format!("take one of `{}`", good.join("`, `"));
    let Some(Row(_, status, reason, reference)) = rows.iter().find(|row| row.0.as_str() == name) else {
        let message = format!("expected a {} of OPC UA, found `{name}`, of which nothing is known", what.0);
        let problem = Diagnostic::error(&format!("unknown-{}", what.1), message).at(at.location());
        trouble.push(problem.hint(suggestion(name, good)));
        return false;
    };
    let (why, code) = match status {
        Status::Good => return true,
        Status::Weak => ("is refused", "weak"),
        Status::Absent => ("is not there", "absent"),
    };
    let message = format!("the {} `{name}` {why}: {} ({})", what.0, reason.0, reference.as_str());
    let code = if name == "Anonymous" { "anonymous-access".to_owned() } else { format!("{code}-{}", what.1) };
    trouble.push(Diagnostic::error(&code, message).at(at.location()).hint(instead()));
    false
}

impl OpcuaStandard {
    /// Looks at a policy; gives it when it may be used and the stack has it.
    pub fn policy(
        &self,
        asked: &Spanned<OpcuaTerm>,
        stack: OpcuaStack,
        trouble: &mut Vec<Diagnostic>,
    ) -> Option<&Policy> {
        let rows: Vec<Row> =
            self.policies.iter().map(|p| Row(&p.name, p.status, &p.reason, &p.reference)).collect();
        if !look(&rows, &POLICY, asked.as_str(), &asked.at, trouble) {
            return None;
        }
        let policy = self.policies.iter().find(|policy| policy.name == asked.value)?;
        if policy.is_of(stack) {
            return Some(policy);
        }
        let message =
            format!("the stack `{}` does not have the security policy `{}`", stack.as_str(), asked.as_str());
        let has: Vec<&str> = self.of_stack(stack).map(|policy| policy.name.as_str()).collect();
        let hint = format!("it has `{}`", has.join("`, `"));
        trouble.push(Diagnostic::error("absent-policy", message).at(asked.at.location()).hint(hint));
        None
    }

    /// The good policies that a stack has, the preferred one first.
    pub fn of_stack(&self, stack: OpcuaStack) -> impl Iterator<Item = &Policy> {
        self.policies.iter().filter(move |policy| policy.status == Status::Good && policy.is_of(stack))
    }

    /// Looks at a message security mode.
    pub fn mode(&self, asked: &Spanned<OpcuaTerm>, trouble: &mut Vec<Diagnostic>) -> bool {
        look(&terms(&self.modes), &MODE, asked.as_str(), &asked.at, trouble)
    }

    /// Looks at a kind of user token.
    pub fn user_token(&self, asked: &Spanned<OpcuaTerm>, trouble: &mut Vec<Diagnostic>) -> bool {
        look(&terms(&self.user_tokens), &TOKEN, asked.as_str(), &asked.at, trouble)
    }
}

fn terms(all: &[Term]) -> Vec<Row<'_>> {
    all.iter().map(|term| Row(&term.name, term.status, &term.reason, &term.reference)).collect()
}

impl Policy {
    fn is_of(&self, stack: OpcuaStack) -> bool {
        stack == OpcuaStack::Generic || self.stacks.contains(&stack)
    }
}
