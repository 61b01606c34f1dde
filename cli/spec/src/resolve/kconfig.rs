//! Symbols of U-Boot and of the kernel.

use diag::Diagnostic;

use super::Resolver;
use super::asks::{Asker, Asks};
use crate::board::SymbolAsk;
use crate::decode::Spanned;
use crate::layer::PatchAsk;
use crate::library::Area;
use crate::plan::{KconfigPlan, PatchPlan};
use crate::types::{KconfigSymbol, KconfigValue};

/// Symbols asked of one Kconfig.
pub struct KconfigAsks(pub Asks<String>);

impl KconfigAsks {
    /// Nothing asked yet.
    pub fn new(what: &'static str) -> Self {
        Self(Asks::new(what, |value| format!("`{value}`")))
    }

    /// The plan's part.
    pub fn into_plan(self, base: &str) -> KconfigPlan {
        KconfigPlan { base: base.to_owned(), symbols: self.0.into_plan() }
    }
}

impl Resolver<'_> {
    /// What a board or a layer asks of both.
    pub(super) fn symbols(&mut self, who: &str, uboot: &[SymbolAsk], linux: &[SymbolAsk]) {
        for (ask, of_uboot) in uboot.iter().map(|ask| (ask, true)).chain(linux.iter().map(|ask| (ask, false)))
        {
            if !self.architecture.is_of(&ask.architectures) {
                continue;
            }
            let Some(value) = self.symbol_value(ask) else { continue };
            let asker = Asker::new(who, &ask.symbol.at, &ask.reason);
            let asks = if of_uboot { &mut self.asked.uboot.0 } else { &mut self.asked.linux.0 };
            // What only the hardware knows, a board has said before any layer asks.
            let of_board =
                |symbol| asks.map.get(symbol).is_some_and(|entry| entry.askers[0].who.starts_with("board "));
            if ask.board_decides.0 && of_board(ask.symbol.as_str()) {
                continue;
            }
            asks.ask(ask.symbol.as_str(), value.as_str().to_owned(), asker, &mut self.trouble);
        }
    }

    /// Patches of U-Boot of a layer or a board, whose folder it is; their files are taken as they are, no template.
    pub(super) fn patches(&mut self, who: &str, area: Area, folder: &str, asks: &[PatchAsk]) {
        for ask in asks {
            let at = &ask.file.at;
            let path = format!("{folder}/{}", ask.file.as_str());
            let name = ask.file.as_str().rsplit('/').next().unwrap_or_default();
            let source = match self.library.read(area, &path) {
                Ok(Some(source)) => source,
                Ok(None) => {
                    let message =
                        format!("expected the patch `{}/{path}`, found no such file", area.folder());
                    self.trouble.push(Diagnostic::error("missing-patch", message).at(at.location()));
                    continue;
                }
                Err(mut failure) => {
                    self.trouble.append(&mut failure.diagnostics);
                    continue;
                }
            };
            let versions = ask.versions.iter().map(|version| version.as_str().to_owned()).collect();
            let plan = PatchPlan { text: source.text().to_owned(), versions };
            let asker = Asker::new(who, at, &ask.reason);
            self.asked.uboot_patches.ask(name, plan, asker, &mut self.trouble);
        }
    }

    pub(super) fn symbol_value(&mut self, ask: &SymbolAsk) -> Option<KconfigValue> {
        match (&ask.value, &ask.template) {
            (Some(value), None) => self.templated(value, &ask.symbol.at),
            (None, Some(template)) => {
                let text = self.template_file(Area::Templates, template.as_str(), &template.at)?;
                self.joined(&ask.symbol, &text)
            }
            _ => {
                let message = format!("expected either `value` or `template` for `{}`", ask.symbol.as_str());
                self.trouble.push(Diagnostic::error("symbol-value", message).at(ask.symbol.at.location()));
                None
            }
        }
    }

    /// A string value on one line: the template's lines, trimmed, with single spaces between.
    fn joined(&mut self, symbol: &Spanned<KconfigSymbol>, text: &str) -> Option<KconfigValue> {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match KconfigValue::string(&lines.join(" ")) {
            Ok(value) => Some(value),
            Err(why) => {
                let message =
                    format!("the template of `{}` gives no string: {}", symbol.as_str(), why.reason);
                self.trouble.push(Diagnostic::error("symbol-value", message).at(symbol.at.location()));
                None
            }
        }
    }
}
