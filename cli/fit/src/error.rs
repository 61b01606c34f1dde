//! What can be wrong with a tree, a FIT or a key.

/// An error of this room. Messages say what was expected and what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// The bytes are not a flattened device tree that this reader accepts.
    #[error("not a valid device tree: {0}")]
    Tree(String),
    /// The tree is no FIT, or a FIT that lacks something.
    #[error("not a usable FIT: {0}")]
    Fit(String),
    /// The description of a FIT to be built is wrong.
    #[error("cannot build the FIT: {0}")]
    Spec(String),
    /// A key cannot be read or used.
    #[error("unusable key: {0}")]
    Key(String),
    /// A key whose private half is elsewhere: its signatures have to be brought. The requests for them, as paths.
    #[error("a signature is asked for in `{}`", .0.join("`, and one in `"))]
    Unsigned(Vec<String>),
    /// A signature that was brought from elsewhere is missing, or is not one of these bytes.
    #[error("{why}")]
    Stale {
        /// What is wrong with it.
        why: String,
        /// The file that holds it, where there is one.
        file: Option<String>,
    },
    /// A signer cannot read or write its own files.
    #[error("{0}")]
    Io(String),
    /// An algorithm or padding that is not known or not allowed.
    #[error("unsupported algorithm `{found}`: expected {expected}")]
    Algorithm {
        /// What was asked for.
        found: String,
        /// What would be right.
        expected: String,
    },
}
