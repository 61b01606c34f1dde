//! The sections of the page. An empty text means that there is nothing to show.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use record::{AttackOutcome, EffectiveSymbol, Finding, Part, SymbolState, Verdict};

use super::escape::{e, hash, prose};
use super::pictures;
use crate::authority::short_id;
use crate::report::{Report, verdict_words};
use crate::requirements::{MET, Status};

/// Milliseconds as seconds with one digit.
pub fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Waived => "waived",
        Verdict::NotApplicable => "not-applicable",
        Verdict::NeedsOperator => "needs-operator",
        Verdict::CouldNotRun => "could-not-run",
    }
}

/// A verdict in its colour.
pub fn badge(verdict: Verdict) -> String {
    format!("<span class=\"v {}\">{}</span>", class(verdict), verdict_words(verdict))
}

pub fn status_class(status: Status) -> &'static str {
    match status {
        Status::AutomatedMet => "automated-met",
        Status::Partial => "partial",
        Status::NotMet => "not-met",
        Status::Manual => "manual",
        Status::NoEvidence => "no-evidence",
    }
}

/// The chain: picture and facts.
pub fn chain(report: &Report) -> String {
    if report.chain.is_empty() {
        return String::new();
    }
    let mut facts = String::new();
    for link in &report.chain {
        let badge = link.verdict.map(badge).unwrap_or_default();
        let _ = write!(facts, "<dt>{} {badge}</dt>", e(&link.title));
        for (label, value) in &link.facts {
            let hex = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
            let value = if hex { hash(value) } else { prose(value) };
            let _ = write!(facts, "<dd class=f><span class=k>{}</span><span>{value}</span></dd>", e(label));
        }
        if !link.checks.is_empty() {
            let _ = write!(
                facts,
                "<dd class=\"f dim\"><span class=k>shown by</span><span>{}</span></dd>",
                e(&link.checks.join(", "))
            );
        }
    }
    format!(
        "<p class=lead>Each part vouches for the next. The colour is the verdict of the checks on the finished files.</p>\n\
         <div class=two><figure>{}</figure><dl class=facts>{facts}</dl></div>\n",
        pictures::chain(&report.chain)
    )
}

/// Checks grouped by requirement.
pub fn requirements(report: &Report) -> String {
    let Some(matrix) = &report.matrix else { return String::new() };
    let all = [Status::AutomatedMet, Status::Partial, Status::NotMet, Status::Manual, Status::NoEvidence];
    let mut stack = String::new();
    let mut legend = String::new();
    for status in all {
        let (count, class) = (matrix.count(status), status_class(status));
        let _ = write!(stack, "<i class=\"i-{class}\" style=\"flex:{count}\"></i>");
        let _ = write!(legend, "<li><i class=\"i-{class}\"></i>{count} {}</li>", status.words());
    }
    let mut groups = String::new();
    for (number, title) in &matrix.foundations {
        let rows: Vec<_> = matrix.rows.iter().filter(|row| row.foundation == *number).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(groups, "<h3>{number}. {}</h3>", e(title));
        for row in rows {
            let _ = writeln!(
                groups,
                "<details><summary><span class=id>{}</span> <span class=grow>{}</span> <span class=\"v {}\">{}</span></summary>\
                 <p class=small>{}</p>{}{}{}</details>",
                e(&row.id),
                e(&row.title),
                status_class(row.status),
                row.status.words(),
                prose(&row.why),
                serving(report, &row.checks),
                listed("Listed by the catalogue and not passed in this run", &row.not_looked_at),
                listed("What no image can show", &row.out_of_image),
            );
        }
    }
    format!(
        "<p class=lead>{}, component type {}, security level {}. {MET}</p>\n\
         <div class=stack aria-hidden=true>{stack}</div><ul class=legend>{legend}</ul>\n{groups}",
        e(&matrix.standard),
        e(&matrix.component_type),
        matrix.security_level
    )
}

fn serving(report: &Report, checks: &[String]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let items: String = report
        .findings
        .iter()
        .filter(|finding| checks.contains(&finding.check))
        .map(|finding| {
            format!(
                "<li>{} <b>{}</b> {}</li>",
                badge(finding.verdict),
                e(&finding.check),
                prose(&finding.title)
            )
        })
        .collect();
    format!("<ul class=\"plain small\">{items}</ul>")
}

pub fn listed(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let items: String = lines.iter().map(|line| format!("<li>{}</li>", prose(line))).collect();
    format!("<p class=\"small dim\">{}</p><ul class=\"plain small\">{items}</ul>", e(title))
}

/// Every finding, with a filter by verdict that needs no script.
pub fn findings(report: &Report) -> String {
    let verdicts = [
        Verdict::Fail,
        Verdict::CouldNotRun,
        Verdict::Waived,
        Verdict::NeedsOperator,
        Verdict::Pass,
        Verdict::NotApplicable,
    ];
    let mut filter = format!(
        "<fieldset class=filter><legend>Show</legend><span><input type=radio name=f id=f-all checked><label for=f-all>all {}</label></span>",
        report.findings.len()
    );
    for verdict in verdicts.iter().filter(|verdict| report.count(**verdict) > 0) {
        let (class, words) = (class(*verdict), verdict_words(*verdict));
        let _ = write!(
            filter,
            "<span><input type=radio name=f id=f-{class}><label for=f-{class}>{words} {}</label></span>",
            report.count(*verdict)
        );
    }
    let rank = |finding: &&Finding| verdicts.iter().position(|verdict| *verdict == finding.verdict);
    let mut sorted: Vec<&Finding> = report.findings.iter().collect();
    sorted.sort_by_key(rank);
    let rows: String = sorted.into_iter().map(finding_row).collect();
    format!(
        "<p class=lead>What each check expected, what it saw, and in which file. Trouble comes first.</p>\n<div class=findings>\
         {filter}</fieldset>\n<table class=cards><thead><tr><th>Verdict</th><th>Check</th><th>Seen</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>\n"
    )
}

fn finding_row(finding: &Finding) -> String {
    let mut seen = format!("<div>{}</div>", prose(&finding.seen));
    if let Some(reason) = &finding.waiver {
        let _ = write!(seen, "<div><b>Waived:</b> {}</div>", prose(reason));
    }
    seen += &parts_of(finding);
    if !finding.expected.is_empty() {
        let _ = write!(seen, "<div class=\"small dim\">expected: {}</div>", prose(&finding.expected));
    }
    if !finding.artefact_sha256.is_empty() {
        let _ = write!(seen, "<div class=\"small dim\">in {}</div>", hash(&finding.artefact_sha256));
    }
    format!(
        "<tr class=\"{}\"><td>{}</td><td><b>{}</b><div>{}</div><div class=\"small dim\">{} · {}</div></td><td>{seen}</td></tr>\n",
        class(finding.verdict),
        badge(finding.verdict),
        e(&finding.check),
        prose(&finding.title),
        e(&finding.defined_at),
        e(&finding.requirements.join(", ")),
    )
}

/// The parts of a finding, folded away; those that do not hold first.
fn parts_of(finding: &Finding) -> String {
    if finding.parts.is_empty() {
        return String::new();
    }
    let mut parts: Vec<&Part> = finding.parts.iter().collect();
    parts.sort_by_key(|part| match part.verdict {
        Verdict::Fail => 0,
        Verdict::Waived => 1,
        _ => 2,
    });
    let lines: String = parts
        .into_iter()
        .map(|part| {
            let why = part.waiver.as_deref().map(|why| format!(": {}", prose(why))).unwrap_or_default();
            format!(
                "<li>{} <b>{}</b> is {}, wanted {}{why}</li>",
                badge(part.verdict),
                e(short_id(&part.id)),
                prose(&part.seen),
                prose(&part.expected)
            )
        })
        .collect();
    format!(
        "<details><summary>{} rows</summary><ul class=\"plain small\">{lines}</ul></details>",
        finding.parts.len()
    )
}

/// The attacks with the lines that show the refusal.
pub fn attacks(report: &Report) -> String {
    if report.attacks.is_empty() {
        return String::new();
    }
    let mut body = String::new();
    for attack in &report.attacks {
        let class = match attack.outcome {
            AttackOutcome::GotThrough => "got-through",
            AttackOutcome::Inconclusive => "inconclusive",
            _ => "refused",
        };
        let word = attack.outcome.words();
        let open = if attack.outcome.held() { "" } else { " open" };
        let console: String = attack
            .evidence
            .iter()
            .map(|line| {
                let text = e(&line.text);
                let text =
                    if attack.proof.as_ref() == Some(line) { format!("<mark>{text}</mark>") } else { text };
                format!("<span class=ms>{:>9}  </span>{text}\n", seconds(line.ms))
            })
            .collect();
        let console =
            if console.is_empty() { String::new() } else { format!("<pre class=console>{console}</pre>") };
        let _ = writeln!(
            body,
            "<details{open}><summary><span class=id>{}</span> <span class=grow>{}</span> <span class=\"dim small\">{} · {}</span> \
             <span class=\"v {class}\">{word}</span></summary><p class=small><b>Changed:</b> {}</p><p class=small><b>Result:</b> \
             {}</p>{console}<p class=\"small dim\">whole log: {}</p></details>",
            e(&attack.attack),
            prose(&attack.title),
            e(&attack.expected_stage),
            seconds(attack.ms),
            prose(&attack.mutation),
            prose(&attack.reason),
            e(&attack.console_log),
        );
    }
    format!(
        "<p class=lead>Each attack changes a copy of the image in one way. It counts as refused only when the expected stage \
         refuses it for the expected reason, on the console; as without effect only when the device boots what it trusts. \
         A control shows that an attacker's success would be seen.</p>\n{body}"
    )
}

/// The boot as bars.
pub fn boot(report: &Report) -> String {
    let Some(boot) = &report.boot else { return String::new() };
    let total = boot.ms.max(1);
    let mut bars = String::new();
    let mut before = 0u64;
    for point in &boot.timeline {
        let at = point.line.ms.min(total);
        let (left, width) = (before.min(at) * 1000 / total, at.saturating_sub(before) * 1000 / total);
        let _ = writeln!(
            bars,
            "<div class=bar><span>{}</span><span class=track><span class=fill style=\"left:{}.{}%;width:{}.{}%\"></span></span>\
             <span class=ms>{}</span><span class=proof>{}</span></div>",
            e(&point.name),
            left / 10,
            left % 10,
            width / 10,
            width % 10,
            seconds(point.line.ms),
            e(&point.line.text),
        );
        before = at;
    }
    let events: String = boot
        .selfcheck
        .iter()
        .map(|event| {
            let verdict = match event.verdict {
                record::SelfcheckVerdict::Pass => Verdict::Pass,
                record::SelfcheckVerdict::Fail => Verdict::Fail,
            };
            format!("<li>{} <b>{}</b> {}</li>", badge(verdict), e(&event.check), prose(&event.seen))
        })
        .collect();
    format!(
        "<p class=lead>The untouched image: {}. Each point is a line of its console.</p>\n<div class=bars>{bars}</div>\n\
         <h3>What the device says about itself</h3><ul class=\"plain small\">{events}</ul>\n",
        prose(&boot.summary)
    )
}

/// Asked against effective configuration, and waivers.
pub fn configuration(report: &Report) -> String {
    if report.effective.is_empty() && report.waivers.is_empty() {
        return String::new();
    }
    let mut body = String::from(
        "<p class=lead>Every symbol that was asked of a Kconfig, and what the final configuration has.</p>\n",
    );
    if !report.waivers.is_empty() {
        let rows: String = report
            .waivers
            .iter()
            .map(|waiver| {
                let used = if waiver.used { "in use" } else { "not needed any more" };
                format!(
                    "<tr><td data-l=Waived><b>{}</b></td><td data-l=Reason>{}</td><td data-l=By>{}</td><td data-l=State>{used}</td></tr>",
                    e(&waiver.what),
                    prose(&waiver.reason),
                    e(&waiver.by)
                )
            })
            .collect();
        let _ = writeln!(
            body,
            "<h3>Waivers</h3><table class=cards><thead><tr><th>Waived</th><th>Reason</th><th>By</th><th>State</th></tr></thead>\
             <tbody>{rows}</tbody></table>"
        );
    }
    let mut components: BTreeMap<&str, Vec<&EffectiveSymbol>> = BTreeMap::new();
    for symbol in &report.effective {
        components.entry(&symbol.component).or_default().push(symbol);
    }
    for (component, mut symbols) in components {
        let count = |state: SymbolState| symbols.iter().filter(|symbol| symbol.state == state).count();
        let (held, waived, dropped) =
            (count(SymbolState::Held), count(SymbolState::Waived), count(SymbolState::Dropped));
        symbols.sort_by_key(|symbol| match symbol.state {
            SymbolState::Dropped => 0,
            SymbolState::Waived => 1,
            SymbolState::Held => 2,
        });
        let rows: String = symbols.iter().map(|symbol| symbol_row(symbol)).collect();
        let _ = writeln!(
            body,
            "<details><summary><span class=grow><b>{}</b>: {} symbols</span> <span class=\"v held\">{held} held</span> \
             <span class=\"v waived\">{waived} waived</span> <span class=\"v {}\">{dropped} dropped</span></summary>\
             <table class=cards><thead><tr><th>Symbol</th><th>Asked</th><th>Found</th><th>State</th><th>By</th></tr></thead>\
             <tbody>{rows}</tbody></table></details>",
            e(component),
            symbols.len(),
            if dropped > 0 { "dropped" } else { "" },
        );
    }
    body
}

fn symbol_row(symbol: &EffectiveSymbol) -> String {
    let state = match symbol.state {
        SymbolState::Held => "held",
        SymbolState::Waived => "waived",
        SymbolState::Dropped => "dropped",
    };
    format!(
        "<tr><td><code>{}</code></td><td data-l=Asked><code>{}</code></td><td data-l=Found><code>{}</code></td>\
         <td><span class=\"v {state}\">{state}</span> {}</td><td class=\"small dim\">{}, {}</td></tr>",
        e(&symbol.symbol),
        e(&symbol.asked),
        e(&symbol.found),
        prose(&symbol.why),
        e(&symbol.asked_by),
        e(&symbol.asked_at),
    )
}

/// Files and partitions by hash.
pub fn files(report: &Report) -> String {
    if report.files.is_empty() {
        return String::new();
    }
    let rows: String = report
        .files
        .iter()
        .map(|file| {
            format!(
                "<tr><td><b>{}</b></td><td class=n data-l=Bytes>{}</td><td data-l=SHA-256>{}</td></tr>",
                e(&file.name),
                grouped(file.bytes),
                hash(&file.sha256)
            )
        })
        .collect();
    let partitions: String = report
        .partitions
        .iter()
        .map(|part| {
            format!(
                "<tr><td><b>{}</b><div class=\"small dim\">{}</div></td><td class=n data-l=Offset>{}</td><td class=n data-l=Bytes>{}</td>\
                 <td data-l=SHA-256>{}</td></tr>",
                e(&part.name),
                e(&part.guid),
                grouped(part.offset),
                grouped(part.bytes),
                hash(&part.sha256)
            )
        })
        .collect();
    format!(
        "<p class=lead>Compare with <code>sha256sum</code>.</p>\n<table class=cards><thead><tr><th>File</th><th class=n>Bytes</th>\
         <th>SHA-256</th></tr></thead><tbody>{rows}</tbody></table>\n<h3>Partitions</h3><table class=cards><thead><tr><th>Partition</th>\
         <th class=n>Offset</th><th class=n>Bytes</th><th>SHA-256</th></tr></thead><tbody>{partitions}</tbody></table>\n"
    )
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// The honest list.
pub fn not_shown(report: &Report) -> String {
    let items: String = report.not_shown.iter().map(|line| format!("<li>{}</li>", prose(line))).collect();
    format!(
        "<p class=lead>What a reader must not conclude from this page.</p>\n<ul class=plain>{items}</ul>\n"
    )
}
