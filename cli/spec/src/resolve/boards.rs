//! Which of the product's boards is meant.

use std::collections::BTreeSet;

use diag::{Diagnostic, Outcome};

use super::{hardware, references, vendor};
use crate::board::Board;
use crate::decode::suggestion;
use crate::library::{Area, Library, read_model};
use crate::product::Product;

/// A board with its name and file.
pub(super) struct NamedBoard {
    pub(super) name: String,
    pub(super) model: Board,
}

/// The board that a call wants, or the product's first; none when it is not to be had, which is told.
pub(super) fn choose_board(
    library: &Library,
    product: &Product,
    wanted: Option<&str>,
    trouble: &mut Vec<Diagnostic>,
) -> Outcome<Option<NamedBoard>> {
    let listed = || product.boards.iter().map(|board| board.as_str());
    let Some(first) = product.boards.first() else {
        let message = "expected at least one board, found an empty list";
        trouble.push(Diagnostic::error("no-board", message).at(product.name.at.location()));
        return Ok(None);
    };
    let mut seen = BTreeSet::new();
    for board in &product.boards {
        if !seen.insert(board.as_str()) {
            let message = format!("the board `{}` is listed twice", board.as_str());
            trouble.push(Diagnostic::error("duplicate-name", message).at(board.at.location()));
        }
        if library.read(Area::Boards, &format!("{}/board.yaml", board.as_str()))?.is_none() {
            trouble.push(references::unknown_board(library, board.as_str(), &board.at)?);
        }
    }
    let name = wanted.unwrap_or(first.as_str());
    if !listed().any(|board| board == name) {
        let message = format!("the product is not built for the board `{name}`");
        let hint = suggestion(name, listed().collect::<Vec<_>>());
        trouble.push(Diagnostic::error("unknown-board", message).at(first.at.location()).hint(hint));
        return Ok(None);
    }
    let Some(source) = library.read(Area::Boards, &format!("{name}/board.yaml"))? else { return Ok(None) };
    let board =
        read_model::<Board>(&source, trouble).map(|model| NamedBoard { name: name.to_owned(), model });
    if let Some(board) = &board {
        hardware::reject_incomplete(board, &first.at, trouble);
        vendor::reject_unclear(board, trouble);
    }
    Ok(board)
}
