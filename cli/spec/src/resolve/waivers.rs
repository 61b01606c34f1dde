//! Waivers: each must name something that exists, and say why it may stay unmet.

use std::collections::BTreeSet;

use diag::Diagnostic;

use super::Resolver;
use super::asks::Asker;
use super::layers::Applied;
use crate::decode::suggestion;
use crate::differences::FactArea;
use crate::product::Waiver;

/// Prefix of the checks of the kernel-hardening-checker, whose names only it knows.
const CHECKER: &str = "kernel-hardening-checker:";

impl Resolver<'_> {
    /// Waivers of the product and of the layers.
    pub(super) fn waivers(&mut self, layers: &[Applied]) {
        let product = self.product;
        let checks: BTreeSet<&str> = layers
            .iter()
            .flat_map(|layer| {
                let own = layer.model.checks.iter().map(|check| check.id.as_str());
                own.chain(layer.model.selfcheck.iter().map(|check| check.id.as_str()))
            })
            .collect();
        for waiver in &product.waivers {
            self.waiver("product", waiver, &checks);
        }
        for layer in layers {
            for waiver in &layer.model.waivers {
                self.waiver(&layer.who(), waiver, &checks);
            }
        }
    }

    fn waiver(&mut self, who: &str, waiver: &Waiver, checks: &BTreeSet<&str>) {
        if !self.architecture.is_of(&waiver.architectures) {
            return;
        }
        let target = waiver.waives.as_str();
        let known = |asks: &super::KconfigAsks, symbol: &str| asks.0.map.contains_key(symbol);
        let exists = match target.split_once(':') {
            Some(("linux", symbol)) => known(&self.asked.linux, symbol),
            Some(("uboot", symbol)) => known(&self.asked.uboot, symbol),
            Some(("busybox", symbol)) => known(&self.asked.busybox, symbol),
            Some(("buildroot", symbol)) => known(&self.asked.buildroot, symbol),
            // Whether two images differ in it, only a comparison knows: an unused one is told there.
            Some(("facts", fact)) => fact
                .split_once(':')
                .is_some_and(|(area, fact)| FactArea::WORDS.contains(&area) && !fact.is_empty()),
            // Which threats there are, the threat model knows: one that it does not know is refused there.
            Some(("threat", id)) => !id.is_empty(),
            Some(_) => target.starts_with(CHECKER) && target.len() > CHECKER.len(),
            None => checks.contains(target),
        };
        if !exists {
            let linux = self.asked.linux.0.map.keys().map(|symbol| format!("linux:{symbol}"));
            let uboot = self.asked.uboot.0.map.keys().map(|symbol| format!("uboot:{symbol}"));
            let all: Vec<String> =
                checks.iter().map(|check| (*check).to_owned()).chain(linux).chain(uboot).collect();
            let message =
                format!("nothing to waive: no check and no symbol that is asked for is named `{target}`");
            let hint = suggestion(target, all.iter().map(String::as_str));
            self.trouble.push(
                Diagnostic::error("unknown-waiver", message).at(waiver.waives.at.location()).hint(hint),
            );
            return;
        }
        let asker = Asker::new(who, &waiver.waives.at, &waiver.reason);
        self.asked.waivers.ask(target, (), asker, &mut self.trouble);
    }
}
